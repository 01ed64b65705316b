"""Boxes around the particles of one micrograph, as one file of images.

- `boxed`: which picks get a box.
- `cut_boxes`: the boxes.
- `standardized`: background of mean 0 and standard deviation 1.
- `write_stack`: the file.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Real
from cryopick.preprocess.fourier import downsample
from cryopick.runs.atomic_write import whole
from cryopick.stack.settings import Edge, StackSettings

__all__ = ["boxed", "cut_boxes", "standardized", "write_stack"]

_FLAT = 1e-6  # least spread of a background, in units of its mean, that can be made 1


def boxed(
    shape: tuple[int, int], xy_px: Float[np.ndarray, "picks 2"], side: int, edge: Edge
) -> Bool[np.ndarray, " picks"]:
    """Which picks get a box: those wholly inside, or for "pad" those centred inside.

    >>> boxed((10, 10), np.array([[2.0, 2.0], [1.0, 5.0], [8.0, 8.0], [-3.0, 5.0]]), 4, "skip")
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
    """Cut square boxes around particles; beyond an edge of the micrograph they are NaN.

    Args:
        pixels: Raw micrograph; may be memory-mapped, only the boxes are read.
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


def standardized(
    box: Float32[np.ndarray, "side side"], background: Bool[np.ndarray, "side side"]
) -> Float32[np.ndarray, "side side"]:
    """Give the background mean 0 and standard deviation 1; a flat one only its mean."""
    values = box[background].astype(np.float64)
    mean, spread = values.mean(), values.std()
    scale = 1 / spread if spread > _FLAT * max(1.0, abs(mean)) else 1.0
    return ((box - mean) * scale).astype(np.float32)


def write_stack(
    path: Path,
    pixels: Real[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "picks 2"],
    settings: StackSettings,
    pixel_size_ang: float,
) -> Bool[np.ndarray, " picks"]:
    """Write one micrograph's particles to a `.mrcs` file; without any, no file is written.

    Args:
        path: Where to write; an older file is replaced.
        pixels: Raw micrograph; may be memory-mapped.
        xy_px: Particle centres (x, y).
        settings: How to cut.
        pixel_size_ang: Of the raw micrograph; the header gets that of the written images.

    Returns:
        Which of the picks are in the stack, in the order given.
    """
    import mrcfile  # type: ignore[import-untyped]  # has no types

    side = settings.side_px(pixel_size_ang)
    kept = boxed(pixels.shape, xy_px, side, settings.edge)
    if not kept.any():
        return kept
    out = settings.rescale_px or side
    radius = settings.background_radius_px(pixel_size_ang)
    before, after = _outside(side, radius), _outside(out, radius * out / side)
    with (
        whole(path, overwrite=True) as temporary,
        mrcfile.new_mmap(temporary, (int(kept.sum()), out, out), mrc_mode=2) as stack,
    ):
        for number, box in enumerate(cut_boxes(pixels, xy_px[kept], side)):
            image = _filled(box, before)
            image = image if out == side else downsample(image, (out, out))
            image = standardized(image, after) if settings.normalize else image
            stack.data[number] = -image if settings.invert else image
        stack.set_image_stack()
        stack.voxel_size = pixel_size_ang * side / out
        stack.header.label[:] = b""
        stack.header.label[0] = b"cryopick"
        stack.header.nlabl = 1
    return kept


def _outside(side: int, radius_px: float) -> Bool[np.ndarray, "{side} {side}"]:
    """Pixels of a box that are further from its centre than a radius."""
    y, x = np.mgrid[:side, :side] - side // 2
    return x**2 + y**2 > radius_px**2


def _filled(
    box: Float32[np.ndarray, "side side"], background: Bool[np.ndarray, "side side"]
) -> Float32[np.ndarray, "side side"]:
    """Give pixels beyond the micrograph the mean of the background that is there."""
    known = np.isfinite(box)
    if known.all():
        return box
    ground = background & known
    mean = box[ground if ground.any() else known].mean(dtype=np.float64)
    return np.where(known, box, np.float32(mean))
