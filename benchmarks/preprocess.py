"""From raw to preprocessed pixels: each step compared with one real FFT of the whole image."""

import os
from pathlib import Path

import numpy as np
from common import CRYOPICK, Inputs, heading, measure, medians, row

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.preprocess.fourier import reduced_shape, resample
from cryopick.preprocess.histogram import histogram
from cryopick.preprocess.mask import find_invalid
from cryopick.preprocess.normalize import fit_normalization
from cryopick.preprocess.pipeline import rescale_micrograph
from cryopick.preprocess.pixel_repair import CleanedMicrograph
from cryopick.runs.parallel import available_cores

FACTOR = 8


def main(inputs: Inputs | None = None, repeats: int = 5) -> None:
    """Print the tables."""
    inputs = inputs or Inputs()
    parts(inputs, repeats)
    reading(inputs.micrographs[-1], repeats)
    commands(inputs, min(repeats, 3))


def parts(inputs: Inputs, repeats: int) -> None:
    """Measure the steps one by one, on one thread."""
    from scipy import fft

    path = inputs.micrographs[0]
    stored = read_micrograph(path).pixels
    image = np.array(stored, dtype=np.float32)
    small_shape = reduced_shape(image.shape, FACTOR)
    small, invalid = rescale_micrograph(stored, FACTOR), find_invalid(stored)
    counted = histogram(small.image, small.usable)
    normalization = fit_normalization("dataset", [counted])
    out = inputs.folder / "written.mrc"
    steps = {
        "read and check the file": lambda: read_micrograph(path),
        "find borders and flat patches": lambda: find_invalid(stored),
        "find single defective pixels": lambda: CleanedMicrograph.from_pixels(stored, invalid),
        "Fourier crop": lambda: resample(stored, small_shape),
        "the three together": lambda: rescale_micrograph(stored, FACTOR),
        "count the intensities": lambda: histogram(small.image, small.usable),
        "standardise": lambda: normalization.apply(small.image, small.usable, counted),
        "write": lambda: write_mrc(out, small.image, pixel_size_ang=None, overwrite=True),
    }
    seconds = medians({**steps, "rfft2": lambda: fft.rfft2(image)}, repeats)
    heading(f"Prepare one micrograph of {inputs.side_px} x {inputs.side_px}, one thread")
    row("one rfft2 of the image", seconds["rfft2"], 1, "")
    for name in steps:
        row(name, seconds[name], seconds[name] / seconds["rfft2"], "one rfft2 of the image")
    count = inputs.count
    fit = medians({"fit": lambda: fit_normalization("dataset", [counted] * count)}, 3)["fit"]
    row(f"fit the mixture of {count}, each", fit / count, fit / count / seconds["rfft2"], "same")


def reading(path: Path, repeats: int) -> None:
    """Measure reading and checking a micrograph, compared with copying its bytes."""

    def evicted() -> Path:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return path

    heading("Read one micrograph")
    for place, file in (("page cache", lambda: path), ("disk", evicted)):
        works = {
            "bytes": lambda file=file: file().read_bytes(),
            "micrograph": lambda file=file: read_micrograph(file()),
        }
        seconds = medians(works, repeats)
        row(f"bytes, from the {place}", seconds["bytes"], 1, "")
        share = seconds["micrograph"] / seconds["bytes"]
        row(f"read and check, from the {place}", seconds["micrograph"], share, "the bytes")


def commands(inputs: Inputs, repeats: int) -> None:
    """Measure the whole command with all micrographs, and with a small one for its start-up."""
    tiny = Inputs(count=1, side_px=256, folder=inputs.folder).micrographs
    works = {
        name: lambda paths=paths: measure(
            *(CRYOPICK, "preprocess", *paths, "--factor", FACTOR),
            *("-o", inputs.folder / "preprocessed", "--force"),
        )
        for name, paths in {"start": tiny, "all": inputs.micrographs}.items()
    }
    seconds = medians(works, repeats)
    heading(f"`cryopick preprocess`, {available_cores()} cores")
    count = inputs.count
    row("of one of 256 x 256", seconds["start"], 1, "")
    row(f"of {count}, each", seconds["all"] / count, seconds["all"] / seconds["start"], "all, one")
    each = (seconds["all"] - seconds["start"]) / count
    row(f"of {count}, each, without start-up", each, each * count / seconds["start"], "same")


if __name__ == "__main__":
    main()
