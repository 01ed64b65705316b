"""2D classification by RELION: runs the program and reads its results.

- `write_nested_sets`: STAR files of nested sets of images.
- `classify_images`: the 2D classes of one set.
- `read_classes`: the classes of a finished run.
- `ClassAssignment`: the result.
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

__all__ = ["ClassAssignment", "classify_images", "read_classes", "write_nested_sets"]

_PROGRAM = "relion_refine"
_CLASS_COLUMN = "rlnClassNumber"


@dataclass(frozen=True, eq=False)
class ClassAssignment:
    """The 2D classes of one set.

    Attributes:
        picks: The particles, with their scores.
        number: Class of each particle, from 1.
        images: Average of each class.
        resolution_ang: Resolution of each average as estimated by RELION; infinite for none.
        pixel_size_ang: Ångströms per pixel of the averages.
    """

    picks: Picks
    number: Integer[np.ndarray, " particles"]
    images: Float32[np.ndarray, "classes side side"]
    resolution_ang: Float[np.ndarray, " classes"]
    pixel_size_ang: float

    @property
    def count(self) -> Integer[np.ndarray, " classes"]:
        """Number of particles in each class."""
        return np.bincount(self.number, minlength=len(self.images) + 1)[1:]


def write_nested_sets(star: Path, thresholds: Sequence[float], folder: Path) -> list[Path]:
    """Write a STAR file of the images at or above each threshold.

    Args:
        star: Images with scores, written by `cryopick stack`.
        thresholds: Minimum score of each set.
        folder: Output folder; each set is written to a subfolder set_1, set_2 and so on.

    Returns:
        The STAR files, in the order of the thresholds.

    Raises:
        InputError: No image reaches a threshold.
    """
    table, context = read_picks(star), read_star_context([star])
    paths = []
    for number, threshold in enumerate(thresholds, start=1):
        selected = apply_threshold(table, threshold)
        if not len(selected):
            raise InputError(f"{star}: no image scores at least {threshold:g}; lower --at")
        path = folder / f"set_{number}" / "particles.star"
        write_picks(selected, path, overwrite=True, layout=TableLayout(star=context))
        paths.append(path)
    return paths


def classify_images(star: Path, settings: ClassSettings) -> ClassAssignment:
    """Classify a set of images, or read the classes if the same run has finished before.

    All files are written beside the STAR file.

    Args:
        star: The set; the paths of its images are relative to the current folder.
        settings: Settings of the classification.

    Raises:
        InputError: RELION is not installed, or it fails.
    """
    folder = star.parent
    done_file = folder / "done"
    fingerprint = " ".join(settings.relion_options()) + "\n" + star.read_text("utf-8")
    if not (done_file.is_file() and done_file.read_text("utf-8") == fingerprint):
        _run_relion(star, settings)
        done_file.write_text(fingerprint, encoding="utf-8")
    return read_classes(folder / f"run_it{settings.iterations:03d}")


def _run_relion(star: Path, settings: ClassSettings) -> None:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise InputError(
            f"{_PROGRAM}: no such program; install RELION (on Debian and Ubuntu the package "
            "relion) and add it to the PATH"
        )
    output = star.parent / "run"
    words = [program, "--i", str(star), "--o", str(output), *settings.relion_options()]
    log = star.parent / "relion.log"
    with log.open("w", encoding="utf-8") as log_file:
        process = subprocess.run(
            [*words, "--j", str(settings.threads)],
            stdout=log_file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if process.returncode:
        lines = [line for line in log.read_text("utf-8", "replace").split("\n") if line.strip()]
        last_line = lines[-1] if lines else "no output"
        reason = next((line for line in lines if "ERROR" in line), last_line)
        raise InputError(f"{_PROGRAM} failed on {star}: {reason.strip()[-200:]}; see {log}")


def read_classes(prefix: Path) -> ClassAssignment:
    """Read the output of an iteration from the files that begin with `prefix`."""
    import mrcfile  # type: ignore[import-untyped]  # has no types

    picks = read_picks(Path(f"{prefix}_data.star"))
    number = picks.extra.get(_CLASS_COLUMN)
    with mrcfile.open(f"{prefix}_classes.mrcs") as stack:
        images = np.asarray(stack.data, np.float32)
        images = images.reshape(-1, *images.shape[-2:])
        pixel_size_ang = float(stack.voxel_size.x)
    resolution = _read_resolutions(Path(f"{prefix}_model.star"))
    if number is None or len(resolution) != len(images):
        raise FormatError(
            f"{prefix}_data.star: expected the column {_CLASS_COLUMN} and a resolution for each "
            "class; remove the folder and run the command again"
        )
    return ClassAssignment(picks, number.astype(np.int64), images, resolution, pixel_size_ang)


def _read_resolutions(path: Path) -> Float[np.ndarray, " classes"]:
    """Read the resolution of each class; "inf" for none."""
    tag = "_rlnEstimatedResolution"
    for block in parse_star(path.read_text("utf-8"), path):
        if block.name == "model_classes":
            return np.array([float(value) for value in find_columns(block, tag)[tag]])
    raise FormatError(f"{path}: expected a block data_model_classes, found none")
