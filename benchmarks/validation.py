"""False positives by 2D classes: estimated and true fractions, by threshold.

    .venv/bin/python benchmarks/validation.py

Simulated micrographs with contamination are picked by the general model and classified by RELION
at four thresholds: rings, used to choose the rule, and Y-shaped and rod-like molecules, used for
testing. Options of the classification are those of `cryopick validate classes`.
Needs RELION; takes ten minutes. Existing results in runs/validation are reused. Draws
docs/results/validation-ring.png and validation-y-shaped.png.
"""

import argparse
import csv
import shutil
import subprocess
from pathlib import Path

from common import CRYOPICK, ROOT

FOLDER = ROOT / "runs" / "validation"
FIGURES = ROOT / "docs" / "results"
FRAME = ("--width-px", "800", "--height-px", "800", "--pixel-size-ang", "3", "--particles", "50")
STUDIES = {  # what is simulated, and the thresholds
    "ring": (("--count", "10", "--seed", "21"), (2.47, 1.64, -0.44, -3.88)),
    "y-shaped": (("--count", "8", "--seed", "22"), (2.0, 0.0, -2.0, -4.0)),
    "rod": (("--count", "8", "--seed", "22"), (2.0, 0.0, -2.0, -4.0)),
}
DIAMETERS = {"rod": "218"}  # longest extent in ångströms; 150 otherwise


def run(folder: Path, made: str, *words: str) -> None:
    """Run a cryopick command in the folder, unless its output exists."""
    if not (folder / made).exists():
        subprocess.run([CRYOPICK, *words], cwd=folder, check=True)


def study(name: str, oversampling: int, iterations: int, classes: int) -> Path:
    """Run missing steps of a study, print its fractions, and return its folder of classes."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    simulated, thresholds = STUDIES[name]
    particles = "data/particles.tsv"
    run(folder, particles, "simulate", "data", "--molecule", name, *FRAME, *simulated)
    diameter = ("--diameter-ang", DIAMETERS.get(name, "150"))
    run(folder, "picks.star", "pick", "data/micrographs", *diameter, "-o", "picks.star")
    at = [word for threshold in thresholds for word in ("--at", str(threshold))]
    out = f"classes-{oversampling}-{iterations}-{classes}"
    run(
        folder,
        f"{out}/shares.tsv",
        *("validate", "classes", "picks.star", "-m", "data/micrographs", "-o", out, *diameter),
        *("--classes", str(classes), "--iterations", str(iterations)),
        *("--oversampling", str(oversampling), *at, "--truth", particles),
    )
    print(f"{name}: oversampling {oversampling}, {iterations} iterations, {classes} classes")
    rows = csv.DictReader((folder / out / "classes.tsv").open(), delimiter="\t")
    counts: dict[str, list[int]] = {}
    for row in rows:
        counts.setdefault(row["set"], []).append(int(row["particles"]))
    largest = [f"{max(found) / sum(found):.0%}" for found in counts.values()]
    print((folder / out / "shares.tsv").read_text(), "largest class:", *largest)
    return folder / out


def main() -> None:
    """Run missing steps, and draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", nargs="+", default=list(STUDIES), choices=STUDIES)
    parser.add_argument("--oversampling", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--classes", type=int, default=8)
    chosen = parser.parse_args()
    for name in chosen.molecules:
        folder = study(name, chosen.oversampling, chosen.iterations, chosen.classes)
        shutil.copy(folder / "shares.png", FIGURES / f"validation-{name}.png")


if __name__ == "__main__":
    main()
