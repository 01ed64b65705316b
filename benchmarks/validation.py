"""False positives by 2D classes: estimated and true fractions, by threshold.

    .venv/bin/python benchmarks/validation.py

Simulated micrographs with contamination are picked by the general model and classified by RELION
at four thresholds: rings, used to choose the rule, and Y-shaped molecules, used for testing.
Needs RELION; takes ten minutes. Existing results in runs/validation are reused. Draws
docs/results/validation-ring.png and validation-y-shaped.png.
"""

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
}
DIAMETER = ("--diameter-ang", "150")


def run(folder: Path, made: str, *words: str) -> None:
    """Run a cryopick command in the folder, unless its output exists."""
    if not (folder / made).exists():
        subprocess.run([CRYOPICK, *words], cwd=folder, check=True)


def study(name: str) -> Path:
    """Run missing steps of a study, print its fractions, and return its folder of classes."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    simulated, thresholds = STUDIES[name]
    particles = "data/particles.tsv"
    run(folder, particles, "simulate", "data", "--molecule", name, *FRAME, *simulated)
    run(folder, "picks.star", "pick", "data/micrographs", *DIAMETER, "-o", "picks.star")
    at = [word for threshold in thresholds for word in ("--at", str(threshold))]
    run(
        folder,
        "classes/shares.tsv",
        *("validate", "classes", "picks.star", "-m", "data/micrographs", "-o", "classes"),
        *("--classes", "8", "--iterations", "10", *DIAMETER, *at, "--truth", particles),
    )
    print(f"{name}\n{(folder / 'classes' / 'shares.tsv').read_text()}")
    return folder / "classes"


def main() -> None:
    """Run missing steps, and draw the figures."""
    for name in STUDIES:
        shutil.copy(study(name) / "shares.png", FIGURES / f"validation-{name}.png")


if __name__ == "__main__":
    main()
