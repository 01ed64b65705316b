"""The class prior π: the fraction of unlabelled regions that are positive.

A region is positive if its centre lies within the label radius of a particle's centre. So each
particle makes as many regions positive as there are pixels in a disc of that radius.

- `compute_disc_area`: mean number of pixels in a disc.
- `compute_unlabelled_prior`: π from the expected number of particles.
"""

import math

from cryopick.errors import SettingsError

__all__ = ["compute_disc_area", "compute_unlabelled_prior"]

_MAX_PRIOR = 0.9


def compute_disc_area(radius_px: float) -> float:
    """Compute the mean number of pixel centres within `radius_px` of a particle's centre.

    Averaged over all sub-pixel positions of the particle, this is the area π r² of the disc.
    Around the centre of a pixel it is larger: 5 instead of 3.14 for a radius of 1.

    >>> round(compute_disc_area(1.0), 2)
    3.14
    """
    return math.pi * radius_px**2


def compute_unlabelled_prior(
    *, particles: float, labelled: int, radius_px: float, usable_px: int
) -> float:
    """Compute the fraction of positives among the unlabelled regions of all micrographs.

    The discs of particles count as disjoint. Regions of labelled particles belong to the
    labelled set and are excluded from both counts:

        π = (particles - labelled) disc / (usable_px - labelled disc)

    Args:
        particles: Expected particles on all training micrographs together.
        labelled: Labelled particles among them.
        radius_px: Label radius in working pixels.
        usable_px: Working pixels outside masks, on all micrographs together.

    Raises:
        SettingsError: No positives, or almost only positives, would be unlabelled.
    """
    disc = compute_disc_area(radius_px)
    if particles <= labelled:
        raise SettingsError(
            f"{particles:g} particles are expected on all training micrographs together, but "
            f"{labelled} are labelled already, so none would be left to find. "
            "Raise --particles-per-micrograph (it counts all particles, labelled or not)"
        )
    prior = (particles - labelled) * disc / max(usable_px - labelled * disc, 1)
    if prior >= _MAX_PRIOR:
        raise SettingsError(
            f"{particles:g} expected particles would cover {100 * prior:.0f} % of the usable "
            f"{usable_px} working pixels with discs of radius {radius_px:g}. "
            "Lower --particles-per-micrograph or --label-radius-px"
        )
    return prior
