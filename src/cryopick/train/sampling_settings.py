"""Settings of the minibatches of a training.

- `SamplingSettings`: composition and augmentation of a minibatch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError

__all__ = ["SamplingSettings"]


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Composition and augmentation of a minibatch.

    Raises:
        SettingsError: A value lies outside its range.
    """

    FORMER_NAMES: ClassVar[Mapping[str, str]] = {"colour": "spectral_augmentation"}

    patch_px: Annotated[
        int | None,
        Help(
            "Side of a training patch in working pixels.",
            default="three receptive fields of the network",
        ),
    ] = None
    unlabelled_patches: Annotated[int, Help("Patches of unlabelled regions in a minibatch.")] = 8
    positive_patches: Annotated[int, Help("Patches of labelled regions in a minibatch.")] = 2
    label_radius_px: Annotated[
        float,
        Help(
            "Regions centred within this distance of a label count as positive, in working pixels."
        ),
    ] = 1.0
    rotate: Annotated[bool, Help("Augmentation: rotate and mirror the patches at random.")] = True
    contrast: Annotated[
        float,
        Help(
            "Augmentation: standard deviation of the logarithm of a random contrast factor; 0 "
            "turns it off.",
            option="contrast-augmentation",
        ),
    ] = 0.2
    noise: Annotated[
        float,
        Help(
            "Augmentation: maximum standard deviation of added white noise, in units of the "
            "background's standard deviation; 0 turns it off."
        ),
    ] = 1.0
    spectral_augmentation: Annotated[
        float,
        Help(
            "Spectral augmentation: standard deviation of the logarithm of a random gain at each "
            "spatial frequency; 0 turns it off."
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        if min(self.unlabelled_patches, self.positive_patches) < 1:
            raise SettingsError("a step needs at least one unlabelled and one positive patch")
        check_ranges(self, "label_radius_px", above=0)
        check_ranges(self, "contrast noise spectral_augmentation", minimum=0)
