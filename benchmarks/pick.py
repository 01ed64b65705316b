"""From raw micrographs to picks: the whole command, its parts, and the loss of precision."""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import (
    CRYOPICK,
    DIAMETER_ANG,
    PIXEL_SIZE_ANG,
    Inputs,
    Usage,
    heading,
    measure,
    medians,
    row,
)
from empiar10017 import DATA, RADIUS_PX, micrographs

from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.inference.engine import resolve_precision
from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.device import choose_device
from cryopick.model.model_file import load_model
from cryopick.pick.picker import Picker, find_peaks
from cryopick.pick.settings import PickSettings
from cryopick.picks import concatenate
from cryopick.preprocess.mask import erode_mask
from cryopick.runs.parallel import available_cores

FACTOR = 8
DEVICE = choose_device()


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera with the size of its images, and of its pixels relative to the other inputs."""

    name: str
    width_px: int
    height_px: int
    pixel: float = 1.0


K3 = (Camera("K3", 5760, 4092), Camera("K3, super-resolution", 11520, 8184, 0.5))


def main(
    inputs: Inputs | None = None,
    repeats: int = 5,
    seeds: int = 3,
    cameras: Sequence[Camera] = K3,
) -> None:
    """Print the tables; precision is measured for `seeds` models."""
    inputs = inputs or Inputs()
    model = inputs.model(FACTOR)
    parts(inputs, model, repeats)
    commands(inputs, model, min(repeats, 3))
    for camera in cameras:
        large(camera, inputs, model, min(repeats, 3))
    held_out = inputs.micrographs[inputs.half :] or inputs.micrographs
    radius_px = DIAMETER_ANG / 3 / PIXEL_SIZE_ANG
    for seed in range(seeds):
        heading(f"Average precision, simulated micrographs held out, seed {seed}")
        precision(inputs.model(FACTOR, seed), held_out, inputs.truth, radius_px, None)
    for real in sorted((inputs.folder.parent / "empiar10017").glob("labels25_seed*.safetensors")):
        heading(f"Average precision, EMPIAR-10017, four test micrographs, {real.stem}")
        precision(real, micrographs("test"), DATA / "particles.tsv", RADIUS_PX, 1.77)


def parts(inputs: Inputs, model: Path, repeats: int) -> None:
    """Measure the steps one by one, with the threads that each uses alone."""
    path = inputs.micrographs[0]
    loaded = load_model(model)
    exact, fast = (
        Picker.create(loaded, PickSettings(precision=kind), DEVICE) for kind in ("float32", "auto")
    )
    scored = fast.score(path)
    prepared, scores = scored.prepared, scored.scores
    works = {
        "read and preprocess, one thread": lambda: fast.prepare(path),
        "score, float32": lambda: compute_ensemble_score_map(exact.ensemble, prepared.image),
        "score": lambda: compute_ensemble_score_map(fast.ensemble, prepared.image),
        "erode the mask": lambda: erode_mask(prepared.usable, loaded.diameter_px / 2),
        "suppress and refine": lambda: find_peaks(
            scores, prepared.usable, radius=loaded.diameter_px / 2, threshold=-6.0
        ),
        "all": lambda: fast.pick(path),
    }
    seconds = medians(works, repeats)
    shape = " x ".join(map(str, prepared.image.shape))
    heading(f"Pick, {shape} working pixels, {available_cores()} threads")
    for name in works:
        row(name, seconds[name], seconds[name] / seconds["score"], "scoring")


def commands(inputs: Inputs, model: Path, repeats: int) -> None:
    """Measure the whole command with all micrographs, and with a small one for its start-up."""
    tiny = Inputs(count=1, side_px=256, folder=inputs.folder).micrographs
    out = inputs.folder / "picks.star"
    used: dict[str, list[Usage]] = {"start": [], "all": []}
    for _ in range(repeats):
        for name, paths in {"start": tiny, "all": inputs.micrographs}.items():
            command = (CRYOPICK, "pick", *paths, "--model", model, "-o", out, "--force")
            used[name].append(measure(*command))
    seconds = {name: statistics.median(use.seconds for use in uses) for name, uses in used.items()}
    cpu = {name: statistics.median(use.cpu_seconds for use in uses) for name, uses in used.items()}
    heading("`cryopick pick`")
    count = inputs.count
    row("of one of 256 x 256", seconds["start"], 1, "")
    row(f"of {count}, each", seconds["all"] / count, seconds["all"] / seconds["start"], "all, one")
    each = (seconds["all"] - seconds["start"]) / count
    row(f"of {count}, each, without start-up", each, each * count / seconds["start"], "same")
    each_cpu = (cpu["all"] - cpu["start"]) / count
    row(f"of {count}, each, processor time without start-up", each_cpu, each_cpu / each, "wall")


def large(camera: Camera, inputs: Inputs, model: Path, repeats: int) -> None:
    """Measure the whole command with micrographs of a camera.

    They are hard links to one, which repeats the pixels of a simulated micrograph.
    """
    count, out = inputs.half, inputs.folder / "picks.star"
    tiny = Inputs(count=1, side_px=256, folder=inputs.folder).micrographs
    used: dict[str, list[Usage]] = {"start": [], "all": []}
    for _ in range(repeats):
        for name, paths in {"start": tiny, "all": repeated(camera, inputs, count)}.items():
            command = (CRYOPICK, "pick", *paths, "--model", model, "-o", out, "--force")
            used[name].append(measure(*command))
    seconds = {name: statistics.median(use.seconds for use in uses) for name, uses in used.items()}
    cpu = {name: statistics.median(use.cpu_seconds for use in uses) for name, uses in used.items()}
    heading(f"`cryopick pick`, {camera.name}, {camera.width_px} x {camera.height_px}")
    peak_mb = max(use.peak_mb for use in used["all"])
    row(f"of {count}, each", seconds["all"] / count, f"{peak_mb:.0f} MB", "peak memory")
    each = (seconds["all"] - seconds["start"]) / count
    per_mega = f"{each / (camera.width_px * camera.height_px) * 1e9:.3g} ms"
    row(f"of {count}, each, without start-up", each, per_mega, "a megapixel")
    each_cpu = (cpu["all"] - cpu["start"]) / count
    row(f"of {count}, each, processor time without start-up", each_cpu, each_cpu / each, "wall")


def repeated(camera: Camera, inputs: Inputs, count: int) -> list[Path]:
    """Return micrographs of a camera, which are written once."""
    folder = inputs.folder / f"camera-{camera.width_px}-{count}"
    paths = [folder / f"mic_{number}.mrc" for number in range(count)]
    if not paths[0].exists():
        pixels = read_micrograph(inputs.micrographs[0]).pixels
        height, width = pixels.shape
        times = (-(-camera.height_px // height), -(-camera.width_px // width))
        image = np.tile(pixels, times)[: camera.height_px, : camera.width_px]
        size_ang = PIXEL_SIZE_ANG * camera.pixel
        write_mrc(paths[0], image, pixel_size_ang=(size_ang, size_ang))
    for path in paths[1:]:
        if not path.exists():
            path.hardlink_to(paths[0])
    return paths


def precision(
    model: Path, paths: list[Path], truth: Path, radius_px: float, size_ang: float | None
) -> None:
    """Measure average precision and time for each step and number format."""
    known = match_names(read_picks(truth), paths).picks
    loaded = load_model(model)
    formats = dict.fromkeys(("float32", resolve_precision("auto", DEVICE)))
    for step in (1, 2, 4):
        for kind in formats:
            settings = PickSettings(step_px=step, precision=kind, pixel_size_ang=size_ang)
            picker = Picker.create(loaded, settings, DEVICE)
            alone = dataclasses.replace(picker, order=paths)
            found = []
            seconds = medians(
                {"all": lambda found=found, picker=alone: found.extend(map(picker.pick, paths))}, 1
            )["all"]
            own = concatenate(found[: len(paths)])
            judged = evaluate_picks(own, known, radius_px, [str(path) for path in paths])
            words = f"{judged.average_precision:.4f}"
            row(f"every {step} px, {kind}", seconds / len(paths), words, "average precision")


if __name__ == "__main__":
    main()
