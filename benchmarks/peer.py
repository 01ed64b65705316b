"""The reference program and cryopick at the same work, in turns: run by `make bench-peer`.

The reference is topaz-em, installed in an environment of its own and only ever run as a
program. Its start-up is left out of its times, and counted in ours.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

from common import CRYOPICK, DIAMETER_ANG, FOLDER, ROOT, listed, measure, simulated, small_model

TOPAZ = ROOT / ".peer" / "bin" / "topaz"
FACTOR = 8
PER_MICROGRAPH = 300
REGIONS_PEER = 256  # its minibatch
REGIONS = 8 * 17**2 + 2 * 9  # unlabelled and labelled regions of our step


def main(count: int = 16, count_peer: int = 4, repeats: int = 2) -> None:
    """Print the table."""
    paths = simulated(count)
    model = small_model(paths)
    few = paths[:count_peer]
    peer = Peer(FOLDER / "peer-speed", few)
    measure(TOPAZ, "--help")  # its libraries come from disk once; the table is of later starts
    seconds("convert", FOLDER / "labels.tsv", "-o", FOLDER / "converted.star", "--force")
    rounds = [one_round(peer, paths, model) for _ in range(repeats)]
    print("\n### Against topaz-em 0.3.20\n")
    print("| work | cryopick | reference | ratio |\n|---|---|---|---|")
    for name in rounds[0]:
        ours, theirs = (statistics.median(one[name][i] for one in rounds) for i in (0, 1))
        print(f"| {name} | {ours:.3g} s | {theirs:.3g} s | {theirs / ours:.1f} |", flush=True)


def one_round(peer: "Peer", paths: list[Path], model: Path) -> dict[str, tuple[float, float]]:
    """Seconds of cryopick and of the reference for one unit of each work."""
    start = statistics.median(measure(TOPAZ, "--help").seconds for _ in range(3))
    labels = FOLDER / "labels.tsv"
    ours = {
        "`--help`": seconds("--help"),
        "`--version`": seconds("--version"),
        "convert a table": seconds("convert", labels, "-o", FOLDER / "converted.star", "--force"),
        "prepare a micrograph": seconds(
            *("preprocess", *paths, "--factor", FACTOR, "-o", FOLDER / "preprocessed", "--force")
        )
        / len(paths),
        "learn from 1,000 regions": per_step(lambda steps: our_training(paths, labels, steps))
        / REGIONS
        * 1000,
        "pick a micrograph": seconds(
            "pick", *paths, "--model", model, "-o", FOLDER / "picks.tsv", "--force"
        )
        / len(paths),
    }
    prepared = (peer.prepare() - start) / len(peer.micrographs)
    learnt = per_step(peer.train, 20, 80) / REGIONS_PEER * 1000
    scored = (peer.pick() - start) / len(peer.micrographs)
    theirs = (start, start, start, prepared, learnt, prepared + scored)
    return {name: (ours[name], other) for name, other in zip(ours, theirs, strict=True)}


def seconds(*arguments: object) -> float:
    """Wall seconds of a command of cryopick's."""
    return measure(CRYOPICK, *arguments).seconds


def per_step(training: Callable[[int], float], short: int = 50, long: int = 250) -> float:
    """Seconds of one step: what a longer run takes beyond a short one."""
    return (training(long) - training(short)) / (long - short)


def our_training(paths: list[Path], labels: Path, steps: int) -> float:
    """Train the paper's network."""
    return seconds(
        *("train", "-m", listed(paths[:8]), "-p", labels),
        *("-o", FOLDER / "speed.safetensors", "--force"),
        *("--diameter-ang", DIAMETER_ANG, "--particles-per-micrograph", PER_MICROGRAPH),
        *("--steps", steps, "--checkpoint-every", steps),
    )


class Peer:
    """The reference at work in a folder of its own; each method returns wall seconds."""

    def __init__(self, folder: Path, micrographs: list[Path]) -> None:
        self.folder, self.micrographs = folder, micrographs
        self.small, self.labels = folder / "small", folder / "labels.txt"
        folder.mkdir(parents=True, exist_ok=True)
        shrink_labels(FOLDER / "labels.tsv", self.labels)

    def prepare(self) -> float:
        """Shrink and normalise."""
        return measure(
            TOPAZ, "preprocess", "-s", FACTOR, "-o", self.small, *self.micrographs
        ).seconds

    def train(self, steps: int) -> float:
        """Train the paper's network, from random weights."""
        return measure(
            *(TOPAZ, "train", "-d", -1, "-m", "conv31", "--units", 32, "--no-pretrained"),
            *("--train-images", self.small, "--train-targets", self.labels),
            *("-n", PER_MICROGRAPH, "--epoch-size", steps, "--num-epochs", 1),
            *("--save-prefix", self.folder / "model", "-o", self.folder / "curve.txt"),
        ).seconds

    def pick(self) -> float:
        """Score and suppress what is prepared."""
        prepared = [self.small / path.name for path in self.micrographs]
        return measure(
            *(TOPAZ, "extract", "-d", -1, "-m", self.folder / "model_epoch1.sav"),
            *("-r", 7, "-x", FACTOR, "-o", self.folder / "picks.txt", *prepared),
        ).seconds


def shrink_labels(table: Path, out: Path) -> None:
    """Labels in pixels of the shrunk micrographs, as the reference wants them."""
    lines = ["image_name\tx_coord\ty_coord"]
    for line in table.read_text().splitlines()[1:]:
        name, x, y = line.split("\t")[:3]
        lines.append(f"{name}\t{round(float(x) / FACTOR)}\t{round(float(y) / FACTOR)}")
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
