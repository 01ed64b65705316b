"""Measure the displacement of the picks from the particle centres on the micrographs themselves.

A network puts its peaks off centre by the same vector whichever way the image is turned. On an
image turned by 180°, this vector has the opposite sign in the frame of the particle, so that half
the difference of the two positions is the displacement.

- `measure_centre_offset`: measure it on the first micrographs.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.errors import MicrographError
from cryopick.evaluate.matching import match_points
from cryopick.pick.picker import Picker, find_peaks
from cryopick.pick.probe import central_slice
from cryopick.preprocess.mask import erode_mask

__all__ = ["measure_centre_offset"]

_MAX_MICROGRAPHS = 3
_ENOUGH_PAIRS = 40
_MIN_PAIRS = 8
_MAX_SIDE_PX = 512  # of the part of a micrograph that is scored
_MIN_SCORE = 0.0
_MAX_SHIFT_PX = 6.0  # between the two positions of a particle; other peaks are 8.5 apart


def measure_centre_offset(picker: Picker, paths: Sequence[Path]) -> tuple[float, float] | None:
    """Measure the median displacement (x, y) of the peaks, in working pixels.

    Args:
        picker: Picker with all decisions made.
        paths: Micrographs, of which the centres of the first few are scored. Those that cannot be
            used are skipped.

    Returns:
        The displacement; None if too few particles were found.
    """
    differences: list[np.ndarray] = []
    for path in paths[:_MAX_MICROGRAPHS]:
        try:
            prepared, _ = picker.prepare(path)
        except MicrographError:
            continue
        window = tuple(central_slice(length, _MAX_SIDE_PX) for length in prepared.image.shape)
        usable = erode_mask(prepared.usable, picker.model.diameter_px / 2)
        differences.append(_compare_turned(picker, prepared.image[window], usable[window]))
        if sum(map(len, differences)) >= _ENOUGH_PAIRS:
            break
    if sum(map(len, differences)) < _MIN_PAIRS:
        return None
    x, y = np.median(np.concatenate(differences), axis=0) / 2
    return float(x), float(y)


def _compare_turned(
    picker: Picker,
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
) -> Float[np.ndarray, "pairs 2"]:
    """Subtract the positions on the turned image from those on the image as it is."""
    radius_px = picker.model.diameter_px / 2
    positions = []
    for turned in (False, True):
        view, allowed = (image[::-1, ::-1], usable[::-1, ::-1]) if turned else (image, usable)
        xy_px, logits = find_peaks(
            picker.compute_scores(np.ascontiguousarray(view)),
            np.ascontiguousarray(allowed),
            radius=radius_px,
            threshold=_MIN_SCORE,
        )
        if turned:
            xy_px = np.array(image.shape[::-1]) - 1 - xy_px
        positions.append((xy_px, logits))
    (as_is, logits), (back, _) = positions
    partner = match_points(as_is, logits, back, _MAX_SHIFT_PX)
    return as_is[partner >= 0] - back[partner[partner >= 0]]
