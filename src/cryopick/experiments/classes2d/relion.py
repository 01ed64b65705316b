"""RELION's 2D classification, run as a program and read back.

- `nested_stacks`: the sets of images, each within the next.
- `classify`: the classes of one set.
- `Classes`: what came out.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Float32, Integer
from cryopick.errors import FormatError, InputError
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.experiments.classes2d.settings import ClassSettings
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.pick_tables import read_picks, read_star_context, write_picks
from cryopick.io.tables.star_text import find_columns, parse_star
from cryopick.picks import Picks

__all__ = ["Classes", "classify", "nested_stacks"]

_PROGRAM = "relion_refine"
_CLASS = "rlnClassNumber"


@dataclass(frozen=True, eq=False)
class Classes:
    """The 2D classes of one set.

    Attributes:
        picks: The particles, with their scores.
        number: Class of each, from 1.
        images: Average of each class.
        resolution_ang: Resolution of each average, as RELION estimates it; infinite for none.
        pixel_size_ang: Ångströms per pixel of the averages.
    """

    picks: Picks
    number: Integer[np.ndarray, " particles"]
    images: Float32[np.ndarray, "classes side side"]
    resolution_ang: Float[np.ndarray, " classes"]
    pixel_size_ang: float

    @property
    def count(self) -> Integer[np.ndarray, " classes"]:
        """Particles in each class."""
        return np.bincount(self.number, minlength=len(self.images) + 1)[1:]


def nested_stacks(star: Path, thresholds: Sequence[float], folder: Path) -> list[Path]:
    """Write the images at or above each threshold as STAR files of their own.

    Args:
        star: Images with scores, as `cryopick stack` writes them.
        thresholds: In the order wanted.
        folder: A folder set_1, set_2, … is made in it for each.

    Raises:
        InputError: A threshold leaves no image.
    """
    table, frame = read_picks(star), read_star_context([star])
    written = []
    for number, threshold in enumerate(thresholds, start=1):
        kept = apply_threshold(table, threshold)
        if not len(kept):
            raise InputError(f"{star}: no image scores at least {threshold:g}; lower --at")
        path = folder / f"set_{number}" / "particles.star"
        write_picks(kept, path, overwrite=True, layout=TableLayout(star=frame))
        written.append(path)
    return written


def classify(star: Path, settings: ClassSettings) -> Classes:
    """Classify a set, unless that is done; everything lies beside its STAR file.

    Args:
        star: The set; its images are named as seen from the current folder.
        settings: How to classify.

    Raises:
        InputError: RELION is not there, or it fails.
    """
    folder = star.parent
    mark, told = folder / "done", " ".join(settings.words()) + "\n" + star.read_text("utf-8")
    last = folder / f"run_it{settings.iterations:03d}"
    if not (mark.is_file() and mark.read_text("utf-8") == told):
        _run(star, settings)
        mark.write_text(told, encoding="utf-8")
    return _read(last)


def _run(star: Path, settings: ClassSettings) -> None:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise InputError(
            f"{_PROGRAM}: no such program; install RELION (Debian and Ubuntu: the package relion) "
            "or load it, so that it is on the PATH"
        )
    words = [program, "--i", str(star), "--o", str(star.parent / "run"), *settings.words()]
    log = star.parent / "relion.log"
    with log.open("w", encoding="utf-8") as written:
        done = subprocess.run(
            [*words, "--j", str(settings.threads)],
            stdout=written,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        lines = [line for line in log.read_text("utf-8", "replace").split("\n") if line.strip()]
        why = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no word")
        raise InputError(f"{_PROGRAM} failed on {star}: {why.strip()[-200:]}; see {log}")


def _read(last: Path) -> Classes:
    """Read what the last iteration wrote, named `run_it015` without what follows."""
    import mrcfile  # type: ignore[import-untyped]  # has no types

    picks = read_picks(Path(f"{last}_data.star"))
    number = picks.extra.get(_CLASS)
    with mrcfile.open(f"{last}_classes.mrcs") as stack:
        images = np.asarray(stack.data, np.float32)
        images = images.reshape(-1, *images.shape[-2:])
        pixel_size_ang = float(stack.voxel_size.x)
    resolution = _resolutions(Path(f"{last}_model.star"))
    if number is None or len(resolution) != len(images):
        raise FormatError(f"{last}_data.star: expected {_CLASS} and a class for each image")
    return Classes(picks, number.astype(np.int64), images, resolution, pixel_size_ang)


def _resolutions(path: Path) -> Float[np.ndarray, " classes"]:
    """Resolution of each class; no resolution at all is infinite."""
    tag = "_rlnEstimatedResolution"
    for block in parse_star(path.read_text("utf-8"), path):
        if block.name == "model_classes":
            return np.array([float(value) for value in find_columns(block, tag)[tag]])
    raise FormatError(f"{path}: expected a block data_model_classes, found none")
