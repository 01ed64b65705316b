"""Settings of training and picking in tomograms.

- `TomogramTraining`: settings of `cryopick tomo train`.
- `TomogramPicking`: settings of `cryopick tomo pick`.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help
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
        positive = ("diameter_ang", "particles_per_tomogram", "working_voxel_ang", "learning_rate")
        for name in (*positive, "max_memory_gb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")
        for name in ("steps", "unlabelled_windows", "positive_windows", "width"):
            if not 1 <= getattr(self, name) <= 1_000_000:
                raise SettingsError(f"{name} must be at least 1; got {getattr(self, name)}")
        if not 0 <= self.contrast < math.inf or not 0 <= self.max_turn_deg <= 180:
            raise SettingsError("contrast must be 0 or more, and max_turn_deg 0 to 180")
        if not _MIN_LABEL_RADIUS_PX <= self.label_radius_px < math.inf:
            raise SettingsError(
                f"label_radius_px must be at least {_MIN_LABEL_RADIUS_PX}; "
                f"got {self.label_radius_px}"
            )
        if self.seed < 0:
            raise SettingsError(f"seed must be 0 or more; got {self.seed}")

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
        if not 1 <= self.views <= 8:
            raise SettingsError(f"views must be 1 to 8; got {self.views}")
        if not (0 < self.min_distance_frac < math.inf and 0 < self.max_memory_gb < math.inf):
            raise SettingsError("min_distance_frac and max_memory_gb must be above 0")
        if math.isnan(self.threshold):
            raise SettingsError("threshold must be a number; got nan")
