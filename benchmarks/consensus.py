"""What several pickers agree on, beside each of them alone, on EMPIAR-10017's test micrographs.

    .venv/bin/python benchmarks/consensus.py

The published picks of other programs, the general model's at its best threshold on the training
micrographs, and their consensus. A pick is right within 40 pixels of a label.
"""

import numpy as np
from empiar10017 import DATA, RADIUS_PX, SIDE_PX, micrographs

from cryopick.consensus import consensus
from cryopick.evaluate import evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.io import match_names, read_picks
from cryopick.io.tables import read_picks_many
from cryopick.learn import load_model
from cryopick.learn.device import choose_device
from cryopick.learn.general import GENERAL_MODEL
from cryopick.pick import Picker, PickSettings
from cryopick.picks import Picks, concatenate

OTHERS = ("crYOLO", "topaz", "deepPicker")
PIXEL_SIZE_ANG, DIAMETER_ANG = 1.77, 190.0


def published(name: str, which: str) -> Picks:
    """The picks of another program, in the frame of the images."""
    paths = micrographs(which)
    boxes = [DATA / "other_pickers" / name / f"{path.stem}.box" for path in paths]
    picks = read_picks_many(boxes).inverted_y(SIDE_PX + 1)
    return match_names(picks, paths).picks


def ours(which: str) -> Picks:
    """Everything that the general model picks, without a label."""
    settings = PickSettings(diameter_ang=DIAMETER_ANG, pixel_size_ang=PIXEL_SIZE_ANG)
    paths = micrographs(which)
    picker = Picker.ready(load_model(GENERAL_MODEL), settings, choose_device("cpu"), paths)
    return concatenate([picker.pick(path) for path in paths])


def truth_of(which: str) -> Picks:
    """The labels."""
    return match_names(read_picks(DATA / "particles.tsv"), micrographs(which)).picks


def row(name: str, picks: Picks, truth: Picks) -> None:
    """Print one line of the table."""
    right = int(np.count_nonzero(match_picks(picks, truth, RADIUS_PX) >= 0))
    precision, recall = right / max(len(picks), 1), right / len(truth)
    f1 = 2 * right / (len(picks) + len(truth))
    print(f"| {name} | {len(picks)} | {precision:.3f} | {recall:.3f} | {f1:.3f} |")


def main() -> None:
    """Print the table."""
    best = evaluate_picks(ours("train"), truth_of("train"), RADIUS_PX).best
    everything, truth = ours("test"), truth_of("test")
    own = everything.select(everything.score >= best.threshold)
    tables = {"cryopick, no labels": own} | {name: published(name, "test") for name in OTHERS}
    print("| picks | number | precision | recall | F1 |\n|---|---|---|---|---|")
    for name, picks in tables.items():
        row(name, picks, truth)
    for least in range(1, len(tables) + 1):
        agreed = consensus(list(tables.values()), RADIUS_PX, least)
        row(f"at least {least} of the four", agreed, truth)


if __name__ == "__main__":
    main()
