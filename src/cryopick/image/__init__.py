"""Prepare micrographs: find what is unusable, shrink, standardise.

NumPy in, NumPy out; nothing here touches files or torch.

- `prepare`, `shrink`: the whole way, from raw pixels to what the network sees.
- `downsample`, `resample`, `reduced_shape`: crop or pad the spectrum.
- `find_border`, `find_invalid`, `inset`: borders and flat patches.
- `difference_of_gaussians`, `standing_out`: what looks like a blob.
- `Clean`: a raw micrograph with those filled and single bad pixels mended.
- `whiten`: make the power alike at all frequencies.
- `histogram`, `fit_normalization`, `Normalization`: standardise to the background.
"""

from cryopick.image.blobs import difference_of_gaussians, standing_out
from cryopick.image.clean import Clean
from cryopick.image.fourier import downsample, reduced_shape, resample
from cryopick.image.histogram import Histogram, histogram
from cryopick.image.mask import Border, Invalid, find_border, find_invalid, inset
from cryopick.image.normalize import (
    Background,
    Normalization,
    NormalizationKind,
    fit_normalization,
)
from cryopick.image.prepare import Prepared, Shrunk, prepare, shrink
from cryopick.image.whiten import whiten

__all__ = [
    "Background",
    "Border",
    "Clean",
    "Histogram",
    "Invalid",
    "Normalization",
    "NormalizationKind",
    "Prepared",
    "Shrunk",
    "difference_of_gaussians",
    "downsample",
    "find_border",
    "find_invalid",
    "fit_normalization",
    "histogram",
    "inset",
    "prepare",
    "reduced_shape",
    "resample",
    "shrink",
    "standing_out",
    "whiten",
]
