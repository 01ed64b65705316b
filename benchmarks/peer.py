"""Comparison with the reference program, run alternately: run by `make bench-peer`.

The reference is topaz-em, installed in a separate environment and only run as a
program, with its default options. Both process all micrographs.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from common import CRYOPICK, FOLDER, ROOT, Inputs, measure

TOPAZ = ROOT / ".peer" / "bin" / "topaz"
FACTOR = 8
REGIONS_PEER = 256  # its minibatch
REGIONS = 8 * 17**2 + 2 * 9  # unlabelled and labelled regions of our step

Round = dict[str, Sequence[float]]  # wall seconds of a whole command, ours and theirs


def main(inputs: Inputs | None = None, repeats: int = 3) -> None:
    """Measure missing rounds, and print the tables."""
    inputs = inputs or Inputs()
    inputs.model(FACTOR)
    peer = Peer(inputs)
    measure(TOPAZ, "--help")  # its libraries come from disk once; the table is of later starts
    notes = peer.folder / "rounds.json"
    rounds: list[Round] = json.loads(notes.read_text()) if notes.exists() else []
    while len(rounds) < repeats:
        rounds.append(one_round(inputs, peer))
        notes.write_text(json.dumps(rounds, indent=1))
    median = {
        name: (
            statistics.median(one[name][0] for one in rounds),
            statistics.median(one[name][1] for one in rounds),
        )
        for name in rounds[0]
    }
    commands(median, len(rounds))
    ratios(median, inputs.count)


def one_round(inputs: Inputs, peer: "Peer") -> Round:
    """Measure each task with cryopick and directly afterwards with the reference."""
    tiny = Inputs(count=1, side_px=256, folder=inputs.folder).micrographs
    paths, folder, table = inputs.micrographs, inputs.folder, inputs.labels
    converted = folder / "converted.star"
    start = middle(lambda: measure(TOPAZ, "--help").seconds)
    convert = ("convert", table, "-o", converted, "--force")
    done: Round = {
        "`--help`": (middle(lambda: seconds("--help")), start),
        "`--version`": (middle(lambda: seconds("--version")), start),
        "convert 25 picks": (middle(lambda: seconds(*convert)), start),
        "prepare, start": (middle(lambda: our_preparation(folder, tiny)), start),
    }
    warm(paths)
    ours = our_preparation(folder, paths)
    warm(paths)
    done["prepare"] = (ours, peer.prepare())
    for steps in (SHORT, LONG):
        done[f"train, {steps[0]} or {steps[1]} steps"] = (
            our_training(inputs, steps[0]),
            peer.train(steps[1]),
        )
    done["pick, start"] = (middle(lambda: our_picking(inputs, tiny)), start)
    warm(paths)
    done["pick"] = (our_picking(inputs, paths), peer.pick())
    return done


def middle(work: Callable[[], float]) -> float:
    """Return the median of three, so that loading from disk does not count."""
    return statistics.median(work() for _ in range(3))


def warm(paths: Sequence[Path]) -> None:
    """Read files into the page cache, which some machines soon drop."""
    for path in paths:
        path.read_bytes()


def commands(median: Round, repeats: int) -> None:
    """Print the measured times."""
    print(f"\n### Whole commands, medians of {repeats} alternating rounds\n")
    print("| command | cryopick | topaz-em 0.3.20 |\n|---|---|---|")
    for name, (ours, theirs) in median.items():
        print(f"| {name} | {ours:.3g} s | {theirs:.3g} s |", flush=True)


def ratios(median: Round, count: int) -> None:
    """Print ratios: with start-up, without it, and without that of the reference only."""
    start = median["prepare, start"][1]

    def line(name: str, ours: float, our_start: float, theirs: float, target: int) -> None:
        apart, others = ours - our_start, theirs - start
        values = (theirs / ours, others / apart if our_start else math.nan, others / ours)
        shown = " | ".join("" if math.isnan(value) else f"{value:.1f}" for value in values)
        print(f"| {name} | {shown} | {target} |", flush=True)

    print("\n### Ratios\n")
    print("| work | with start-up | without start-up | without that of the reference | target |")
    print("|---|---|---|---|---|")
    for name in ("`--help`", "`--version`", "convert 25 picks"):
        print(f"| {name} | {median[name][1] / median[name][0]:.1f} | | | 15 |")
    prepare, pick = median["prepare"], median["pick"]
    line(f"prepare {count}", prepare[0], median["prepare, start"][0], prepare[1], 15)
    theirs = prepare[1] + pick[1] - start  # two commands, without the start-up of one
    line(f"raw to picks of {count}", pick[0], median["pick, start"][0], theirs, 12)
    short, long = (median[f"train, {a} or {b} steps"] for a, b in (SHORT, LONG))
    ours = (long[0] - short[0]) / (LONG[0] - SHORT[0]) / REGIONS
    others = (long[1] - short[1]) / (LONG[1] - SHORT[1]) / REGIONS_PEER
    print(f"| regions learnt | | {others / ours:.1f} | | 20 |")
    print(
        f"\nPer micrograph: prepared in {prepare[0] / count:.3f} s and {prepare[1] / count:.2f} s; "
        f"picked from raw in {pick[0] / count:.3f} s and {theirs / count:.2f} s. "
        f"1,000 regions: {1000 * ours:.4f} s and {1000 * others:.3f} s."
    )


# Steps of a short and of a long training, ours and the reference's: the difference of their
# times is that of the steps between.
SHORT, LONG = (50, 20), (250, 80)


def seconds(*arguments: object) -> float:
    """Measure the wall time of a cryopick command."""
    return measure(CRYOPICK, *arguments).seconds


def our_preparation(folder: Path, paths: list[Path]) -> float:
    """Downsample and normalise."""
    out = folder / "preprocessed"
    return seconds("preprocess", *paths, "--factor", FACTOR, "-o", out, "--force")


def our_training(inputs: Inputs, steps: int) -> float:
    """Train the paper's network on pixels of the same size as the reference."""
    out = inputs.folder / "speed.safetensors"
    return seconds(
        *("train", "-o", out, "--force", "--checkpoint-every", steps),
        *inputs.training(FACTOR, steps),
    )


def our_picking(inputs: Inputs, paths: list[Path]) -> float:
    """Pick raw micrographs, with the paper's network on pixels of the same size."""
    out = inputs.folder / "picks.tsv"
    return seconds("pick", *paths, "--model", inputs.model(FACTOR), "-o", out, "--force")


class Peer:
    """The reference program in a separate folder; each method returns the wall time."""

    def __init__(self, inputs: Inputs) -> None:
        self.folder, self.inputs = inputs.folder / "peer-speed", inputs
        self.small, self.labels = self.folder / "small", self.folder / "labels.txt"
        self.folder.mkdir(parents=True, exist_ok=True)
        shrink_labels(inputs.labels, self.labels)

    def prepare(self) -> float:
        """Downsample and normalise, in one process: with more it is slower here."""
        return measure(
            TOPAZ, "preprocess", "-s", FACTOR, "-o", self.small, *self.inputs.micrographs
        ).seconds

    def train(self, steps: int) -> float:
        """Train the paper's network, from random weights."""
        return measure(
            *(TOPAZ, "train", "-d", -1, "-m", "conv31", "--units", 32, "--no-pretrained"),
            *("--train-images", self.small, "--train-targets", self.labels),
            *("-n", self.inputs.particles, "--epoch-size", steps, "--num-epochs", 1),
            *("--save-prefix", self.folder / "model", "-o", self.folder / "curve.txt"),
        ).seconds

    def pick(self) -> float:
        """Pick the preprocessed micrographs."""
        prepared = [self.small / path.name for path in self.inputs.micrographs]
        return measure(
            *(TOPAZ, "extract", "-d", -1, "-m", self.folder / "model_epoch1.sav"),
            *("-r", 7, "-x", FACTOR, "-o", self.folder / "picks.txt", *prepared),
        ).seconds


def shrink_labels(table: Path, out: Path) -> None:
    """Convert labels to pixels of the downsampled micrographs, as the reference requires."""
    lines = ["image_name\tx_coord\ty_coord"]
    for line in table.read_text().splitlines()[1:]:
        name, x, y = line.split("\t")[:3]
        lines.append(f"{name}\t{round(float(x) / FACTOR)}\t{round(float(y) / FACTOR)}")
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="with those of earlier runs")
    parser.add_argument("--afresh", action="store_true", help="forget the rounds of earlier runs")
    chosen = parser.parse_args()
    if chosen.afresh:
        (FOLDER / "peer-speed" / "rounds.json").unlink(missing_ok=True)
    main(repeats=chosen.rounds)
