"""Few labels on real micrographs: train, pick and evaluate on EMPIAR-10017, several seeds.

Runs the commands of docs/results/empiar10017.md in a separate folder, and prints the tables of
that page; existing results are reused.

    .venv/bin/python benchmarks/empiar10017.py [--labels 25 100] [--seeds 3]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from common import cryopick, listed

from cryopick.evaluate.evaluation import Evaluation, evaluate_picks
from cryopick.evaluate.matching import match_points
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, read_picks_many
from cryopick.picks import Picks
from cryopick.runs.text_files import read_name_list

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "empiar10017"
RADIUS_PX = 40.0
SIDE_PX = 4096
PICTURED = 1  # the test micrograph in the picture, and the corner of it that is shown
CORNER_PX = (1400, 1400, 1400)  # x, y, side


def main() -> None:
    """Run missing experiments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[25, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "empiar10017")
    parser.add_argument("--figure", type=Path, help="draw the page's picture to this file")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    test = micrographs("test")
    truth = match_names(read_picks(DATA / "particles.tsv"), test).picks

    print("| picks | average precision | best F1 | precision | recall | training, s |")
    print("|---|---|---|---|---|---|")
    judged: dict[str, Evaluation] = {}
    for labels in chosen.labels:
        runs = [one_run(labels, seed, chosen.out) for seed in range(chosen.seeds)]
        found = [judge(read_picks(table), truth, test) for table, _ in runs]
        judged[f"cryopick, {labels} labels"] = found[0]
        row(f"cryopick, {labels} labels", found, statistics.mean(s for _, s in runs))
    for name in ("crYOLO", "topaz", "deepPicker"):
        other = judge(other_picks(name), truth, test)
        judged[name] = other
        row(f"{name}, published", [other], None)
    if chosen.figure:
        best = judged[f"cryopick, {labels} labels"].best
        draw(judged, apply_threshold(read_picks(runs[0][0]), best.threshold), truth, chosen.figure)


def micrographs(split: str) -> list[Path]:
    """Return the micrographs of train.txt or test.txt."""
    return [DATA / "micrographs" / f"{name}.jpg" for name in read_name_list(DATA / f"{split}.txt")]


def one_run(labels: int, seed: int, out: Path) -> tuple[Path, float]:
    """Train and pick, unless done; return the table of picks and the training time."""
    model, table = out / f"labels{labels}_seed{seed}.safetensors", out / f"{labels}_{seed}.tsv"
    notes = model.with_suffix(".json")
    lists = {
        split: listed(micrographs(split), out / f"{split}-list") for split in ("train", "test")
    }
    if not notes.exists():
        started = time.monotonic()
        cryopick(
            *(
                "train",
                *("--init", "random", "--normalization", "dataset"),
                *("-m", lists["train"]),
                "-p",
                DATA / f"labels_{labels}.tsv",
            ),
            *("--diameter-ang", 190, "--pixel-size-ang", 1.77),
            *("--particles-per-micrograph", 650, "--seed", seed, "-o", model),
        )
        notes.write_text(json.dumps({"training_s": time.monotonic() - started}))
    if not table.exists():
        cryopick(
            *("pick", lists["test"], "--model", model, "--pixel-size-ang", 1.77),
            *("-o", table),
        )
    return table, json.loads(notes.read_text())["training_s"]


def other_picks(name: str) -> Picks:
    """Return the picks of another program, made for vertically flipped micrographs."""
    boxes = [DATA / "other_pickers" / name / f"{path.stem}.box" for path in micrographs("test")]
    return read_picks_many(boxes).invert_y(SIDE_PX + 1)  # y_jpg = 4096 - y, says the provenance


def judge(picks: Picks, truth: Picks, test: list[Path]) -> Evaluation:
    """Evaluate picks on the test micrographs."""
    own = match_names(picks, test).picks
    return evaluate_picks(own, truth, RADIUS_PX, [str(path) for path in test])


def row(name: str, found: list[Evaluation], training_s: float | None) -> None:
    """Print a row: means over the seeds, with the standard deviation of several."""
    area = [one.average_precision or float("nan") for one in found]
    cells = [with_spread(area)]
    for value in ("f1", "precision", "recall"):
        cells.append(with_spread([getattr(one.best, value) for one in found]))
    cells.append("–" if training_s is None else f"{training_s:.0f}")
    print(f"| {name} |", " | ".join(cells), "|", flush=True)


def with_spread(values: list[float]) -> str:
    """Format a mean with its standard deviation."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def draw(judged: dict[str, Evaluation], picks: Picks, truth: Picks, path: Path) -> None:
    """Draw precision-recall curves, and picks on a part of one test micrograph."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    curves, view = figure.subplots(1, 2)
    for name, one in judged.items():
        if one.curve is not None:
            curves.plot(one.curve.recall, one.curve.precision, label=name)
    curves.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
    curves.grid(alpha=0.3)
    curves.legend(loc="lower left", frameon=False)

    chosen = micrographs("test")[PICTURED]
    own = dict(match_names(picks, [chosen]).picks.split_by_micrograph())[str(chosen)]
    known = dict(truth.split_by_micrograph())[str(chosen)]
    partner = match_points(own.xy_px, own.score, known.xy_px, RADIUS_PX)
    x, y, side = CORNER_PX
    pixels = read_micrograph(chosen).pixels[y : y + side, x : x + side]
    small = pixels.reshape(side // 4, 4, side // 4, 4).mean(axis=(1, 3))
    low, high = np.percentile(small, [0.5, 99.5])
    extent = (x, x + side, y + side, y)
    view.imshow(small, cmap="gray", vmin=low, vmax=high, extent=extent)
    missed = np.setdiff1d(np.arange(len(known)), partner)
    for places, colour, name in (
        (own.xy_px[partner >= 0], "#4fd08a", "found"),
        (own.xy_px[partner < 0], "#ff7f50", "not among the labels"),
        (known.xy_px[missed], "#6db5ff", "missed"),
    ):
        view.scatter(*places.T, s=170, facecolors="none", edgecolors=colour, label=name)
    view.set(xlim=extent[:2], ylim=extent[2:], xlabel="x, raw pixels", ylabel="y, raw pixels")
    view.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
