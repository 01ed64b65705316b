"""Recall by view: orientations that blob detection, templates and models miss.

Simulates Y-shaped and rod-like particles with known orientations, picks them in several ways, and
prints recall over 18 bins of the sphere of views at the threshold of the best F1. Existing results
in runs/views are reused. Takes about ten minutes on two free cores.

    OMP_NUM_THREADS=1 nice -n 12 .venv/bin/python benchmarks/views.py [--molecules y-shaped rod]
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from common import CRYOPICK, ROOT, listed

from cryopick.evaluate.recall_profile import find_angles
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks

OUT = ROOT / "runs" / "views"
MOLECULES = {"y-shaped": 150, "rod": 218}  # longest extent in ångströms
PIXEL_ANG = 2.0
COUNT, LABELLED = 12, 4  # micrographs, and those with labels; the others are evaluated
LABELS = 25


def main() -> None:
    """Run missing steps and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", nargs="+", default=list(MOLECULES), choices=MOLECULES)
    parser.add_argument("--methods", nargs="+", help="only these")
    chosen = parser.parse_args()
    for molecule in chosen.molecules:
        folder = OUT / molecule
        if not (folder / "particles.tsv").exists():
            cryopick(
                *("simulate", folder, "--count", COUNT, "--molecule", molecule, "--seed", 31),
                *("--particles", 40, "--width-px", 1024, "--height-px", 1024),
                *("--pixel-size-ang", PIXEL_ANG, "--ice-thickness-ang", 700),
                *("--dose-e-per-ang2", 30),
            )
        report(molecule, folder, chosen.methods)


def report(molecule: str, folder: Path, only: Sequence[str] | None) -> None:
    """Print one row per method."""
    print(f"\n### {molecule}\n")
    print("| method | AP | best F1 | recall | recall by view, least to most | P of equal recall |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, pick in methods(molecule, folder).items():
        if only and name not in only:
            continue
        result = folder / f"{name.replace(' ', '-').replace(',', '')}.json"
        if not result.exists():
            result.write_text(evaluate(pick(result.with_suffix(".star")), molecule, folder))
        values = json.loads(result.read_text())
        profile = values["recall_profile"]
        recall = sorted(one["recall"] for one in profile["bins"]["view"])
        print(
            f"| {name} | {values['average_precision']:.3f} | {values['best']['f1']:.3f} "
            f"| {profile['recall']:.3f} | {recall[0]:.2f} to {recall[-1]:.2f} "
            f"| {profile['p_value']['view']:.2g} |",
            flush=True,
        )


def methods(molecule: str, folder: Path) -> dict[str, Callable[[Path], Path]]:
    """Return the methods by name; each writes a table of picks and returns its path."""
    diameter, test = MOLECULES[molecule], test_micrographs(folder)

    def blobs(out: Path) -> Path:
        cryopick("propose", test, "--diameter-ang", 0.6 * diameter, "-o", out, "--force")
        return out

    def templates(labels: Path) -> Callable[[Path], Path]:
        def run(out: Path) -> Path:
            shift = out.with_suffix(".labels.tsv")
            shift.write_bytes(labels.read_bytes())
            everything = listed(sorted((folder / "micrographs").glob("*.mrc")), folder / "all")
            whole = out.with_suffix(".all.star")
            cryopick(
                *("propose", everything, "--diameter-ang", 0.6 * diameter, "-o", whole),
                *("--templates", shift, "--force"),
            )
            return whole

        return run

    def general(out: Path) -> Path:
        cryopick("pick", test, "--diameter-ang", diameter, "-o", out, "--force")
        return out

    def trained(labels: Path) -> Callable[[Path], Path]:
        def run(out: Path) -> Path:
            model = out.with_suffix(".safetensors")
            training = listed(
                sorted((folder / "micrographs").glob("*.mrc"))[:LABELLED], folder / "labelled"
            )
            cryopick(
                *("train", "-m", training, "-p", labels, "-o", model, "--force"),
                *("--diameter-ang", diameter, "--particles-per-micrograph", 40),
            )
            cryopick("pick", test, "--model", model, "-o", out, "--force")
            return out

        return run

    everywhere, one_view = (
        draw_labels(folder, is_one_view=False),
        draw_labels(folder, is_one_view=True),
    )
    return {
        "blob detection": blobs,
        "templates, mean of 25 random labels": templates(everywhere),
        "templates, mean of 25 labels of one view": templates(one_view),
        "general model, no labels": general,
        "trained, 25 random labels": trained(everywhere),
        "trained, 25 labels of one view": trained(one_view),
    }


def draw_labels(folder: Path, *, is_one_view: bool) -> Path:
    """Write labels on the first micrographs: random ones, or those of similar view."""
    out = folder / ("labels-one-view.tsv" if is_one_view else "labels-random.tsv")
    paths = sorted((folder / "micrographs").glob("*.mrc"))[:LABELLED]
    truth = match_names(read_picks(folder / "particles.tsv"), paths).picks
    order = np.random.default_rng(0).permutation(len(truth))
    if is_one_view:
        azimuth, polar = np.radians(find_angles(truth)).T
        view = np.stack(
            [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], 1
        )
        order = np.argsort(-(view @ view[0]))
    chosen: Picks = truth.select(np.sort(order[:LABELS]))
    write_picks(chosen, out, overwrite=True)
    return out


def test_micrographs(folder: Path) -> str:
    """Return the micrographs that are evaluated as one word of a command line."""
    return listed(sorted((folder / "micrographs").glob("*.mrc"))[LABELLED:], folder / "test")


def evaluate(picks: Path, molecule: str, folder: Path) -> str:
    """Evaluate picks on the test micrographs, and return JSON."""
    names = folder / "test-names.txt"
    paths = sorted((folder / "micrographs").glob("*.mrc"))[LABELLED:]
    names.write_text("".join(f"{path.stem}\n" for path in paths))
    command = [
        *(CRYOPICK, "evaluate", picks, folder / "particles.tsv", "--by-view", "--json"),
        *("--diameter-ang", MOLECULES[molecule] / 1.5, "--pixel-size-ang", PIXEL_ANG),
        *("--only", names),
    ]
    return subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def cryopick(*arguments: object) -> None:
    """Run a cryopick command; its messages go to stderr."""
    command = [str(CRYOPICK), *map(str, arguments)]
    print("$", *command, file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
