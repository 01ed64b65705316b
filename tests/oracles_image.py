"""Slow, obvious twins of what `cryopick.image` does fast, written from the formulas."""

import numpy as np


def resample_by_summing_waves(image, shape):
    """Evaluate the image's Fourier series, low-passed for `shape`, at every new pixel.

    Frequencies run over -n/2 ... n/2 of the shorter of the old and new side; the wave at
    exactly n/2 of an even old side is shared evenly between its two directions.
    """
    height, width = image.shape
    along_y = _waves(height, shape[0])
    along_x = _waves(width, shape[1])
    return (along_y @ image.astype(np.float64) @ along_x.T).real


def _waves(old, new):
    """Matrix from the `old` samples of one line to its `new` samples."""
    reach = min(old, new) // 2
    positions_old, positions_new = np.arange(old) / old, np.arange(new) / new
    matrix = np.zeros((new, old), dtype=complex)
    for frequency in range(-reach, reach + 1):
        share = 0.5 if 2 * abs(frequency) == old else 1.0
        matrix += share * np.exp(
            2j * np.pi * frequency * (positions_new[:, None] - positions_old[None, :])
        )
    return matrix / old
