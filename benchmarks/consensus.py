"""Consensus of several pickers, and each picker alone, on EMPIAR-10017's test micrographs.

    .venv/bin/python benchmarks/consensus.py

The pickers are other programs, with published picks, and the general model. The threshold of each
table, also of the consensus, maximizes F1 on the eight training micrographs; the four test
micrographs serve for evaluation. A pick is correct within 40 pixels of a label.
"""

from collections.abc import Mapping

from empiar10017 import DATA, RADIUS_PX, SIDE_PX, micrographs

from cryopick.evaluate.consensus import find_consensus
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.thresholds import apply_threshold, select_strongest
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, read_picks_many
from cryopick.model.device import choose_device
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate

OTHERS = ("crYOLO", "topaz", "deepPicker")
RIVAL = "crYOLO"  # the best one: the last column is the precision of as many of its best picks
PIXEL_SIZE_ANG, DIAMETER_ANG = 1.77, 190.0


def published(name: str, which: str) -> Picks:
    """Return the picks of another program, in the coordinates of the images."""
    paths = micrographs(which)
    boxes = [DATA / "other_pickers" / name / f"{path.stem}.box" for path in paths]
    picks = read_picks_many(boxes).invert_y(SIDE_PX + 1)
    return match_names(picks, paths).picks


def ours(which: str) -> Picks:
    """Return the picks of the general model without labels."""
    settings = PickSettings(diameter_ang=DIAMETER_ANG, pixel_size_ang=PIXEL_SIZE_ANG)
    paths = micrographs(which)
    picker = Picker.create(load_model(GENERAL_MODEL), settings, choose_device("cpu"), paths)
    return concatenate([picker.pick(path) for path in paths])


def truth_of(which: str) -> Picks:
    """Return the labels."""
    return match_names(read_picks(DATA / "particles.tsv"), micrographs(which)).picks


def row(name: str, learnt: Picks, found: Picks) -> float:
    """Print a row: choose the threshold on `learnt`, evaluate on `found`."""
    threshold = evaluate_picks(learnt, truth_of("train"), RADIUS_PX).best.threshold
    whole = evaluate_picks(found, truth_of("test"), RADIUS_PX)
    kept = apply_threshold(found, threshold)
    point = evaluate_picks(kept, truth_of("test"), RADIUS_PX).all_picks
    rival = select_strongest(published(RIVAL, "test"), len(kept))
    as_many = evaluate_picks(rival, truth_of("test"), RADIUS_PX).all_picks.precision
    print(
        f"| {name} | {whole.average_precision:.3f} | {len(kept)} | {point.precision:.3f} "
        f"| {point.recall:.3f} | {point.f1:.3f} | {as_many:.3f} |"
    )
    return threshold


def agreements(learnt: Mapping[str, Picks], found: Mapping[str, Picks], names: str) -> None:
    """Print the rows of the consensus of some pickers, each at its best threshold."""
    for least in range(1, len(learnt) + 1):
        own = (
            find_consensus(list(tables.values()), RADIUS_PX, least) for tables in (learnt, found)
        )
        row(f"at least {least} of {names}", *own)


def main() -> None:
    """Print the table."""
    learnt, found = (
        {"cryopick, no labels": ours(which)} | {name: published(name, which) for name in OTHERS}
        for which in ("train", "test")
    )
    print("| picks | average precision | number | precision | recall | F1 | as many of crYOLO |")
    print("|---|---|---|---|---|---|---|")
    cut_learnt, cut_found = {}, {}
    for name in learnt:
        threshold = row(name, learnt[name], found[name])
        cut_learnt[name] = apply_threshold(learnt[name], threshold)
        cut_found[name] = apply_threshold(found[name], threshold)
    agreements(cut_learnt, cut_found, "the four")
    agreements(
        {name: picks for name, picks in cut_learnt.items() if name != "deepPicker"},
        {name: picks for name, picks in cut_found.items() if name != "deepPicker"},
        "three, without deepPicker",
    )


if __name__ == "__main__":
    main()
