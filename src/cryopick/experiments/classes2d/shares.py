"""Shares of the 2D classes in several sets of picks, as in Figure 2d of Bepler et al. 2019.

Each set is classified on its own. The classes of all sets are matched with those of the first by
the correlation of their averages, low-pass filtered, over all in-plane rotations, shifts and
mirror images. A set that lacks a view has a small share of its class.

- `ClassShares`, `compare_class_shares`: shares of each reference class in all sets.
- `match_class_averages`: the best reference of each average.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float, Float32, Integer
from cryopick.errors import SettingsError
from cryopick.experiments.classes2d.relion import ClassAssignment

__all__ = ["ClassShares", "compare_class_shares", "match_class_averages"]

_LOW_PASS_ANG = 15.0  # as in the paper; at least two pixels
_STEP_DEG = 10


@dataclass(frozen=True, eq=False)
class ClassShares:
    """Share of the images that belong to each reference class.

    Attributes:
        reference: Numbers of the classes of the first set that have images, from 1.
        share: Share of the images of each set in each of them; rows are sets.
        correlation: Mean correlation of the averages with their reference, by set, weighted by
            images: below 0.5 or so, the matches mean little.
    """

    reference: Integer[np.ndarray, " classes"]
    share: Float[np.ndarray, "sets classes"]
    correlation: Float[np.ndarray, " sets"]


def compare_class_shares(
    sets: Sequence[ClassAssignment], *, low_pass_ang: float = _LOW_PASS_ANG
) -> ClassShares:
    """Compute the share of each class of the first set in all sets.

    Args:
        sets: Classes of each set, with averages of the same size.
        low_pass_ang: Resolution to which the averages are filtered.

    Raises:
        SettingsError: The averages differ in size or pixel size.
    """
    first = sets[0]
    reference = np.flatnonzero(first.count) + 1
    shares, correlations = [], []
    for number, one in enumerate(sets, start=1):
        _require_same_size(first, one, number)
        occupied = np.flatnonzero(one.count)
        best, correlation = match_class_averages(
            one.images[occupied],
            first.images[reference - 1],
            pixel_size_ang=first.pixel_size_ang,
            low_pass_ang=low_pass_ang,
        )
        weight = one.count[occupied] / one.count.sum()
        shares.append(np.bincount(best, weights=weight, minlength=len(reference)))
        correlations.append(float(weight @ correlation))
    return ClassShares(reference, np.stack(shares), np.array(correlations))


def _require_same_size(first: ClassAssignment, other: ClassAssignment, number: int) -> None:
    is_same_pixel = math.isclose(first.pixel_size_ang, other.pixel_size_ang, rel_tol=1e-3)
    if first.images.shape[1:] != other.images.shape[1:] or not is_same_pixel:
        sizes = " and ".join(
            f"{one.images.shape[1]} pixels of {one.pixel_size_ang:.4g} Å" for one in (first, other)
        )
        raise SettingsError(
            f"the averages of sets 1 and {number} differ in size: {sizes}; extract all sets with "
            "the same box and pixel size"
        )


def match_class_averages(
    images: Float32[np.ndarray, "images side side"],
    references: Float32[np.ndarray, "references side side"],
    *,
    pixel_size_ang: float,
    low_pass_ang: float = _LOW_PASS_ANG,
) -> tuple[Integer[np.ndarray, " images"], Float[np.ndarray, " images"]]:
    """Return the row of the reference that is most similar to each image, and their correlation.

    Args:
        images: Averages to match.
        references: Averages to match them with.
        pixel_size_ang: Ångströms per pixel of both.
        low_pass_ang: Resolution to which both are filtered; at least two pixels.
    """
    cutoff = min(pixel_size_ang / low_pass_ang, 0.5)  # in cycles per pixel
    spectra = np.conj(np.fft.fft2([_prepare(image, cutoff) for image in references]))
    scores = np.full((len(images), len(references)), -np.inf)
    for row, image in enumerate(images):
        for turned in _turn(image.astype(np.float64)):
            product = np.fft.fft2(_prepare(turned, cutoff)) * spectra
            peak = np.fft.ifft2(product).real.max(axis=(1, 2))
            scores[row] = np.maximum(scores[row], peak)
    return scores.argmax(axis=1), scores.max(axis=1)


def _turn(image: Float[np.ndarray, "side side"]) -> list[Float[np.ndarray, "side side"]]:
    """Return the image and its mirror image, each in all in-plane rotations."""
    from scipy.ndimage import rotate

    return [
        rotate(flipped, angle, reshape=False, order=1)
        for flipped in (image, image[:, ::-1])
        for angle in range(0, 360, _STEP_DEG)
    ]


def _prepare(image: Float[np.ndarray, "side side"], cutoff: float) -> np.ndarray:
    """Filter an image, mask it by a disc and scale it to mean 0 and norm 1."""
    side = image.shape[0]
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    filtered = np.fft.ifft2(np.fft.fft2(image) * (frequency <= cutoff)).real
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    is_inside = np.hypot(x, y) <= side / 2
    centred = np.where(is_inside, filtered - filtered[is_inside].mean(), 0.0)
    return centred / max(float(np.linalg.norm(centred)), 1e-12)
