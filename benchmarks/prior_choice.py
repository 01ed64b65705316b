"""The expected number of particles by cross-validation on labelled micrographs.

The discussion of Bepler et al. 2019 suggests to choose π by cross-validation. Runs
`cryopick cross-validate` on 50 random labels with a quarter to four times the true number of
particles, and compares its choice with the average precision of networks that are trained with
these numbers on all labels and evaluated on other, fully labelled micrographs. Existing results in
runs/prior-choice are reused. Takes about five minutes per set on a free core.

    OMP_NUM_THREADS=1 nice -n 12 .venv/bin/python benchmarks/prior_choice.py
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import CRYOPICK, ROOT, listed
from empiar10017 import DATA as EMPIAR
from empiar10017 import micrographs

from cryopick.experiments.results import load_records
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks

OUT = ROOT / "runs" / "prior-choice"
SETS = {"y-shaped": 150, "empiar10017": 190}  # longest extent in ångströms
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
LABELS = 50
SETTINGS = """
steps = 300
learning_rate = 6e-3
warm_up_steps = 0
normalization = "dataset"
[network]
width = 16
[sampling]
unlabelled_patches = 3
positive_patches = 1
"""


def main() -> None:
    """Run missing steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--draws", type=int, default=3, help="draws of labels of the evaluation")
    chosen = parser.parse_args()
    print("| set | particles, of the true number | π | AP on held-out labels | AP on the truth |")
    print("|---|---|---|---|---|", flush=True)
    for name in chosen.sets:
        study(name, chosen.folds, chosen.draws)


def study(name: str, folds: int, draws: int) -> None:
    """Cross-validate and evaluate on a set, and print one row per candidate."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    training, held_out, table, pixels = load(name, folder)
    truth = match_names(read_picks(table), training).picks
    count = len(truth) / len(training)
    labels = folder / "labels.tsv"
    rows = np.sort(np.random.default_rng(0).permutation(len(truth))[:LABELS])
    write_picks(truth.select(rows), labels, overwrite=True)
    config = folder / "settings.toml"
    config.write_text(f"diameter_ang = {SETS[name]}\n{pixels}{SETTINGS}")
    lists = [listed(paths, folder / part) for part, paths in (("t", training), ("h", held_out))]
    numbers = {factor: round(factor * count, 1) for factor in FACTORS}
    words = [str(w) for number in numbers.values() for w in ("--particles-per-micrograph", number)]
    result = json.loads(
        cryopick(
            *("cross-validate", folder / "folds", "-m", lists[0], "-p", labels, *words),
            *("--folds", folds, "--config", config, "--json"),
        )
    )
    factors = [word for factor in FACTORS for word in ("--prior-factor", factor)]
    cryopick(
        *("benchmark", folder / "truth", "-m", lists[0], "--held-out-micrographs", lists[1]),
        *("-p", table, "--objective", "ge-binomial", "--labels", LABELS, "--repeats", draws),
        *(*factors, "--config", config, "--jobs", 1),
    )
    records = load_records(folder / "truth")
    for row in result["candidates"]:
        number = row["particles_per_micrograph"]
        factor = next(key for key, value in numbers.items() if value == number)
        mark = ", chosen" if number == result["best"] else ""
        found = [r.particle_average_precision for r in records if r.prior_factor == factor]
        print(
            f"| {name} | {factor:g}{mark} | {row['prior']:.4f} "
            f"| {describe(row['average_precisions'])} | {describe(found)} |",
            flush=True,
        )


def load(name: str, folder: Path) -> tuple[list[Path], list[Path], Path, str]:
    """Return training and held-out micrographs, their particles, and settings of the pixels."""
    if name == "empiar10017":
        pixels = "pixel_size_ang = 1.77\n"
        return micrographs("train"), micrographs("test"), EMPIAR / "particles.tsv", pixels
    data = folder / "data"
    if not (data / "particles.tsv").exists():
        cryopick(
            *("simulate", data, "--count", 12, "--molecule", name, "--particles", 40),
            *("--width-px", 1024, "--height-px", 1024, "--pixel-size-ang", 2, "--seed", 51),
            *("--ice-thickness-ang", 700, "--dose-e-per-ang2", 30),
        )
    paths = sorted((data / "micrographs").glob("*.mrc"))
    return paths[:8], paths[8:], data / "particles.tsv", ""


def describe(values: list[float]) -> str:
    """Return mean ± standard error."""
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.3f} ± {error:.3f}"


def cryopick(*arguments: object) -> str:
    """Run a cryopick command and return its output; its messages go to stderr."""
    command = [str(CRYOPICK), *map(str, arguments)]
    print("$", *command, file=sys.stderr, flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
