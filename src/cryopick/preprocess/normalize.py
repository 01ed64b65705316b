"""Normalise micrographs so that the background has mean 0 and standard deviation 1.

There are five kinds of normalisation with one interface. Parameters shared by a data set are
fitted once and stored in the model; parameters of a micrograph are fitted to each. Fits use the
histogram of the usable pixels. Decision 0003 gives the reasons.

- `fit_normalization`: fit the shared parameters to the micrographs of a data set.
- `Normalization`: normalise a micrograph; convert to and from JSON values.
- `Background`: mean and standard deviation of the background of a micrograph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from cryopick.array_types import Bool, Float32
from cryopick.errors import FormatError
from cryopick.preprocess.background import subtract_strong_background
from cryopick.preprocess.gaussian_mixture import Mixture, fit_mixture, fit_scale, fit_scaled_mixture
from cryopick.preprocess.histogram import Histogram, histogram
from cryopick.preprocess.noise import estimate_noise
from cryopick.preprocess.settings import NormalizationKind
from cryopick.preprocess.whitening import whiten, whitening_gain

__all__ = [
    "Background",
    "Normalization",
    "fit_normalization",
]

_LINEAR_RANGE = 3.0  # background standard deviations up to which contrast stays about linear
_MIN_NOISE_FRAC = 0.1  # of the overall standard deviation; denoised images have hardly any noise


@dataclass(frozen=True)
class Background:
    """Mean and standard deviation of the background, in the unit of the micrograph."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Normalization:
    """Normalisation of micrographs.

    Attributes:
        kind: Source of mean and standard deviation. "dataset": the dominant component of a
            mixture that is shared by the data set and scaled to the micrograph. "micrograph": the
            dominant component of a mixture fitted to the micrograph. "affine": all usable
            pixels. "white": all usable pixels after spectral whitening. "noise": the emptiest
            parts, after whitening by the spectrum of their noise; strong contrast is compressed.
            A particle then looks the same whatever else is on the micrograph.
        mixture: The shared mixture of kind "dataset"; otherwise None.
        inverted: Invert the contrast, so that bright particles become dark.

    Raises:
        ValueError: `kind` is unknown, or `mixture` does not match `kind`.
    """

    kind: NormalizationKind
    mixture: Mixture | None = None
    inverted: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(NormalizationKind):
            raise ValueError(f"kind must be one of {get_args(NormalizationKind)}; got {self.kind}")
        if (self.kind == "dataset") != (self.mixture is not None):
            raise ValueError(f"kind 'dataset', and only it, requires a mixture; got {self}")

    def background(self, pixel_histogram: Histogram) -> Background:
        """Estimate the background of a micrograph.

        Args:
            pixel_histogram: Histogram of the usable pixels; for kind "white", of the whitened
                micrograph.
        """
        if self.kind in ("affine", "white"):
            return Background(pixel_histogram.mean, pixel_histogram.sd)
        mixture, scale = self.mixture, 1.0
        if mixture is None:
            mixture = fit_mixture(pixel_histogram)
        else:
            scale = fit_scale(mixture, pixel_histogram)
        return Background(
            scale * mixture.mean[mixture.dominant], scale * mixture.sd[mixture.dominant]
        )

    def apply(
        self,
        image: Float32[np.ndarray, "height width"],
        usable: Bool[np.ndarray, "height width"],
        pixel_histogram: Histogram | None = None,
    ) -> Float32[np.ndarray, "height width"]:
        """Normalise a micrograph: (x/α - μ')/σ', and 0 at unusable pixels.

        The result does not depend on the scale of the image. Values are not clipped.

        Args:
            image: Downsampled micrograph.
            usable: Pixels that contain image.
            pixel_histogram: Histogram of the usable pixels of `image`, if already known.

        Raises:
            MicrographError: Fewer than two different usable intensities.
        """
        if self.kind == "noise":
            normalised = _normalize_by_noise(
                image, usable, pixel_histogram or histogram(image, usable)
            )
            return -normalised if self.inverted else normalised
        if self.kind == "white":
            pixel_histogram = pixel_histogram or histogram(image, usable)
            low, high = pixel_histogram.centres[0], pixel_histogram.centres[-1]
            clipped = image.clip(float(low), float(high))  # outliers would ring
            image, pixel_histogram = whiten(clipped, usable), None
        background = self.background(pixel_histogram or histogram(image, usable))
        sign = -1 if self.inverted else 1
        normalised = (image - np.float32(background.mean)) * np.float32(sign / background.sd)
        normalised[~usable] = 0
        return normalised

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Normalization":
        """Convert from the values of `to_dict`.

        Raises:
            FormatError: A value is missing, unknown or of the wrong type.
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
            return cls(values["kind"], mixture, inverted=bool(values.get("inverted", False)))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                "normalisation must have kind and mixture (weight, two means, two sds); "
                f"got {dict(values)!r}: {error}"
            ) from error


def _normalize_by_noise(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    pixel_histogram: Histogram,
) -> Float32[np.ndarray, "height width"]:
    """Whiten by the noise of the emptiest parts and scale it to mean 0, standard deviation 1."""
    low, high = pixel_histogram.centres[0], pixel_histogram.centres[-1]
    clipped = image.clip(float(low), float(high))  # outliers would ring
    noise = estimate_noise(clipped, usable)
    gain = whitening_gain(noise.power)
    flat = whiten(clipped, usable, gain)
    deviation = noise.standard_deviation(gain)
    flat = subtract_strong_background(
        flat, usable, mean=noise.background_mean(flat, usable), deviation=deviation
    )
    background = noise.background_mean(flat, usable)
    min_scale = _MIN_NOISE_FRAC * float(flat[usable].std())
    scale = max(deviation, min_scale, 1e-30)
    contrast = (flat - np.float32(background)) / np.float32(_LINEAR_RANGE * scale)
    normalised = np.float32(_LINEAR_RANGE) * np.arcsinh(contrast)
    normalised[~usable] = 0
    return normalised


def fit_normalization(kind: NormalizationKind, histograms: Sequence[Histogram]) -> Normalization:
    """Fit the parameters that are shared by the micrographs of a data set.

    Only kind "dataset" has shared parameters. It requires intensities that are 0 without
    electrons, because the scale α multiplies both means and standard deviations.

    Args:
        kind: "dataset", "micrograph", "affine", "white" or "noise".
        histograms: Histograms of the training micrographs.

    Raises:
        ValueError: `kind` is unknown, or there is no histogram for "dataset".
    """
    if kind == "dataset":
        return Normalization(kind, fit_scaled_mixture(histograms)[0])
    return Normalization(kind)
