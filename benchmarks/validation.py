"""Whether 2D classes tell the share of false positives: estimated against real, by threshold.

    .venv/bin/python benchmarks/validation.py

Ten simulated micrographs with dirt, picked by the general model, classified by RELION at five
thresholds. Needs RELION; takes a quarter of an hour. Draws docs/results/validation.png.
"""

import shutil
import subprocess
from pathlib import Path

from common import CRYOPICK, ROOT

FOLDER = ROOT / "runs" / "validation"
FIGURE = ROOT / "docs" / "results" / "validation.png"
THRESHOLDS = (2.47, 1.64, -0.44, -3.88, -5.1)  # some 200, 350, 500, 700 and 900 images
SIMULATED = (
    *("--count", "10", "--particles", "50", "--molecule", "ring", "--seed", "21"),
    *("--width-px", "800", "--height-px", "800", "--pixel-size-ang", "3"),
)
DIAMETER = ("--diameter-ang", "150")


def run(made: Path, *words: str) -> None:
    """Run a command of cryopick in the folder, unless what it makes is there."""
    if not made.exists():
        subprocess.run([CRYOPICK, *words], cwd=FOLDER, check=True)


def main() -> None:
    """Make what is missing, and draw the figure."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    run(FOLDER / "data" / "particles.tsv", "simulate", "data", *SIMULATED)
    run(FOLDER / "picks.star", "pick", "data/micrographs", *DIAMETER, "-o", "picks.star")
    at = [word for threshold in THRESHOLDS for word in ("--at", str(threshold))]
    run(
        FOLDER / "classes" / "shares.png",
        *("validate", "classes", "picks.star", "-m", "data/micrographs", "-o", "classes"),
        *("--classes", "8", "--iterations", "10", *DIAMETER, *at),
        *("--truth", "data/particles.tsv"),
    )
    shutil.copy(FOLDER / "classes" / "shares.png", FIGURE)
    print((FOLDER / "classes" / "classes.tsv").read_text())


if __name__ == "__main__":
    main()
