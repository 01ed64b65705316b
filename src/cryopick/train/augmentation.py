"""Augment patches: random contrast, noise and spectra.

A few labels cover little of the variation between micrographs. Random contrast and noise keep the
network from memorizing the labelled crops (docs/results/empiar10017.md).

- `augment_intensity`: random contrast and added noise for each patch.
- `augment_spectrum`: a random gain at each spatial frequency for each patch.
"""

import torch
from torch import Tensor

from cryopick.array_types import Float

__all__ = ["augment_intensity", "augment_spectrum"]

_KNOTS = 5  # frequencies with an independent gain, from 0 to Nyquist and the corners beyond
_LOW_PASS_FRAC = 0.3  # fraction of the patches that also get a low-pass filter


def augment_intensity(
    patches: Float[Tensor, "batch side side"], *, contrast: float, noise: float, seed: int
) -> Float[Tensor, "batch side side"]:
    """Scale each patch by a random factor, and add white noise to it.

    Args:
        patches: Normalized images, with a background of mean 0 and standard deviation 1.
        contrast: Standard deviation of the logarithm of the factor.
        noise: Maximum standard deviation of the noise; that of each patch is uniform below it.
        seed: Seed of all random numbers.
    """
    if not contrast and not noise:
        return patches
    generator = torch.Generator(patches.device).manual_seed(seed)
    shape = (len(patches), 1, 1)
    scale = torch.randn(shape, generator=generator, device=patches.device)
    level = torch.rand(shape, generator=generator, device=patches.device)
    white = torch.randn(patches.shape, generator=generator, device=patches.device)
    return patches * torch.exp(contrast * scale) + noise * level * white


def augment_spectrum(
    patches: Float[Tensor, "batch side side"], *, log_gain_std: float, seed: int
) -> Float[Tensor, "batch side side"]:
    """Multiply the spectrum of each patch by a smooth random gain, of some also by a low-pass.

    Mean and standard deviation of each patch are preserved.

    Args:
        patches: Square images.
        log_gain_std: Standard deviation of the logarithm of the gain; 0 returns the patches.
        seed: Seed of all random numbers.
    """
    if not log_gain_std:
        return patches
    generator = torch.Generator().manual_seed(seed)
    count, side = len(patches), patches.shape[-1]
    frequency = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None])
    position = (frequency * 2 * (_KNOTS - 2)).clamp(max=_KNOTS - 1 - 1e-4)
    below = position.long()
    knots = log_gain_std * torch.randn((count, _KNOTS), generator=generator)
    log_gain = torch.lerp(knots[:, below], knots[:, below + 1], position - below)
    has_low_pass = torch.rand((count, 1, 1), generator=generator) < _LOW_PASS_FRAC
    cutoff = 0.15 + 0.35 * torch.rand((count, 1, 1), generator=generator)
    log_gain = log_gain - has_low_pass * (frequency / cutoff) ** 4
    spectrum = torch.fft.rfft2(patches) * torch.exp(log_gain).to(patches.device)
    filtered = torch.fft.irfft2(spectrum, s=(side, side))
    mean, std = patches.mean((1, 2), keepdim=True), patches.std((1, 2), keepdim=True)
    centred = filtered - filtered.mean((1, 2), keepdim=True)
    return centred * (std / centred.std((1, 2), keepdim=True).clamp(min=1e-6)) + mean
