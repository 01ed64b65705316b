"""Limits of the image at the working scale, checked before it is computed.

A diameter in nanometres or a wrong pixel size makes a particle as small as a pixel, and the image
would be enlarged until the memory is exhausted.

- `check_working_size`: refuse such a scale.
- `check_pick_count`: refuse a distance between picks that allows far too many.
"""

import math

from cryopick.errors import MicrographError

__all__ = ["check_pick_count", "check_working_size"]

_PARTICLE_PX = 17  # diameter of a particle in working pixels
_MIN_RAW_PX = 6  # smallest particle, in raw pixels, that can be distinguished from noise
_MAX_ENLARGED = 1 << 25  # pixels of an enlarged image; those of a 4096 x 4096 one times 2
_MIN_SIDE = 4  # working pixels; a particle is larger than such a micrograph
_MAX_PICKS = 200_000  # on one micrograph; six times as many as densely packed particles of 50 Å
_AREA_PER_PICK = math.sqrt(3) / 2  # squared distances, in the densest packing
_ADVICE = "check --diameter-ang and the pixel size, both in ångströms"


def check_working_size(
    factor: float | int, shape: tuple[int, int], new_shape: tuple[int, int]
) -> None:
    """Check the size of a particle and of the image at the working scale.

    Args:
        factor: Raw pixels per working pixel.
        shape: Height and width of the raw micrograph.
        new_shape: Height and width at the working scale.

    Raises:
        MicrographError: A particle is smaller than about six raw pixels or larger than the
            micrograph, or the enlarged image is too large.
    """
    particle_px = _PARTICLE_PX * factor
    height, width = new_shape
    if particle_px < _MIN_RAW_PX or (factor < 1 and height * width > _MAX_ENLARGED):
        raise MicrographError(
            f"a particle would span {particle_px:.2g} raw pixels, and the image be enlarged to "
            f"{width} x {height} pixels; {_ADVICE}"
        )
    if min(new_shape) < _MIN_SIDE <= min(shape):
        raise MicrographError(
            f"a particle of {particle_px:.4g} raw pixels exceeds the micrograph of "
            f"{shape[1]} x {shape[0]} pixels; {_ADVICE}"
        )


def check_pick_count(shape: tuple[int, int], distance_px: float) -> None:
    """Check how many picks a minimum distance allows on a micrograph.

    Args:
        shape: Height and width of the micrograph.
        distance_px: Minimum distance between picks, in the same pixels.

    Raises:
        MicrographError: They are more than any micrograph has.
    """
    count = shape[0] * shape[1] / max(_AREA_PER_PICK * distance_px**2, 1.0)
    if count > _MAX_PICKS:
        raise MicrographError(
            f"a distance of {distance_px:.2g} pixels between picks allows {count:.2g} of them on "
            f"{shape[1]} x {shape[0]} pixels; check --radius-ang, --diameter-ang and the pixel "
            "size, all in ångströms"
        )
