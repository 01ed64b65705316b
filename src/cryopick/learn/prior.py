"""The prior π: what share of the unlabelled regions are positive.

A region is positive when its centre lies within the label radius of a particle's centre, so
a particle counts as many positive regions as a disc of that radius has pixels.

- `disc_size`: pixels of a disc.
- `unlabelled_prior`: π from the expected number of particles.
"""

import numpy as np

from cryopick.errors import SettingsError

__all__ = ["disc_size", "unlabelled_prior"]


def disc_size(radius_px: float) -> int:
    """Count the pixels whose centres lie within `radius_px` of a pixel's centre.

    >>> [disc_size(r) for r in (0, 1, 2, 3)]
    [1, 5, 13, 29]
    """
    reach = int(np.floor(radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return int(np.count_nonzero(x**2 + y**2 <= radius_px**2))


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
    disc = disc_size(radius_px)
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
