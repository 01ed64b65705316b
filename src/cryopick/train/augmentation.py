"""Make patches look as if recorded a little differently.

A few labels tell the network little about how contrast and noise vary between micrographs;
varying both keeps it from learning the labelled crops by heart (docs/results/empiar10017.md).

- `distort`: other contrast and more noise, patch by patch.
- `recolour`: other power at each frequency, patch by patch.
"""

import torch
from torch import Tensor

from cryopick.array_types import Float

__all__ = ["distort", "recolour"]

_KNOTS = 5  # frequencies, from 0 to Nyquist and beyond in the corners, that get a gain of their own
_FILTERED = 0.3  # share of the patches that a low-pass filter has been over


def distort(
    patches: Float[Tensor, "batch side side"], *, contrast: float, noise: float, seed: int
) -> Float[Tensor, "batch side side"]:
    """Scale each patch and add white noise to it.

    Args:
        patches: Normalised images, background of mean 0 and spread 1.
        contrast: Standard deviation of the logarithm of the scale.
        noise: Greatest standard deviation of the noise; each patch draws its own below it.
        seed: Whole number from which everything drawn follows.
    """
    if not contrast and not noise:
        return patches
    generator = torch.Generator(patches.device).manual_seed(seed)
    each = (len(patches), 1, 1)
    scale = torch.randn(each, generator=generator, device=patches.device)
    level = torch.rand(each, generator=generator, device=patches.device)
    grain = torch.randn(patches.shape, generator=generator, device=patches.device)
    return patches * torch.exp(contrast * scale) + noise * level * grain


def recolour(
    patches: Float[Tensor, "batch side side"], *, spread: float, seed: int
) -> Float[Tensor, "batch side side"]:
    """Give each patch another spectrum: a smooth random gain, and on some a low-pass filter.

    Mean and standard deviation of a patch stay.

    Args:
        patches: Square images.
        spread: Standard deviation of the logarithm of the gain; 0 leaves patches as they are.
        seed: Whole number from which everything drawn follows.
    """
    if not spread:
        return patches
    generator = torch.Generator().manual_seed(seed)
    count, side = len(patches), patches.shape[-1]
    along = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None])
    place = (along * 2 * (_KNOTS - 2)).clamp(max=_KNOTS - 1 - 1e-4)
    below = place.long()
    knots = spread * torch.randn((count, _KNOTS), generator=generator)
    log_gain = torch.lerp(knots[:, below], knots[:, below + 1], place - below)
    is_filtered = torch.rand((count, 1, 1), generator=generator) < _FILTERED
    cutoff = 0.15 + 0.35 * torch.rand((count, 1, 1), generator=generator)
    log_gain = log_gain - is_filtered * (along / cutoff) ** 4
    spectrum = torch.fft.rfft2(patches) * torch.exp(log_gain).to(patches.device)
    other = torch.fft.irfft2(spectrum, s=(side, side))
    mean, own = patches.mean((1, 2), keepdim=True), patches.std((1, 2), keepdim=True)
    off = other - other.mean((1, 2), keepdim=True)
    return off * (own / off.std((1, 2), keepdim=True).clamp(min=1e-6)) + mean
