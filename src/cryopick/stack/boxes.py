"""Boxes around the particles of one micrograph, written as an image stack.

- `has_box`: test which picks get a box.
- `cut_boxes`: cut the boxes.
- `standardize_background`: scale to background mean 0 and standard deviation 1.
- `write_stack`: write the stack.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Real
from cryopick.io.images.mrc_stack import write_mrc_stack
from cryopick.preprocess.fourier import downsample
from cryopick.stack.settings import Edge, StackSettings

__all__ = ["cut_boxes", "has_box", "standardize_background", "write_stack"]

_MIN_RELATIVE_STD = 1e-6  # standard deviation of a background, relative to its mean


def has_box(
    shape: tuple[int, int], xy_px: Float[np.ndarray, "picks 2"], side: int, edge: Edge
) -> Bool[np.ndarray, " picks"]:
    """Test which picks get a box: those with a complete box, or for "pad" with their centre inside.

    >>> has_box((10, 10), np.array([[2.0, 2.0], [1.0, 5.0], [8.0, 8.0], [-3.0, 5.0]]), 4, "skip")
    array([ True, False,  True, False])
    """
    corner = np.rint(xy_px) - side // 2
    limit = np.array(shape[::-1])
    if edge == "skip":
        return ((corner >= 0) & (corner + side <= limit)).all(axis=1)
    centre = np.rint(xy_px)
    return ((centre >= 0) & (centre < limit)).all(axis=1)


def cut_boxes(
    pixels: Real[np.ndarray, "height width"], xy_px: Float[np.ndarray, "picks 2"], side: int
) -> Iterator[Float32[np.ndarray, "side side"]]:
    """Cut square boxes around particles; pixels outside the micrograph are NaN.

    Args:
        pixels: Raw micrograph.
        xy_px: Particle centres (x, y).
        side: Side of the boxes, even.
    """
    height, width = pixels.shape
    for x, y in np.rint(xy_px).astype(np.int64).tolist():
        left, top = x - side // 2, y - side // 2
        box = np.full((side, side), np.nan, np.float32)
        inside = (
            slice(max(top, 0), max(min(top + side, height), 0)),
            slice(max(left, 0), max(min(left + side, width), 0)),
        )
        box[
            inside[0].start - top : inside[0].stop - top,
            inside[1].start - left : inside[1].stop - left,
        ] = pixels[inside]
        yield box


def standardize_background(
    box: Float32[np.ndarray, "side side"], background: Bool[np.ndarray, "side side"]
) -> Float32[np.ndarray, "side side"]:
    """Scale the background to mean 0 and standard deviation 1; a constant one only to mean 0."""
    values = box[background].astype(np.float64)
    mean, std = values.mean(), values.std()
    scale = 1 / std if std > _MIN_RELATIVE_STD * max(1.0, abs(mean)) else 1.0
    return ((box - mean) * scale).astype(np.float32)


def write_stack(
    path: Path,
    pixels: Real[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "picks 2"],
    settings: StackSettings,
    pixel_size_ang: float,
) -> Bool[np.ndarray, " picks"]:
    """Write the particles of one micrograph to a `.mrcs` file; without particles, write no file.

    Args:
        path: Output file; an existing one is overwritten.
        pixels: Raw micrograph.
        xy_px: Particle centres (x, y).
        settings: Extraction settings.
        pixel_size_ang: Pixel size of the raw micrograph; the header gets that of the images.

    Returns:
        True for each pick that is in the stack, in the given order.
    """
    side = settings.side_px(pixel_size_ang)
    is_inside = has_box(pixels.shape, xy_px, side, settings.edge)
    if not is_inside.any():
        return is_inside
    image_side = settings.rescale_px or side
    radius = settings.background_radius_px(pixel_size_ang)
    box_background, image_background = (
        _select_background(side, radius),
        _select_background(image_side, radius * image_side / side),
    )

    def prepare(box: Float32[np.ndarray, "side side"]) -> Float32[np.ndarray, "out out"]:
        image = _fill_outside(box, box_background)
        image = image if image_side == side else downsample(image, (image_side, image_side))
        image = standardize_background(image, image_background) if settings.normalize else image
        return -image if settings.invert else image

    write_mrc_stack(
        path,
        map(prepare, cut_boxes(pixels, xy_px[is_inside], side)),
        count=int(is_inside.sum()),
        side=image_side,
        pixel_size_ang=pixel_size_ang * side / image_side,
    )
    return is_inside


def _select_background(side: int, radius_px: float) -> Bool[np.ndarray, "{side} {side}"]:
    """Select the pixels of a box that are farther from its centre than a radius."""
    y, x = np.mgrid[:side, :side] - side // 2
    return x**2 + y**2 > radius_px**2


def _fill_outside(
    box: Float32[np.ndarray, "side side"], background: Bool[np.ndarray, "side side"]
) -> Float32[np.ndarray, "side side"]:
    """Fill pixels outside the micrograph with the mean of the visible background."""
    is_known = np.isfinite(box)
    if is_known.all():
        return box
    visible_background = background & is_known
    mean = box[visible_background if visible_background.any() else is_known].mean(dtype=np.float64)
    return np.where(is_known, box, np.float32(mean))
