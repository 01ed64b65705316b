"""The prior π: what share of the unlabelled regions are positive.

A region is positive when its centre lies within the label radius of a particle's centre, so
a particle makes as many regions positive as pixels lie in a disc of that radius.

- `disc_pixels`: pixels in a disc.
- `unlabelled_prior`: π from the expected number of particles.
"""

import math

from cryopick.errors import SettingsError

__all__ = ["disc_pixels", "unlabelled_prior"]


def disc_pixels(radius_px: float) -> float:
    """Pixels whose centres lie within `radius_px` of a particle's centre, on average.

    Particles lie between pixels as often as on them. Averaged over where they lie, the number
    is the area π r² of the disc; around a pixel's own centre it is larger, 5 for 3.14.

    >>> round(disc_pixels(1.0), 2)
    3.14
    """
    return math.pi * radius_px**2


def unlabelled_prior(*, particles: float, labelled: int, radius_px: float, usable_px: int) -> float:
    """Share of positives among the unlabelled regions of all training micrographs.

    Discs of different particles are taken not to overlap. The labelled particles' own
    regions belong to the labelled set and are taken out of both counts:

        π = (particles - labelled) disc / (usable_px - labelled disc)

    Args:
        particles: Particles expected on all training micrographs together.
        labelled: Labelled particles among them.
        radius_px: Label radius in working pixels.
        usable_px: Working pixels that are not masked, on all micrographs together.

    Raises:
        SettingsError: No positives would be left unlabelled, or nothing but positives.
    """
    disc = disc_pixels(radius_px)
    if particles <= labelled:
        raise SettingsError(
            f"{particles:g} particles are expected on all training micrographs together, but "
            f"{labelled} are labelled already, so none would be left to find. "
            "Raise --particles-per-micrograph (it counts all particles, labelled or not)"
        )
    prior = (particles - labelled) * disc / max(usable_px - labelled * disc, 1)
    if prior >= 0.9:
        raise SettingsError(
            f"{particles:g} expected particles would cover {100 * prior:.0f} % of the usable "
            f"{usable_px} working pixels with discs of radius {radius_px:g}. "
            "Lower --particles-per-micrograph or --label-radius-px"
        )
    return prior
