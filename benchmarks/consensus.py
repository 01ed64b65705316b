"""What several pickers agree on, beside each of them alone, on EMPIAR-10017's test micrographs.

    .venv/bin/python benchmarks/consensus.py

The published picks of other programs, the general model's, and what they agree on. Each table is
cut at the threshold of best F1 on the eight training micrographs, those of the consensus too; the
four test micrographs judge. A pick is right within 40 pixels of a label.
"""

from collections.abc import Mapping

from empiar10017 import DATA, RADIUS_PX, SIDE_PX, micrographs

from cryopick.evaluate.consensus import consensus
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.thresholds import strongest, thresholded
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, read_picks_many
from cryopick.model.device import choose_device
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate

OTHERS = ("crYOLO", "topaz", "deepPicker")
RIVAL = "crYOLO"  # the best of them: the last column is the precision of as many of its surest
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


def row(name: str, learnt: Picks, found: Picks) -> float:
    """Print one line of the table: cut where F1 is best on `learnt`, judge on `found`."""
    threshold = evaluate_picks(learnt, truth_of("train"), RADIUS_PX).best.threshold
    whole = evaluate_picks(found, truth_of("test"), RADIUS_PX)
    kept = thresholded(found, threshold)
    point = evaluate_picks(kept, truth_of("test"), RADIUS_PX).all_picks
    rival = strongest(published(RIVAL, "test"), len(kept))
    as_many = evaluate_picks(rival, truth_of("test"), RADIUS_PX).all_picks.precision
    print(
        f"| {name} | {whole.average_precision:.3f} | {len(kept)} | {point.precision:.3f} "
        f"| {point.recall:.3f} | {point.f1:.3f} | {as_many:.3f} |"
    )
    return threshold


def agreements(learnt: Mapping[str, Picks], found: Mapping[str, Picks], names: str) -> None:
    """Print the lines of what some pickers agree on, each cut where it is best by itself."""
    for least in range(1, len(learnt) + 1):
        own = (consensus(list(tables.values()), RADIUS_PX, least) for tables in (learnt, found))
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
        cut_learnt[name] = thresholded(learnt[name], threshold)
        cut_found[name] = thresholded(found[name], threshold)
    agreements(cut_learnt, cut_found, "the four")
    agreements(
        {name: picks for name, picks in cut_learnt.items() if name != "deepPicker"},
        {name: picks for name, picks in cut_found.items() if name != "deepPicker"},
        "three, without deepPicker",
    )


if __name__ == "__main__":
    main()
