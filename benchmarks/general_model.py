"""The general model without labels and with few, compared with a pretrained reference.

All parts run cryopick commands in runs/general-model; existing results are reused.

- `real`: the four test micrographs of EMPIAR-10017 without labels, with `labels_10.tsv` and
  `labels_25.tsv`, with the general model and from random weights, and the reference's detector.
- `simulated`: held-out structures, compared with the reference's detector.
- `negatives`: micrographs without particles: picks with scores of at least 0, and picks that the
  automatic threshold keeps.
- `failures`: images of the wrong picks with the highest scores and of the particles with the
  lowest scores.

    .venv/bin/python benchmarks/general_model.py [real] [simulated] [negatives] …
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from common import ROOT, cryopick, listed
from empiar10017 import DATA, judge, micrographs, with_spread
from scipy.ndimage import gaussian_filter

from cryopick.evaluate.evaluation import Evaluation, evaluate_picks
from cryopick.evaluate.expectation import select_automatically
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.thresholds import select_strongest
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks
from cryopick.preprocess.pipeline import rescale_micrograph
from cryopick.simulate.molecule_files import load_molecule

TOPAZ = ROOT / ".peer" / "bin" / "topaz"
SHARED = ROOT.parent / "shared" / "data"
OUT = ROOT / "runs" / "general-model"
HELD_BACK = {
    "IgG1_1igy.cif": "IgG, thin",
    "RET-GFRa2-NRTN_6gl7.pdb": "RET complex, thin",
    "MCR_1e6v.pdb": "MCR, compact",
    "Spike_6vxx.pdb": "spike, compact",
}
SIMULATED_PX_ANG = 1.5
NEGATIVE_PX_ANG = 8.6  # the files do not say; a usual pixel of 1.07 Å, eight of them together
EVEN_ODDS = 0  # on simulated fields
EXAMPLES = 8  # of each failure
FIGURE = ROOT / "docs" / "results" / "general-model-failures.png"
EVERYTHING = "-6"  # a threshold below all that matters, so that precision is averaged to the end


def main() -> None:
    """Run missing experiments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["real", "simulated", "negatives", "failures"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--without-peer", action="store_true", help="leave the reference out")
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for part in chosen.parts:
        {"real": real, "simulated": simulated, "negatives": negatives, "failures": failures}[part](
            chosen
        )


def real(chosen: argparse.Namespace) -> None:
    """Measure average precision on the test micrographs of EMPIAR-10017."""
    test = micrographs("test")
    truth = match_names(read_picks(DATA / "particles.tsv"), test).picks
    lists = {s: listed(micrographs(s), OUT / f"{s}-list") for s in ("train", "test")}
    where = ("--pixel-size-ang", 1.77)
    print("\n| EMPIAR-10017, test | average precision | best F1 | training, s |\n|---|---|---|---|")
    table = without_labels()
    line("cryopick, no labels", [judge(read_picks(table), truth, test)])
    for init in ("general", "random"):
        for labels in (10, 25):
            found, taken = [], []
            for seed in range(chosen.seeds):
                name = f"real-{init}-{labels}-{seed}"
                model, table = OUT / f"{name}.safetensors", OUT / f"{name}.tsv"
                taken.append(
                    once(
                        model,
                        *("train", "-m", lists["train"], "--init", init, "--seed", seed),
                        *("-p", DATA / f"labels_{labels}.tsv", "--diameter-ang", 190, *where),
                        *("--particles-per-micrograph", 650),
                    )
                )
                once(table, "pick", lists["test"], "--model", model, *where)
                found.append(judge(read_picks(table), truth, test))
            name = f"cryopick, {labels} labels, {'guided' if init == 'general' else 'from scratch'}"
            line(name, found, statistics.mean(taken))
    if not chosen.without_peer:
        for factor in (4, 8):
            picks = peer_picks(f"real-{factor}", test, factor, radius_px=54 // factor)
            line(
                f"topaz-em, its pretrained resnet16_u64, {factor}-fold", [judge(picks, truth, test)]
            )


def without_labels() -> Path:
    """Return the picks of the general model on the test micrographs of EMPIAR-10017."""
    table = OUT / "real-0.tsv"
    sizes = ("--diameter-ang", 190, "--pixel-size-ang", 1.77)
    paths = listed(micrographs("test"), OUT / "test-list")
    once(table, "pick", paths, *sizes, "--threshold", EVERYTHING)
    return table


def simulated(chosen: argparse.Namespace) -> None:
    """Measure average precision on simulated micrographs of held-out structures."""
    print("\n| simulated, held back | cryopick, no labels | topaz-em, 4-fold | 8-fold |")
    print("|---|---|---|---|")
    for file, name in HELD_BACK.items():
        structure = SHARED / "structures" / file
        folder = OUT / f"sim-{structure.stem}"
        diameter_ang = load_molecule(str(structure)).diameter_ang
        if not (folder / "particles.tsv").exists():
            words = ("--count", 4, "--molecule", structure, "--particles", 70, "--seed", 11)
            cryopick("simulate", folder, *words, "--ice-thickness-ang", 600)
        truth = read_picks(folder / "particles.tsv")
        paths = sorted((folder / "micrographs").glob("*.mrc"))
        truth = match_names(truth, paths).picks
        radius_px = diameter_ang / SIMULATED_PX_ANG / 3
        table = OUT / f"sim-{structure.stem}.tsv"
        once(
            table,
            *("pick", folder / "micrographs", "--diameter-ang", f"{diameter_ang:.0f}"),
            *("--threshold", EVERYTHING),
        )
        cells = [score(read_picks(table), truth, paths, radius_px)]
        for factor in () if chosen.without_peer else (4, 8):
            half = round(diameter_ang / SIMULATED_PX_ANG / 2 / factor)
            picks = peer_picks(f"sim-{structure.stem}-{factor}", paths, factor, radius_px=half)
            cells.append(score(picks, truth, paths, radius_px))
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def negatives(_: argparse.Namespace) -> None:
    """Count picks with and without particles, at 0 and at the automatic threshold."""
    print("\n| class | score at least 0: 100 Å | 146 Å | 250 Å | kept by auto: 100, 146, 250 Å |")
    print("|---|---|---|---|---|")
    for folder in sorted((SHARED / "negatives").iterdir()):
        cells, kept = [], []
        for diameter_ang in (100, 146, 250):
            table = OUT / f"negatives-all-{folder.name}-{diameter_ang}.tsv"
            once(
                table,
                *("pick", folder, "--diameter-ang", diameter_ang),
                *("--pixel-size-ang", NEGATIVE_PX_ANG, "--threshold", EVERYTHING),
            )
            picks = read_picks(table)
            many = [
                int((picks.score[own] >= EVEN_ODDS).sum())
                for own in picks.rows_by_micrograph().values()
            ]
            cells.append(", ".join(map(str, sorted(many))))
            kept.append(str(len(select_automatically(picks, drop_empty=True).picks)))
        print(f"| {folder.name} |", " | ".join(cells), "|", ", ".join(kept), "|", flush=True)


def failures(_: argparse.Namespace) -> None:
    """Draw wrong picks and missed particles of the other parts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows: list[tuple[str, Picks, Picks, list[Path], float, float]] = []
    test = micrographs("test")
    truth = match_names(read_picks(DATA / "particles.tsv"), test).picks
    picks = match_names(read_picks(without_labels()), test).picks
    rows.append(("EMPIAR-10017", picks, truth, test, 40.0, 190 / 1.77))
    for file, name in HELD_BACK.items():
        stem, folder = Path(file).stem, OUT / f"sim-{Path(file).stem}"
        across_px = load_molecule(str(SHARED / "structures" / file)).diameter_ang / SIMULATED_PX_ANG
        paths = sorted((folder / "micrographs").glob("*.mrc"))
        truth = match_names(read_picks(folder / "particles.tsv"), paths).picks
        picks = match_names(read_picks(OUT / f"sim-{stem}.tsv"), paths).picks
        rows.append((name, picks, truth, paths, across_px / 3, across_px))
    figure = Figure(figsize=(2 * EXAMPLES, 1.25 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    for line, (axes, row) in enumerate(zip(figure.subplots(len(rows), 2), rows, strict=True)):
        name, picks, truth, paths, radius_px, across_px = row
        right = match_picks(picks, truth, radius_px)
        wrong = select_strongest(picks.select(right < 0), EXAMPLES)
        best = np.full(len(truth), -np.inf)
        best[right[right >= 0]] = picks.score[right >= 0]
        hidden = truth.select(np.argsort(best, kind="stable")[:EXAMPLES])
        for ax, own, words in zip(
            axes, (wrong, hidden), ("wrong, highest scores", "missed"), strict=True
        ):
            ax.imshow(np.hstack(crops(own, paths, across_px)), cmap="gray", vmin=-2.5, vmax=2.5)
            ax.set(xticks=[], yticks=[], title=f"{words} first" if line == 0 else "")
        axes[0].set_ylabel(name, fontsize=7)
    figure.savefig(FIGURE, dpi=90)


def crops(places: Picks, paths: list[Path], across_px: float) -> list[np.ndarray]:
    """Cut standardised squares of two and a half diameters around positions."""
    found, factor = [], across_px / 24
    images = {str(path): rescale_micrograph(read_micrograph(path).pixels, factor) for path in paths}
    for name, own in places.split_by_micrograph():
        image = gaussian_filter(images[name].image, 1.0)
        padded = np.pad((image - image.mean()) / image.std(), 30)
        last = np.array(image.shape[::-1]) - 1
        for x, y in np.clip(np.rint(images[name].from_raw(own.xy_px)), 0, last).astype(int):
            crop = padded[y : y + 61, x : x + 61]
            found.append(np.pad(crop, 1, constant_values=2.5))
    return found


def once(result: Path, *arguments: object) -> float:
    """Run a cryopick command unless its `result` exists; return its time."""
    notes = result.with_name(f"{result.name}.seconds.json")
    if not result.exists():
        started = time.monotonic()
        cryopick(*arguments, "-o", result)
        notes.write_text(json.dumps(time.monotonic() - started))
    return float(json.loads(notes.read_text())) if notes.exists() else float("nan")


def peer_picks(name: str, paths: list[Path], factor: int, *, radius_px: int) -> Picks:
    """Return picks of the reference's pretrained detector, in raw pixels."""
    table, small = OUT / f"peer-{name}.txt", OUT / f"peer-{name}"
    if not table.exists():
        reads = [as_mrc(path) for path in paths]
        commands = (
            [TOPAZ, "preprocess", "-s", factor, "-o", f"{small}/", *reads],
            [
                *(TOPAZ, "extract", "-r", radius_px, "-m", "resnet16_u64", "-x", factor),
                *("-t", EVERYTHING, "-d", -1, "-o", table),
                *(small / f"{path.stem}.mrc" for path in paths),
            ],
        )
        for command in commands:
            print("$", *command, file=sys.stderr, flush=True)
            subprocess.run([str(word) for word in command], check=True)
    return match_names(read_picks(table), paths).picks


def as_mrc(path: Path) -> Path:
    """Convert the micrograph to MRC, whose rows the reference reads in the same order."""
    if path.suffix == ".mrc":
        return path
    from cryopick.io.images.mrc import write_mrc

    copy = OUT / f"{path.stem}.mrc"
    if not copy.exists():
        write_mrc(copy, read_micrograph(path).pixels, pixel_size_ang=None)
    return copy


def score(picks: Picks, truth: Picks, paths: list[Path], radius_px: float) -> str:
    """Return the average precision on micrographs, as a cell of a table."""
    own = match_names(picks, paths).picks
    judged = evaluate_picks(own, truth, radius_px, [str(path) for path in paths])
    return f"{judged.average_precision or 0.0:.3f}"


def line(name: str, found: list[Evaluation], training_s: float | None = None) -> None:
    """Print a row of the table of real micrographs."""
    area = with_spread([one.average_precision or 0.0 for one in found])
    f1 = with_spread([one.best.f1 if one.best else 0.0 for one in found])
    print(f"| {name} | {area} | {f1} | {f'{training_s:.0f}' if training_s else '–'} |", flush=True)


if __name__ == "__main__":
    main()
