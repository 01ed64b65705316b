"""What a few rejected picks are worth: labels alone, and with negatives, on EMPIAR-10017.

A person trains on labels, looks at the surest picks on the training micrographs, rejects the first
that are no particles, and trains again. The rejecting is done by the expert's table: a pick farther
than `REJECTED_PX` from all its particles. The test micrographs judge, as in `empiar10017.py`. What
is there already is not done again.

    .venv/bin/python benchmarks/negatives.py [--labels 10 25] [--negatives 0 10 30] [--seeds 3]
"""

import argparse
from pathlib import Path

import numpy as np
from common import ROOT
from empiar10017 import DATA, cryopick, judge, micrographs, with_spread

from cryopick.evaluate import is_near, strongest
from cryopick.io import match_names, read_picks, write_picks
from cryopick.picks import Picks, concatenate

OUT = ROOT / "runs" / "negatives"
REJECTED_PX = 60.0  # two thirds of a particle: nobody would call it badly centred


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 25])
    parser.add_argument("--negatives", type=int, nargs="+", default=[0, 10, 30])
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    test = micrographs("test")
    truth = match_names(read_picks(DATA / "particles.tsv"), test).picks

    print("| labels | negatives | average precision | best F1 |\n|---|---|---|---|")
    for labels in chosen.labels:
        for number in chosen.negatives:
            found = [
                judge(read_picks(picked(labels, number, seed, "test")), truth, test)
                for seed in range(chosen.seeds)
            ]
            area = with_spread([one.average_precision for one in found])
            f1 = with_spread([one.best.f1 for one in found])
            print(f"| {labels} | {number} | {area} | {f1} |", flush=True)


def picked(labels: int, number: int, seed: int, split: str) -> Path:
    """Picks on the micrographs of a split, by a model that learnt from labels and negatives."""
    name = f"{labels}_{number}_{seed}"
    model, table = OUT / f"{name}.safetensors", OUT / f"{name}-{split}.tsv"
    if not model.exists():
        negatives = ("--negatives", rejected(labels, number, seed)) if number else ()
        cryopick(
            *("train", "-m", listed("train"), "-p", DATA / f"labels_{labels}.tsv", *negatives),
            *("--diameter-ang", 190, "--pixel-size-ang", 1.77),
            *("--particles-per-micrograph", 650, "--seed", seed, "-o", model),
        )
    if not table.exists():
        cryopick(*("pick", listed(split), "--model", model, "--pixel-size-ang", 1.77, "-o", table))
    return table


def rejected(labels: int, number: int, seed: int) -> Path:
    """The surest picks on the training micrographs that are no particles."""
    train = micrographs("train")
    table = match_names(read_picks(picked(labels, 0, seed, "train")), train).picks
    particles = dict(match_names(read_picks(DATA / "particles.tsv"), train).picks.by_micrograph())
    wrong: list[Picks] = []
    for name, own in table.by_micrograph():
        near = is_near(own.xy_px, particles[name].xy_px, REJECTED_PX)
        wrong.append(own.select(np.flatnonzero(~near)))
    out = OUT / f"{labels}_{number}_{seed}-rejected.tsv"
    write_picks(strongest(concatenate(wrong), number), out, overwrite=True)
    return out


def listed(split: str) -> str:
    """The micrographs of a split as one word of a command line."""
    out = OUT / f"{split}-list"
    out.write_text("".join(f"{path}\n" for path in micrographs(split)))
    return f"@{out}"


if __name__ == "__main__":
    main()
