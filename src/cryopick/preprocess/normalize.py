"""Standardise micrographs so that the background has mean 0 and standard deviation 1.

Four kinds, one interface. What a data set shares is fitted once and travels with the model;
what belongs to one micrograph is fitted again on each. Only usable pixels are looked at, and
only through a histogram. Decision 0003 says why.

- `fit_normalization`: what the micrographs of a data set share, as `Normalization`.
- `Normalization`: standardises a micrograph; goes to JSON and back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from cryopick.array_types import Bool, Float32
from cryopick.errors import FormatError
from cryopick.preprocess.histogram import Histogram, histogram
from cryopick.preprocess.mixture import Mixture, fit_mixture, fit_scale, fit_scaled_mixture
from cryopick.preprocess.whitening import whiten

__all__ = [
    "Background",
    "Normalization",
    "NormalizationKind",
    "fit_normalization",
]

NormalizationKind = Literal["dataset", "micrograph", "affine", "white"]


@dataclass(frozen=True)
class Background:
    """Mean and standard deviation that become 0 and 1, in the micrograph's intensity unit."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Normalization:
    """How micrographs are standardised.

    Attributes:
        kind: "dataset" takes the dominant component of a mixture shared by the data set and
            scaled to the micrograph; "micrograph" that of the micrograph's own mixture;
            "affine" the mean and standard deviation of the micrograph; "white" the same
            once its power spectrum has been made flat.
        mixture: The shared mixture; none but for "dataset".

    Raises:
        ValueError: `kind` is unknown, or `mixture` is missing or not wanted.
    """

    kind: NormalizationKind
    mixture: Mixture | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(NormalizationKind):
            raise ValueError(f"kind must be one of {get_args(NormalizationKind)}; got {self.kind}")
        if (self.kind == "dataset") != (self.mixture is not None):
            raise ValueError(f"a mixture goes with kind 'dataset' and no other; got {self}")

    def background(self, counted: Histogram) -> Background:
        """Find what to subtract and divide by on one micrograph.

        Args:
            counted: Histogram of the micrograph's usable pixels, of the whitened micrograph for
                the kind "white".
        """
        if self.kind in ("affine", "white"):
            return Background(counted.mean, counted.sd)
        mixture, scale = self.mixture, 1.0
        if mixture is None:
            mixture = fit_mixture(counted)
        else:
            scale = fit_scale(mixture, counted)
        return Background(
            scale * mixture.mean[mixture.dominant], scale * mixture.sd[mixture.dominant]
        )

    def apply(
        self,
        image: Float32[np.ndarray, "height width"],
        usable: Bool[np.ndarray, "height width"],
        counted: Histogram | None = None,
    ) -> Float32[np.ndarray, "height width"]:
        """Standardise a micrograph: (x/α - μ')/σ', and 0 where it is not usable.

        Multiplying the image by a positive number changes nothing. Values are not clipped.

        Args:
            image: Downsampled micrograph.
            usable: Pixels that hold image.
            counted: Their histogram in `image`, if it is at hand.

        Raises:
            MicrographError: Fewer than two different usable intensities.
        """
        if self.kind == "white":
            counted = counted or histogram(image, usable)
            calm = image.clip(float(counted.centres[0]), float(counted.centres[-1]))  # spikes ring
            image, counted = whiten(calm, usable), None
        background = self.background(counted or histogram(image, usable))
        standard = (image - np.float32(background.mean)) * np.float32(1 / background.sd)
        standard[~usable] = 0
        return standard

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Normalization":
        """Rebuild what `to_dict` gave.

        Raises:
            FormatError: A value is missing, unknown or of the wrong kind.
        """
        try:
            mixture = values["mixture"]
            if mixture is not None:
                (mean_0, mean_1), (sd_0, sd_1) = mixture["mean"], mixture["sd"]
                mixture = Mixture(
                    float(mixture["weight"]),
                    (float(mean_0), float(mean_1)),
                    (float(sd_0), float(sd_1)),
                )
            return cls(values["kind"], mixture)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                "normalisation settings must hold kind and mixture (weight, two means, two sds); "
                f"got {dict(values)!r}: {error}"
            ) from error


def fit_normalization(kind: NormalizationKind, histograms: Sequence[Histogram]) -> Normalization:
    """Fit what the micrographs of a data set share.

    Only kind "dataset" shares anything; for it, intensities should be counted from a zero
    that means no electrons, because the scale α multiplies means and spreads alike.

    Args:
        kind: "dataset", "micrograph", "affine" or "white".
        histograms: One for each training micrograph.

    Raises:
        ValueError: `kind` is unknown, or "dataset" is given no histogram.
    """
    if kind == "dataset":
        return Normalization(kind, fit_scaled_mixture(histograms)[0])
    return Normalization(kind)
