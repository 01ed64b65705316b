"""From raw pixels to prepared ones: each step against one real FFT of the whole image."""

import numpy as np
from common import CRYOPICK, FOLDER, heading, measure, medians, row, simulated

from cryopick.image import Clean, fit_normalization, histogram, reduced_shape, resample, shrink
from cryopick.image.mask import find_invalid
from cryopick.io import read_micrograph

FACTOR = 8


def main(count: int = 16, side_px: int = 4096) -> None:
    """Print the table."""
    from scipy import fft

    paths = simulated(count, side_px)
    stored = read_micrograph(paths[0]).pixels
    image = np.array(stored, dtype=np.float32)
    small_shape = reduced_shape(image.shape, FACTOR)
    small, invalid = shrink(stored, FACTOR), find_invalid(stored)
    counted = histogram(small.image, small.usable)
    normalization = fit_normalization("dataset", [counted])
    steps = {
        "read and check the file": lambda: read_micrograph(paths[0]),
        "find borders and flat patches": lambda: find_invalid(stored),
        "find single pixels to mend": lambda: Clean.of(stored, invalid),
        "Fourier crop": lambda: resample(image, small_shape),
        "these together": lambda: shrink(stored, FACTOR),
        "standardise": lambda: normalization.apply(small.image, small.usable),
    }
    baselines = {"rfft2": lambda: fft.rfft2(image), "bytes": lambda: paths[0].read_bytes()}
    seconds = medians({**steps, **baselines})

    heading(f"Prepare one micrograph of {side_px} x {side_px}, one thread")
    for name in steps:
        row(name, seconds[name], seconds[name] / seconds["rfft2"], "one rfft2 of the image")
    row(
        "read all bytes (page cache)", seconds["bytes"], seconds["bytes"] / seconds["rfft2"], "same"
    )
    fit = medians({"fit": lambda: fit_normalization("dataset", [counted] * count)}, 3)["fit"]
    row(f"fit the mixture of {count}", fit, fit / count / seconds["rfft2"], "each, one rfft2")
    whole = [
        measure(
            *(CRYOPICK, "preprocess", *paths, "--factor", FACTOR),
            *("-o", FOLDER / "preprocessed", "--force"),
        ).seconds
        for _ in range(3)
    ]
    each = float(np.median(whole)) / count
    row(f"`cryopick preprocess` of {count}, each", each, each / seconds["rfft2"], "one rfft2")


if __name__ == "__main__":
    main()
