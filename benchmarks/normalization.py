"""Normalisations on micrographs of varied dose and ice thickness.

Repeats the comparison of Supplementary Figures 1 to 3 of Bepler et al. 2019, where micrographs of
one data set differ in brightness and contrast. Every set has micrographs of three doses and three
thicknesses of ice, in training and in evaluation. Prints the average precision over all evaluated
micrographs, with paired t-tests against the mixture of the paper, and how far the background of
single micrographs is from zero after normalisation. Existing results in runs/normalization are
reused. Takes about four minutes per molecule on a free core.

    OMP_NUM_THREADS=1 nice -n 12 .venv/bin/python benchmarks/normalization.py
"""

import argparse
import statistics
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
from common import ROOT, cryopick, listed

from cryopick.experiments.results import load_records
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks

OUT = ROOT / "runs" / "normalization"
MOLECULES = {"compact": 171, "y-shaped": 150}  # longest extent in ångströms
DOSES, THICKNESSES = (15, 30, 60), (250, 600, 1200)  # electrons per Å², Å
SPLITS = {"train": 61, "test": 62}  # and the seed of its first condition
KINDS = {
    "dataset": "mixture, one for all micrographs (the paper)",
    "micrograph": "mixture, one for each micrograph",
    "affine": "affine",
    "white": "whitening",
}
SMALL = (
    *("--width", 16, "--unlabelled-patches", 3, "--positive-patches", 1),
    *("--steps", 300, "--learning-rate", 6e-3),
)


def main() -> None:
    """Run missing steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", nargs="+", default=list(MOLECULES), choices=MOLECULES)
    parser.add_argument("--labels", type=int, default=25)
    parser.add_argument("--draws", type=int, default=4)
    chosen = parser.parse_args()
    for molecule in chosen.molecules:
        data = simulate(molecule)
        paths = {split: sorted((data / "micrographs").glob(f"{split}-*.mrc")) for split in SPLITS}
        study = OUT / molecule / "study"
        lists = {split: listed(found, data / split) for split, found in paths.items()}
        kinds = [word for kind in KINDS for word in ("--normalization", kind)]
        cryopick(
            *("benchmark", study, "-m", lists["train"], "-p", data / "particles.tsv", "--jobs", 1),
            *("--held-out-micrographs", lists["test"], "--diameter-ang", MOLECULES[molecule]),
            *("--objective", "ge-binomial", "--labels", chosen.labels, "--repeats", chosen.draws),
            *(*kinds, *SMALL),
        )
        report(molecule, study, chosen.labels, measure_backgrounds(molecule, paths["test"], lists))


def simulate(molecule: str) -> Path:
    """Simulate one micrograph of each condition for training and one for evaluation."""
    data = OUT / molecule / "data"
    if (data / "particles.tsv").exists():
        return data
    (data / "micrographs").mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    for split, first_seed in SPLITS.items():
        for number, (dose, thickness) in enumerate(product(DOSES, THICKNESSES)):
            name = f"{split}-dose{dose}-ice{thickness}"
            part = OUT / molecule / "parts" / name
            cryopick(
                *("simulate", part, "--count", 1, "--molecule", molecule, "--particles", 60),
                *("--width-px", 1280, "--height-px", 1280, "--pixel-size-ang", 2),
                *("--ice-thickness-ang", thickness, "--dose-e-per-ang2", dose),
                *("--seed", first_seed + 10 * number, "--force"),
            )
            (part / "micrographs" / "mic_000.mrc").rename(data / "micrographs" / f"{name}.mrc")
            header, *lines = (part / "particles.tsv").read_text().splitlines()
            rows = rows or [header]
            rows += [line.replace("mic_000", name, 1) for line in lines]
    (data / "particles.tsv").write_text("\n".join([*rows, ""]))
    return data


def measure_backgrounds(
    molecule: str, paths: list[Path], lists: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    """Return how mean and standard deviation of the background vary between micrographs."""
    spread = {}
    diameter_ang = MOLECULES[molecule]
    truth = match_names(read_picks(OUT / molecule / "data" / "particles.tsv"), paths).picks
    for kind in KINDS:
        out = OUT / molecule / "normalised" / kind
        words = ("--normalization", kind, "--diameter-ang", diameter_ang, "--force")
        cryopick("preprocess", lists["test"], *words, "-o", out)
        values = []
        for path in paths:
            image = read_micrograph(out / path.name).pixels
            scale = len(image) / len(read_micrograph(path).pixels)
            xy = truth.restrict([str(path)]).xy_px * scale
            y, x = np.mgrid[: image.shape[0], : image.shape[1]]
            near = np.zeros(image.shape, bool)
            for at_x, at_y in xy:
                near |= np.hypot(x - at_x, y - at_y) < 0.6 * 17  # a particle spans 17 pixels
            values.append((image[~near].mean(), image[~near].std()))
        means, deviations = np.array(values).T
        spread[kind] = float(np.std(means)), float(np.std(deviations) / np.mean(deviations))
    return spread


def report(
    molecule: str, study: Path, labels: int, spread: Mapping[str, tuple[float, float]]
) -> None:
    """Print one row per normalisation."""
    from scipy.stats import ttest_rel

    records = [record for record in load_records(study) if record.labels == labels]
    values = {
        kind: {r.repeat: r for r in records if r.settings["normalization"] == kind}
        for kind in KINDS
    }
    draws = sorted(set.intersection(*(set(found) for found in values.values())))
    print(f"\n### {molecule}: {labels} labels, {len(draws)} draws\n")
    print("| normalisation | particles, AP | regions, AP | background: mean | deviation |")
    print("|---|---|---|---|---|")
    for kind, title in KINDS.items():
        cells = [title]
        for measure in ("particle_average_precision", "region_average_precision"):
            own, reference = (
                [getattr(values[name][draw], measure) for draw in draws]
                for name in (kind, "dataset")
            )
            text = f"{statistics.mean(own):.3f} ± {statistics.stdev(own):.3f}"
            if kind != "dataset":
                gain = statistics.mean(own) - statistics.mean(reference)
                text += f" ({gain:+.3f}, P {ttest_rel(own, reference).pvalue:.2g})"
            cells.append(text)
        mean, deviation = spread[kind]
        print(f"| {' | '.join(cells)} | ± {mean:.3f} | ± {100 * deviation:.0f} % |", flush=True)


if __name__ == "__main__":
    main()
