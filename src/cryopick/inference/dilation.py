"""Let a network score more places than its stride leaves, without doing work twice.

A layer with a stride drops outputs that a score between two places would need. Taken without
its stride it keeps them, and all later layers reach past them by dilation: each then sees what
it saw, for every place at once. To slide the network over the image displaced, once for each
kind of place, gives the same scores but computes the layers before the stride again each time.

- `at_step`: a network that scores every so many pixels.

Source: Giusti et al. 2013, Fast image scanning with deep max-pooling convolutional neural
networks; Yu and Koltun 2016, Multi-scale context aggregation by dilated convolutions.
"""

import copy
import math
from collections.abc import Iterator

from torch import nn

from cryopick.errors import SettingsError
from cryopick.inference.winograd import Winograd
from cryopick.model.networks import LateResidual, Residual, Scorer

__all__ = ["at_step"]


def at_step(scorer: Scorer, step_px: int) -> Scorer:
    """A copy of a network whose stride is `step_px`; each of its scores is as before.

    Args:
        scorer: A network, not made ready with `Winograd` in place of its layers.
        step_px: Pixels between neighbouring scores: the network's stride or a divisor of it.

    Raises:
        SettingsError: `step_px` does not divide the network's stride.
        ValueError: The network was made ready for another step.
    """
    if step_px < 1 or scorer.stride_px % step_px:
        raise SettingsError(
            f"the scoring step must divide the network's stride of {scorer.stride_px} pixels; "
            f"got {step_px}"
        )
    dense = copy.deepcopy(scorer)
    if step_px == scorer.stride_px:
        return dense
    if any(isinstance(part, Winograd) for part in scorer.modules()):
        raise ValueError(f"the network is ready for a step of {scorer.stride_px}; got {step_px}")
    stride, spread = 1, 1  # of what a layer is given; spread is the stride taken from it so far
    for block in dense.encoder:
        shortcut, begun = None, (stride, spread)
        if isinstance(block, Residual | LateResidual):
            shortcut = block.shortcut
            block.margin *= spread
        for layer in _convolutions(block):
            if layer is shortcut:  # beside the others, not after them
                _thin(layer, *begun, step_px)
            else:
                stride, spread = _thin(layer, stride, spread, step_px)
    dense.stride_px = stride
    return dense


def _convolutions(block: nn.Module) -> Iterator[nn.Conv2d]:
    return (part for part in block.modules() if isinstance(part, nn.Conv2d))


def _thin(layer: nn.Conv2d, stride: int, spread: int, step_px: int) -> tuple[int, int]:
    """Keep as much of a layer's stride as the step allows; what comes after is given both."""
    whole = layer.stride[0]
    kept = math.gcd(whole, step_px // stride)
    layer.stride = (kept, kept)
    layer.dilation = (layer.dilation[0] * spread, layer.dilation[1] * spread)
    return stride * kept, spread * (whole // kept)
