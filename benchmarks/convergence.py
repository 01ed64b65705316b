"""Held-out average precision against training time, of cryopick and the reference.

The data are EMPIAR-10017 with 25 labels. The prior of the reference is set by -n, and its picks in
repeated borders are excluded, in its favour. Run by `make bench-peer`; draws the figure.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from common import FOLDER, ROOT, measure
from empiar10017 import DATA, judge, micrographs
from peer import FACTOR, TOPAZ, shrink_labels

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.model_file import Model
from cryopick.model.networks import Scorer, extract_network
from cryopick.model.torch_device import require_torch_device
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.dataset import Preparation, prepare_dataset
from cryopick.preprocess.mask import erode_mask, find_invalid
from cryopick.train.initialization import choose_training_settings
from cryopick.train.loop import train
from cryopick.train.settings import TrainSettings

OUT = FOLDER / "convergence"
PIXEL_SIZE_ANG, DIAMETER_ANG, PER_MICROGRAPH = 1.77, 190.0, 650
DEVICE = require_torch_device("auto")

Curve = list[tuple[float, float]]  # seconds of training, average precision

# Steps, and what differs from the usual settings; 25 labels get the last unless asked otherwise.
RUNS: dict[str, tuple[int, dict[str, object]]] = {
    "50 steps, no proposals": (50, {"warm_up_steps": 0}),
    "50 steps": (50, {}),
    "500 steps": (500, {}),
}


def main() -> None:
    """Run missing measurements, print the tables, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "results" / "speed.png")
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[Curve]] = {
        f"cryopick, {name}": [kept(name, seed) for seed in range(chosen.seeds)] for name in RUNS
    }
    curves["topaz"] = [reference()]
    print("\n| run | training, s | average precision |\n|---|---|---|")
    for name, runs in curves.items():
        for point in zip(*runs, strict=True):
            seconds, precision = np.mean(point, axis=0)
            print(f"| {name} | {seconds:.1f} | {precision:.3f} |")
    draw(curves, chosen.figure)


def kept(name: str, seed: int) -> Curve:
    """Return a curve of cryopick, measured if it does not exist."""
    notes = OUT / f"{name}, seed {seed}.json"
    if not notes.exists():
        notes.write_text(json.dumps(ours(*RUNS[name], seed)))
    return json.loads(notes.read_text())


def ours(steps: int, unusual: dict[str, object], seed: int) -> Curve:
    """Train like `cryopick train`, with evaluations on the test micrographs."""
    usual = choose_training_settings("random", DIAMETER_ANG, steps=steps) | {
        "diameter_ang": DIAMETER_ANG,
        "particles_per_micrograph": PER_MICROGRAPH,
        "steps": steps,
        "seed": seed,
        "checkpoint_every": max(10, steps // 6),
    }
    settings = TrainSettings(**usual | unusual)
    paths = micrographs("train")
    labels = match_names(read_picks(DATA / "labels_25.tsv"), paths).picks
    preparation = Preparation(
        working_size_ang=settings.working_size_ang,
        pixel_size_ang=PIXEL_SIZE_ANG,
        normalization=settings.normalization,
        clearance_px=settings.diameter_ang / settings.working_size_ang / 2,
    )
    dataset = prepare_dataset(paths, labels, preparation, OUT / "prepared")
    curve: Curve = []
    clock = {"started": time.monotonic()}

    def evaluate_now(scorer: Scorer) -> tuple[float, float]:
        trained_s = time.monotonic() - clock["started"]
        model = Model(
            network=extract_network(scorer),
            diameter_ang=DIAMETER_ANG,
            working_pixel_size_ang=settings.working_size_ang,
            normalization=dataset.normalization,
            label_radius_px=settings.sampling.label_radius_px,
        )
        picker = Picker.create(model, PickSettings(pixel_size_ang=PIXEL_SIZE_ANG), DEVICE)
        precision = judged(concatenate([picker.pick(path) for path in micrographs("test")]))
        curve.append((trained_s, precision))
        clock["started"] = time.monotonic() - trained_s  # evaluation costs no time
        return precision, precision

    checkpoint = OUT / "checkpoint"
    checkpoint.unlink(missing_ok=True)
    train(dataset.store, settings, checkpoint, device=DEVICE, held_out=evaluate_now)
    return curve


def reference(epochs: int = 6, steps: int = 100) -> Curve:
    """Train the reference once; times are the modification times of its models."""
    notes = OUT / "reference.json"
    if notes.exists():
        return json.loads(notes.read_text())
    for split in ("train", "test"):
        for path in micrographs(split):
            pixels = read_micrograph(path).pixels.astype(np.float32)
            raw = OUT / f"raw-{split}" / f"{path.stem}.mrc"
            write_mrc(raw, pixels, pixel_size_ang=None, overwrite=True)
        raws = sorted((OUT / f"raw-{split}").glob("*.mrc"))
        measure(TOPAZ, "preprocess", "-s", FACTOR, "-o", OUT / f"small-{split}", *raws)
    shrink_labels(DATA / "labels_25.tsv", OUT / "labels.txt")
    started = time.time() + measure(TOPAZ, "--help").seconds
    measure(
        *(TOPAZ, "train", "-d", -1, "-m", "conv31", "--units", 32, "--no-pretrained"),
        *("--train-images", OUT / "small-train", "--train-targets", OUT / "labels.txt"),
        *("-n", PER_MICROGRAPH, "--epoch-size", steps, "--num-epochs", epochs),
        *("--save-prefix", OUT / "topaz", "-o", OUT / "topaz.txt"),
    )
    curve = []
    for epoch in range(1, epochs + 1):
        model, table = OUT / f"topaz_epoch{epoch}.sav", OUT / f"topaz_{epoch}.tsv"
        small = sorted((OUT / "small-test").glob("*.mrc"))
        measure(
            *(TOPAZ, "extract", "-d", -1, "-m", model, "-r", 7, "-x", FACTOR, "-o", table, *small)
        )
        curve.append((model.stat().st_mtime - started, judged(off_borders(read_picks(table)))))
    notes.write_text(json.dumps(curve))
    return curve


def judged(picks: Picks) -> float:
    """Return the average precision on the test micrographs."""
    test = micrographs("test")
    truth = match_names(read_picks(DATA / "particles.tsv"), test).picks
    return judge(picks, truth, test).average_precision or 0.0


def off_borders(picks: Picks) -> Picks:
    """Remove picks in repeated borders or within half a particle of them, as cryopick does."""
    tables = []
    for name, own in match_names(picks, micrographs("test")).picks.split_by_micrograph():
        pixels = read_micrograph(Path(name)).pixels
        shape = (pixels.shape[0] // FACTOR, pixels.shape[1] // FACTOR)
        usable = find_invalid(pixels).usable(shape)
        clear = erode_mask(usable, DIAMETER_ANG / PIXEL_SIZE_ANG / FACTOR / 2)
        column, row = np.minimum(
            np.rint(own.xy_px / FACTOR).astype(int), np.array(shape)[::-1] - 1
        ).T
        tables.append(own.select(np.flatnonzero(clear[row, column])))
    return concatenate(tables)


def draw(curves: dict[str, list[Curve]], path: Path) -> None:
    """Plot average precision against time, one line per run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (name, runs) in enumerate(curves.items()):
        for run, curve in enumerate(runs):
            label = None if run else name
            axes.plot(*zip(*curve, strict=True), "o-", color=f"C{number}", label=label, ms=3)
    axes.set(xlabel="seconds of training", ylabel="average precision, held out", xscale="log")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
