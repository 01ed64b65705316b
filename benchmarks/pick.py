"""From raw micrographs to picks: the whole command, its parts, and what skipping pixels costs."""

import dataclasses
from pathlib import Path

import torch  # noqa: TID253  # what is measured
from common import CRYOPICK, FOLDER, heading, measure, medians, row, simulated, small_model

from cryopick.evaluate import evaluate_picks
from cryopick.io import match_names, read_picks
from cryopick.learn import load_model
from cryopick.pick import Picker, PickSettings
from cryopick.picks import Picks, concatenate

RADIUS_PX = 35.0  # a third of the diameter of 160 Å, in raw pixels


def main(count: int = 16, side_px: int = 4096) -> None:
    """Print the tables."""
    paths = simulated(count, side_px)
    model = small_model(paths)
    picker = Picker.ready(load_model(model), PickSettings(), torch.device("cpu"))
    prepared, _ = picker.prepare(paths[0])
    works = {
        "read and prepare": lambda: picker.prepare(paths[0]),
        "score": lambda: picker.score(prepared),
        "all, with suppression": lambda: picker.pick(paths[0]),
    }
    seconds = medians(works)
    heading(f"Pick, {torch.get_num_threads()} threads")
    for name in works:
        row(name, seconds[name], seconds[name] / seconds["score"], "scoring")
    commands = [command_seconds(paths[:number], model) for number in (1, count)]
    each = (commands[1] - commands[0]) / (count - 1)
    row(f"`cryopick pick` of {count}, each further", each, each / seconds["score"], "scoring")
    row("`cryopick pick` of 1", commands[0], commands[0] / seconds["score"], "scoring")
    precision(picker, paths[8:] or paths)


def command_seconds(paths: list[Path], model: Path) -> float:
    """Wall seconds of the command."""
    out = FOLDER / "picks.star"
    return measure(CRYOPICK, "pick", *paths, "--model", model, "-o", out, "--force").seconds


def precision(picker: Picker, paths: list[Path]) -> None:
    """Average precision at each scoring step, on micrographs that training did not see."""
    known = match_names(read_picks(paths[0].parents[1] / "particles.tsv"), paths).picks
    heading("Average precision by scoring step")
    for step in (1, 2, 4):
        changed = dataclasses.replace(picker, settings=PickSettings(step_px=step))
        found: list[Picks] = []
        seconds = medians(
            {"all": lambda found=found, changed=changed: found.extend(map(changed.pick, paths))}, 1
        )["all"]
        own = concatenate(found[: len(paths)])
        judged = evaluate_picks(own, known, RADIUS_PX, [str(path) for path in paths])
        words = "average precision of the picks"
        row(f"every {step} px", seconds / len(paths), f"{judged.average_precision:.4f}", words)


if __name__ == "__main__":
    main()
