"""Make patches look as if recorded a little differently.

A few labels tell the network little about how contrast and noise vary between micrographs;
varying both keeps it from learning the labelled crops by heart (docs/results/empiar10017.md).

- `distort`: other contrast and more noise, patch by patch.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["distort"]


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
