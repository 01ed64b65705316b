"""Dense inference by dilation (à trous): reduce the stride of a network without retraining.

A strided layer drops outputs that the scores in between would need. Without its stride, the layer
keeps them, and all later layers are dilated to skip them, so every score depends on the same
inputs as before. Running the network on shifted copies of the image would give the same scores,
but repeat the computation of the layers before the stride.

- `convert_to_stride`: copy a network with a smaller stride.

Source: Giusti et al. 2013, Fast image scanning with deep max-pooling convolutional neural
networks; Yu and Koltun 2016, Multi-scale context aggregation by dilated convolutions.
"""

import copy
import math
from collections.abc import Iterator

from torch import nn

from cryopick.errors import SettingsError
from cryopick.inference.winograd import WinogradConv2d
from cryopick.model.encoder_decoder import EncoderDecoder
from cryopick.model.networks import LateResidual, Residual, Scorer

__all__ = ["convert_to_stride"]


def convert_to_stride(scorer: Scorer, step_px: int) -> Scorer:
    """Copy a network with the stride `step_px`; its scores do not change.

    Args:
        scorer: A network whose convolutions are not replaced by `WinogradConv2d`.
        step_px: Pixels between neighbouring scores: the stride of the network or a divisor of it.

    Raises:
        SettingsError: `step_px` does not divide the stride of the network, or the network is an
            encoder-decoder, whose stride cannot be changed.
        ValueError: The network was already optimized for another step.
    """
    if step_px < 1 or scorer.stride_px % step_px:
        raise SettingsError(
            f"the scoring step must divide the network's stride of {scorer.stride_px} pixels; "
            f"got {step_px}"
        )
    dense = copy.deepcopy(scorer)
    if step_px == scorer.stride_px:
        return dense
    if any(isinstance(module, WinogradConv2d) for module in scorer.modules()):
        raise ValueError(
            f"the network was optimized for a step of {scorer.stride_px}; got {step_px}"
        )
    if isinstance(dense.encoder, EncoderDecoder):
        raise SettingsError(
            f"the network {scorer.settings.name} scores every {scorer.stride_px} pixels only; "
            f"got a step of {step_px}"
        )
    stride, dilation = 1, 1  # of the input of a layer; dilation is the product of removed strides
    for block in dense.encoder:
        shortcut, block_input = None, (stride, dilation)
        if isinstance(block, Residual | LateResidual):
            shortcut = block.shortcut
            block.margin *= dilation
        for layer in _iterate_convolutions(block):
            if layer is shortcut:  # parallel to the other layers of the block
                _reduce_stride(layer, *block_input, step_px)
            else:
                stride, dilation = _reduce_stride(layer, stride, dilation, step_px)
    dense.stride_px = stride
    return dense


def _iterate_convolutions(block: nn.Module) -> Iterator[nn.Conv2d]:
    return (module for module in block.modules() if isinstance(module, nn.Conv2d))


def _reduce_stride(layer: nn.Conv2d, stride: int, dilation: int, step_px: int) -> tuple[int, int]:
    """Reduce the stride of a layer as far as the step requires, and dilate the layer.

    Returns:
        Stride and dilation of the input of the next layer.
    """
    original_stride = layer.stride[0]
    new_stride = math.gcd(original_stride, step_px // stride)
    layer.stride = (new_stride, new_stride)
    layer.dilation = (layer.dilation[0] * dilation, layer.dilation[1] * dilation)
    return stride * new_stride, dilation * (original_stride // new_stride)
