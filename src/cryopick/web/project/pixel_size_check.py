"""Check a pixel size that a person enters before filters, circles and training depend on it.

- `find_pixel_size_doubt`: reason to ask for confirmation.
"""

__all__ = ["find_pixel_size_doubt"]

_USUAL_ANG = (0.25, 6.0)  # of raw micrographs in single-particle work, binned ones included
_TOLERANCE = 0.1  # difference from the files that needs no confirmation
_MIN_DIAMETER_PX = 8.0


def find_pixel_size_doubt(
    pixel_size_ang: float, file_ang: float | None, diameter_ang: float | None
) -> str | None:
    """Return why a pixel size is probably wrong, or None.

    A misplaced decimal point and the size of binned micrographs are the usual mistakes.

    Args:
        pixel_size_ang: The pixel size.
        file_ang: Pixel size that the files or their list state; 1 Å counts as unknown.
        diameter_ang: Particle diameter, if it is known.
    """
    if file_ang and file_ang != 1.0:
        ratio = pixel_size_ang / file_ang
        if not 1 - _TOLERANCE <= ratio <= 1 + _TOLERANCE:
            factor = ratio if ratio > 1 else 1 / ratio
            return (
                f"{pixel_size_ang:g} Å is {factor:.3g} times {'more' if ratio > 1 else 'less'} "
                f"than the {file_ang:g} Å that the files state"
            )
    low_ang, high_ang = _USUAL_ANG
    if not low_ang <= pixel_size_ang <= high_ang:
        return (
            f"{pixel_size_ang:g} Å is unusual: micrographs have {low_ang:g} to {high_ang:g} Å "
            "per pixel"
        )
    if diameter_ang and diameter_ang / pixel_size_ang < _MIN_DIAMETER_PX:
        return (
            f"with {pixel_size_ang:g} Å per pixel, a particle of {diameter_ang:g} Å has only "
            f"{diameter_ang / pixel_size_ang:.1f} pixels"
        )
    return None
