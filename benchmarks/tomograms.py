"""Picking in simulated tomograms from 25 labels: `python benchmarks/tomograms.py`.

Labels lie in one tomogram, and three others are evaluated, one to one within half a diameter. The
reference is topaz-em 0.3.20, run as a program. Its `train` builds 2D networks only, which this
script checks; its way to tomograms is a network of slices (conv31, 300 minibatches), whose score
maps are stacked and searched with `topaz extract --dims 3`. A filter for blobs (Laplacian of
Gaussian) needs no labels. Finished steps are kept in runs/bench/tomograms.
"""

import argparse
import json
import os
import resource
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
from common import CRYOPICK, FOLDER, ROOT, measure

from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate
from cryopick.tomograms.coordinates import get_xyz, make_table
from cryopick.tomograms.evaluation import evaluate_table
from cryopick.tomograms.suppression import find_peaks

TOPAZ = Path(os.environ.get("TOPAZ", ROOT / ".peer" / "bin" / "topaz"))
OUT = FOLDER / "tomograms"
VOXEL_ANG, PARTICLES, LABELS, TEST = 15.0, 40, 25, ("tomo_001", "tomo_002", "tomo_003")
DIAMETERS = {"ring": 150.0, "y-shaped": 150.0, "compact": 170.0}
CASES = (("ring", 100), ("y-shaped", 100), ("y-shaped", 40))  # molecule and dose in e/Å²
SLICES = (-2, -1, 0, 1, 2)  # around the centre of a label, for the reference
EPOCHS, EPOCH_STEPS = 3, 100


def main(cases: Sequence[tuple[str, int]], *, with_peer: bool) -> None:
    """Run all missing steps, and print the table."""
    if with_peer:
        print(check_three_dimensions(), flush=True)
    print("| molecule, dose | method | average precision | best F1 | CPU seconds |")
    print("|---|---|---|---|---|")
    for molecule, dose in cases:
        data = simulate(dose)
        labels = choose_labels(data, molecule)
        methods = {"blob filter": run_blobs, "cryopick tomo": run_cryopick}
        if with_peer:
            methods["topaz-em by slices"] = run_peer
        for name, method in methods.items():
            seconds, picks = method(data, labels, molecule, dose)
            result = judge(picks, data, molecule)
            print(
                f"| {molecule}, {dose} e/Å² | {name} | {result[0]:.3f} | {result[1]:.3f} | "
                f"{seconds:.0f} |",
                flush=True,
            )


def simulate(dose: int) -> Path:
    """Simulate four tomograms of three molecules, small proteins, a vesicle and gold."""
    data = OUT / f"data-{dose}"
    if not (data / "particles.tsv").exists():
        run(
            *(CRYOPICK, "tomo", "simulate", data, "--count", 4, "--seed", 1, "--force"),
            *("--particles", PARTICLES, "--dose-e-per-ang2", dose),
        )
    return data


def choose_labels(data: Path, molecule: str) -> Picks:
    """Draw 25 labels of a molecule in the first tomogram."""
    particles = read_picks(data / f"{molecule}.tsv").restrict(["tomo_000"])
    rows = np.random.default_rng(0).permutation(len(particles))[:LABELS]
    return particles.select(np.sort(rows))


def judge(picks: Picks, data: Path, molecule: str) -> tuple[float, float]:
    """Return average precision and best F1 in the tomograms without labels."""
    truth = read_picks(data / f"{molecule}.tsv").restrict(TEST)
    result = evaluate_table(picks, truth, DIAMETERS[molecule] / 2 / VOXEL_ANG)
    return result.average_precision, result.best.f1 if result.best else 0.0


def run_blobs(data: Path, _labels: Picks, molecule: str, _dose: int) -> tuple[float, Picks]:
    """Search dark blobs of the particle's size."""
    from scipy.ndimage import gaussian_laplace

    started = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    sigma = DIAMETERS[molecule] / VOXEL_ANG / 2 / np.sqrt(3)
    tables = []
    for name in TEST:
        volume = mrcfile.read(data / "tomograms" / f"{name}.mrc")
        response = gaussian_laplace(volume / volume.std(), sigma)
        xyz, score = find_peaks(response, radius=0.6 * 2 * np.sqrt(3) * sigma, threshold=0.0)
        tables.append(make_table(name, xyz, score))
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - started, concatenate(tables)


def run_cryopick(data: Path, labels: Picks, molecule: str, dose: int) -> tuple[float, Picks]:
    """Train on the labels and pick the other tomograms, with default settings."""
    stem = OUT / f"{molecule}-{dose}"
    table, model, out = (stem.with_suffix(s) for s in (".labels.tsv", ".safetensors", ".tsv"))
    notes = stem.with_suffix(".json")
    if not notes.exists():
        write_picks(labels, table, overwrite=True)
        tomograms = [data / "tomograms" / f"{name}.mrc" for name in TEST]
        seconds = run(
            *(CRYOPICK, "tomo", "train", "-t", data / "tomograms" / "tomo_000.mrc", "-p", table),
            *("-o", model, "--diameter-ang", DIAMETERS[molecule], "--force"),
            *("--particles-per-tomogram", PARTICLES),
        )
        seconds += run(
            *(CRYOPICK, "tomo", "pick", *tomograms, "--model", model, "-o", out, "--force"),
            *("--threshold", -12),
        )
        notes.write_text(json.dumps(seconds))
    return json.loads(notes.read_text()), read_picks(out)


def compare_classes(dose: int = 100) -> None:
    """Train one network for three classes with 25 labels each, and print a table."""
    data, model, out = simulate(dose), OUT / f"classes-{dose}.safetensors", OUT / "classes.tsv"
    if not out.exists():
        words: list[object] = []
        for molecule in DIAMETERS:
            table = OUT / f"{molecule}.tsv"
            write_picks(choose_labels(data, molecule), table, overwrite=True)
            words += ["-p", table]
        run(
            *(CRYOPICK, "tomo", "train", "-t", data / "tomograms" / "tomo_000.mrc", *words),
            *("--classes", "-o", model, "--force", "--diameter-ang", max(DIAMETERS.values())),
            *("--particles-per-tomogram", PARTICLES),
        )
        tomograms = [data / "tomograms" / f"{name}.mrc" for name in TEST]
        words = ["--model", model, "-o", out, "--threshold", -12]
        run(CRYOPICK, "tomo", "pick", *tomograms, *words)
    picks = read_picks(out)
    kinds = [read_picks(data / f"{molecule}.tsv").restrict(TEST) for molecule in DIAMETERS]
    truth = concatenate(  # particles.tsv numbers the classes in the order of the simulation
        [
            replace(kind, extra={**kind.extra, "class": np.full(len(kind), number)})
            for number, kind in enumerate(kinds, start=1)
        ]
    )
    result = evaluate_table(picks, truth, max(DIAMETERS.values()) / 2 / VOXEL_ANG)
    print("\n| molecule | average precision of its class | best F1 |\n|---|---|---|")
    for number, molecule in enumerate(DIAMETERS, start=1):
        rows = np.flatnonzero(picks.extra["class"].astype(int) == number)
        values = judge(picks.select(rows), data, molecule)
        print(f"| {molecule} | {values[0]:.3f} | {values[1]:.3f} |")
    print(f"\nclass of the picks that match a particle: {result.class_accuracy:.3f} right")


def check_three_dimensions() -> str:
    """Try the reference's training on a volume, and return how it ends."""
    data = simulate(CASES[0][1])
    labels = choose_labels(data, CASES[0][0])
    table = OUT / "peer-3d.txt"
    rows = "".join("tomo_000\t{:.0f}\t{:.0f}\t{:.0f}\n".format(*xyz) for xyz in get_xyz(labels))
    table.write_text("image_name\tx_coord\ty_coord\tz_coord\n" + rows)
    folder = OUT / "peer-3d"
    folder.mkdir(exist_ok=True)
    link = folder / "tomo_000.mrc"
    link.unlink(missing_ok=True)
    link.symlink_to(data / "tomograms" / "tomo_000.mrc")
    command = [TOPAZ, "train", "-d", -1, "-m", "conv31", "--no-pretrained", "-n", PARTICLES]
    command += ["--train-images", folder, "--train-targets", table, "--epoch-size", 2]
    command += ["--num-epochs", 1, "-o", OUT / "peer-3d-curve.txt"]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=500)
    last = (ended.stderr.strip() or "no message").splitlines()[-1]
    return f"`topaz train` on a volume: exit status {ended.returncode}, {last}\n"


def run_peer(data: Path, labels: Picks, molecule: str, dose: int) -> tuple[float, Picks]:
    """Train the reference on slices, stack its score maps, and search them in 3D."""
    folder = OUT / f"peer-{molecule}-{dose}"
    normal, training, maps = folder / "normal", folder / "training", folder / "maps"
    targets, table, notes = folder / "labels.txt", folder / "picks.txt", folder / "seconds.json"
    training.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = json.loads(notes.read_text()) if notes.exists() else {}

    def run_once(step: str, *command: object) -> None:
        if step not in seconds:
            seconds[step] = run(*command)
            notes.write_text(json.dumps(seconds))

    for name in ("tomo_000", *TEST):
        write_slices(data / "tomograms" / f"{name}.mrc", folder / "slices")
    slices = sorted((folder / "slices").glob("*.mrc"))
    run_once("normalize", TOPAZ, "normalize", "--affine", "-d", -1, "-o", normal, *slices)
    for path in sorted(normal.glob("tomo_000_*")):
        if not (training / path.name).exists():
            (training / path.name).symlink_to(path)
    rows = [
        f"tomo_000_{round(z) + step:03d}\t{round(x)}\t{round(y)}"
        for x, y, z in get_xyz(labels)
        for step in SLICES
    ]
    targets.write_text("\n".join(["image_name\tx_coord\ty_coord", *rows, ""]))
    per_slice = PARTICLES * len(SLICES) / len(list(training.iterdir()))
    run_once(
        *("train", TOPAZ, "train", "-d", -1, "-m", "conv31", "--no-pretrained", "-r", 2),
        *("--train-images", training, "--train-targets", targets, "-n", per_slice),
        *("--num-epochs", EPOCHS, "--epoch-size", EPOCH_STEPS),
        *("--save-prefix", folder / "model", "-o", folder / "curve.txt"),
    )
    model = folder / f"model_epoch{EPOCHS}.sav"
    tests = [path for name in TEST for path in sorted(normal.glob(f"{name}_*"))]
    run_once("segment", TOPAZ, "segment", "-d", -1, "-m", model, "-o", maps, *tests)
    volumes = [stack_maps(maps, name, folder / f"{name}.mrc") for name in TEST]
    radius = round(0.6 * DIAMETERS[molecule] / VOXEL_ANG)
    run_once(
        *("extract", TOPAZ, "extract", "-d", -1, "-m", "none", "--dims", 3, "-r", radius),
        *("-t", -12, "-o", table, *volumes),
    )
    return sum(seconds.values()), read_picks(table, format="tsv")


def measure_memory(side: int = 500, depth: int = 300) -> str:
    """Pick in a large volume of noise at its own voxel size, and describe time and memory."""
    model = OUT / f"{CASES[0][0]}-{CASES[0][1]}.safetensors"
    volume, table = OUT / "large.mrc", OUT / "large.tsv"
    if not volume.exists():
        rng = np.random.default_rng(0)
        with mrcfile.new_mmap(volume, (depth, side, side), mrc_mode=0, overwrite=True) as file:
            for section in file.data:
                section[:] = rng.normal(scale=20, size=(side, side)).clip(-127, 127)
            file.voxel_size = VOXEL_ANG
    words = ("--model", model, "-o", table, "--views", 1, "--threshold", 0, "--force")
    usage = measure(CRYOPICK, "tomo", "pick", volume, *words)
    gigavoxels = side * side * depth / 1e9
    return (
        f"{side} x {side} x {depth} voxels without averaging: {usage.seconds:.0f} s and "
        f"{usage.peak_mb / 1e3:.2f} GB, {usage.peak_mb / 1e3 / gigavoxels:.1f} GB per 10⁹ voxels"
    )


def write_slices(tomogram: Path, folder: Path) -> None:
    """Write the sections of a tomogram as single images."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, section in enumerate(mrcfile.read(tomogram)):
        with mrcfile.new(folder / f"{tomogram.stem}_{number:03d}.mrc", overwrite=True) as file:
            file.set_data(section)


def stack_maps(folder: Path, name: str, out: Path) -> Path:
    """Stack the score maps of a tomogram's slices."""
    files = sorted(folder.glob(f"{name}_*"))
    maps = [read_map(path) for path in files]
    with mrcfile.new(out, overwrite=True) as file:
        file.set_data(np.stack(maps).astype(np.float32))
    return out


def read_map(path: Path) -> np.ndarray:
    """Read a score map."""
    if path.suffix == ".mrc":
        return mrcfile.read(path)
    import tifffile

    return tifffile.imread(path)


def run(*command: object) -> float:
    """Run a program on one thread, and return its CPU seconds.

    Raises:
        RuntimeError: The program failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=environment
    )
    if ended.returncode:
        raise RuntimeError(f"{command[0]} {command[1]} failed:\n{ended.stderr[-1500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=len(CASES), help="number of cases")
    parser.add_argument("--without-peer", action="store_true", help="only cryopick")
    parser.add_argument("--classes", action="store_true", help="only three classes in one pass")
    parser.add_argument("--memory", action="store_true", help="only measure a large volume")
    chosen = parser.parse_args()
    if chosen.classes:
        compare_classes()
        raise SystemExit
    if chosen.memory:
        print(measure_memory())
        raise SystemExit
    main(CASES[: chosen.cases], with_peer=not chosen.without_peer)
