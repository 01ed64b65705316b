"""Settings of training and picking in tomograms.

- `TomogramTraining`: settings of `cryopick tomo train`.
- `TomogramPicking`: settings of `cryopick tomo pick`.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError
from cryopick.train.settings import ObjectiveName

__all__ = ["DIAMETER_PX", "TomogramPicking", "TomogramTraining"]

DIAMETER_PX = 10.0  # particle diameter in working voxels
_MIN_LABEL_RADIUS_PX = 1.75  # scores are 2 voxels apart: half the diagonal of their cell is 1.73


@dataclass(frozen=True, kw_only=True)
class TomogramTraining:
    """Settings of a training on tomograms; the field names are the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    diameter_ang: Annotated[float, Help("Longest dimension of the particle in ångströms.")]
    particles_per_tomogram: Annotated[
        float,
        Help(
            "Expected number of particles of each class in a tomogram, labelled or not; a rough "
            "number is sufficient."
        ),
    ]
    working_voxel_ang: Annotated[
        float | None,
        Help(
            "Voxel size in ångströms after averaging, as the network receives it.",
            default="the diameter divided by 10",
        ),
    ] = None
    objective: Annotated[
        ObjectiveName,
        Help(
            "Training objective for positive and unlabelled regions: pn, pu, nnpu, ge-kl or "
            "ge-binomial, as for micrographs."
        ),
    ] = "ge-binomial"
    steps: Annotated[int, Help("Number of training steps (minibatches).")] = 400
    learning_rate: Annotated[float, Help("Maximum learning rate of the one-cycle schedule.")] = 3e-3
    unlabelled_windows: Annotated[
        int, Help("Windows at random positions in a minibatch, for unlabelled regions.")
    ] = 6
    positive_windows: Annotated[
        int, Help("Windows around labels of each class in a minibatch.")
    ] = 4
    label_radius_px: Annotated[
        float,
        Help(
            "Regions centred within this distance of a label count as positive, in working voxels; "
            "at least 1.75, so that a score is near every label."
        ),
    ] = 2.0
    max_turn_deg: Annotated[
        float,
        Help(
            "Augmentation: maximum rotation around the beam axis in degrees. Large angles turn the "
            "missing wedge; 180 suits tomograms from two tilt axes."
        ),
    ] = 0.0
    contrast: Annotated[
        float,
        Help("Augmentation: standard deviation of the logarithm of a random contrast factor."),
    ] = 0.2
    width: Annotated[int, Help("Factor of the number of channels of the network.")] = 1
    seed: Annotated[int, Help("Seed of the random number generators.")] = 0
    max_memory_gb: Annotated[
        float, Help("Maximum memory of a tomogram at the working voxel size, in 10⁹ bytes.")
    ] = 16.0

    def __post_init__(self) -> None:
        lengths = "diameter_ang working_voxel_ang"
        check_ranges(self, f"{lengths} particles_per_tomogram learning_rate max_memory_gb", above=0)
        counts = "steps unlabelled_windows positive_windows width"
        check_ranges(self, counts, minimum=1, maximum=1_000_000)
        check_ranges(self, "contrast seed", minimum=0)
        check_ranges(self, "max_turn_deg", minimum=0, maximum=180)
        check_ranges(self, "label_radius_px", minimum=_MIN_LABEL_RADIUS_PX)

    @property
    def working_ang(self) -> float:
        """Ångströms per working voxel."""
        return self.working_voxel_ang or self.diameter_ang / DIAMETER_PX


@dataclass(frozen=True, kw_only=True)
class TomogramPicking:
    """Settings of picking in tomograms; the field names are the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    threshold: Annotated[
        float, Help("Minimum score of a pick; 0 is a probability of one half.")
    ] = -4.0
    min_distance_frac: Annotated[
        float, Help("Minimum distance between picks, as a fraction of the particle diameter.")
    ] = 0.6
    views: Annotated[
        int,
        Help(
            "Test-time augmentation: number of mirrored views whose scores are averaged, 1 to 8; "
            "all of them keep the missing wedge."
        ),
    ] = 4
    max_memory_gb: Annotated[float, Help("Maximum memory in 10⁹ bytes.")] = 16.0

    def __post_init__(self) -> None:
        check_ranges(self, "views", minimum=1, maximum=8)
        check_ranges(self, "min_distance_frac max_memory_gb", above=0)
        if math.isnan(self.threshold):
            raise SettingsError("threshold must be a number; got nan")
