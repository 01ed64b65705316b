"""Dense inference: compute the score map of a whole micrograph.

The network is applied to tiles of the image, each with the halo that the receptive field
requires, so memory use does not depend on the size of the image. The image is padded with zeros,
the mean of the background. Up to rounding, each score equals the score of the crop around it.

- `ScoreMap`: logits on a regular grid.
- `compute_score_map`: score an image with one network.
- `compute_ensemble_score_map`: average the scores of a network and its ensemble partner.
- `optimize_for_inference`, `optimize_ensemble_for_inference`: fold and convert the layers.
- `resolve_precision`: choose float32 or bfloat16 for a device.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cryopick.array_types import Float32
from cryopick.errors import MicrographError
from cryopick.inference.dilation import convert_to_stride
from cryopick.inference.settings import Precision
from cryopick.inference.winograd import WinogradConv2d, is_worthwhile
from cryopick.model.device import has_fast_bfloat16
from cryopick.model.encoder_decoder import EncoderDecoder
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import LateResidual, Scorer
from cryopick.runs.parallel import map_in_order

__all__ = [
    "ScoreMap",
    "compute_ensemble_score_map",
    "compute_score_map",
    "optimize_ensemble_for_inference",
    "optimize_for_inference",
    "resolve_precision",
]

# Minimum side of a tile in pixels and in receptive fields on a CPU: the activations nearly fit the
# cache of a core, and the halo stays small in comparison. On a GPU, large tiles use all cores.
_TILE_PX, _TILE_FIELDS, _TILE_PX_GPU = 256, 4, 1024
_ENCODER_DECODER_TILE_PX = 1024  # a multiple of the alignment; its halo is 144 pixels
_MAX_WORKERS = 8  # tiles in memory, about 60 MB each at a step of 1; further threads share a tile
_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """Logits on a regular grid over an image.

    Attributes:
        logits: Score [i, j] belongs to the pixel (x, y) = (j, i) * step_px.
        step_px: Distance between neighbouring scores, in pixels of the image.
    """

    logits: Float32[np.ndarray, "rows columns"]
    step_px: int


def compute_score_map(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    *,
    step_px: int,
    tile_px: int | None = None,
) -> ScoreMap:
    """Score the regions centred on every `step_px`-th pixel, starting at pixel (0, 0).

    Args:
        scorer: Network in evaluation mode, on the device to use. It is copied, unless
            `optimize_for_inference` has already set its stride to `step_px`.
        image: Prepared micrograph.
        step_px: Distance between scores: the stride of the network or a divisor of it.
        tile_px: Side of a tile in pixels of the image; None chooses it for the device.

    Raises:
        SettingsError: `step_px` does not divide the stride of the network.
    """
    if step_px != scorer.stride_px:
        scorer = convert_to_stride(scorer, step_px)
    height, width = image.shape
    logits = np.empty((-(-height // step_px), -(-width // step_px)), np.float32)
    device = next(scorer.parameters()).device
    on_cpu = device.type == "cpu"
    if tile_px is None:
        tile_px_cpu = max(_TILE_PX, _TILE_FIELDS * scorer.receptive_field_px)
        tile_px = tile_px_cpu if on_cpu else _TILE_PX_GPU
    tiles = list(_tiles(scorer, image.shape, tile_px))
    threads = torch.get_num_threads()
    workers = min(threads, len(tiles), _MAX_WORKERS) if on_cpu else 1

    def score_tile(tile: _Tile) -> None:
        if workers > 1:  # one core per tile, so that cores need not wait for each other
            torch.set_num_threads(threads // workers)
        with torch.inference_mode():
            pixels = _pad(image, tile.window).to(device)[None, None]
            if isinstance(scorer.encoder, EncoderDecoder):
                tile_logits = scorer.classify(scorer.encoder.encode_all(pixels))
            else:
                tile_logits = scorer(pixels)
            logits[tile.output] = tile_logits[0][tile.inner].float().cpu().numpy()

    for _ in map_in_order(score_tile, tiles, workers):
        pass
    torch.set_num_threads(threads)  # the default of threads that start later
    return ScoreMap(logits, step_px)


def compute_ensemble_score_map(
    scorer: Scorer,
    partner: EnsemblePartner | None,
    image: Float32[np.ndarray, "height width"],
    *,
    step_px: int,
) -> ScoreMap:
    """Score an image with a network and, if there is one, its ensemble partner.

    Args:
        scorer: As for `compute_score_map`.
        partner: Second network. The result is the weighted mean of both logits.
        image: As for `compute_score_map`.
        step_px: As for `compute_score_map`; the stride of the partner may be smaller.

    Raises:
        SettingsError: `step_px` does not divide the stride of the network.
        MicrographError: A score is not finite.
    """
    scores = compute_score_map(scorer, image, step_px=step_px)
    if partner is None:
        _check_finite(scores.logits)
        return scores
    partner_step = math.gcd(step_px, partner.scorer.stride_px)
    partner_logits = compute_score_map(partner.scorer, image, step_px=partner_step).logits
    ratio = step_px // partner_step
    weighted_sum = scores.logits + np.float32(partner.weight) * partner_logits[::ratio, ::ratio]
    # The mean instead of the sum keeps the range of the logits, so that thresholds stay valid.
    logits = weighted_sum / np.float32(1 + partner.weight)
    _check_finite(logits)
    return ScoreMap(logits, step_px)


def _check_finite(logits: Float32[np.ndarray, "rows columns"]) -> None:
    invalid_count = logits.size - int(np.isfinite(logits).sum())
    if invalid_count:
        raise MicrographError(
            f"{invalid_count} of {logits.size} scores are not finite; check the model, which may "
            "be damaged, and the pixel values"
        )


@dataclass(frozen=True)
class _Tile:
    """A part of a grid of scores.

    Attributes:
        output: Rows and columns of the grid.
        window: Pixels of the image that are shown to the network, as (top, left, bottom, right).
        inner: Those of the network's scores that belong to `output`.
    """

    output: tuple[slice, slice]
    window: tuple[int, int, int, int]
    inner: tuple[slice, slice]


def _tiles(scorer: Scorer, shape: tuple[int, ...], tile_px: int) -> Iterator[_Tile]:
    """Generate the tiles of the grid of scores of an image of this shape."""
    is_padded = isinstance(scorer.encoder, EncoderDecoder)
    side_px = _ENCODER_DECODER_TILE_PX if is_padded else tile_px
    split = _split_padded if is_padded else _split_unpadded
    rows, columns = (list(split(scorer, length_px, side_px)) for length_px in shape)
    for row in rows:
        for column in columns:
            yield _Tile(
                (row.output, column.output),
                (row.start_px, column.start_px, row.stop_px, column.stop_px),
                (row.inner, column.inner),
            )


@dataclass(frozen=True)
class _Interval:
    """A tile along one axis: scores, pixels shown to the network, and those of its scores."""

    output: slice
    start_px: int
    stop_px: int
    inner: slice


def _split_unpadded(scorer: Scorer, length_px: int, tile_px: int) -> Iterator[_Interval]:
    """Split an axis into tiles, whose pixels include the halo of the receptive field."""
    stride, halo = scorer.stride_px, scorer.receptive_field_px // 2
    count, side = -(-length_px // stride), max(1, tile_px // stride)
    for first in range(0, count, side):
        end = min(first + side, count)
        yield _Interval(
            slice(first, end), first * stride - halo, (end - 1) * stride + halo + 1, slice(None)
        )


def _split_padded(scorer: Scorer, length_px: int, tile_px: int) -> Iterator[_Interval]:
    """Split an axis into tiles for an encoder-decoder; scores do not depend on the tiles."""
    stride, margin = scorer.stride_px, EncoderDecoder.ALIGNMENT_PX
    for first_px in range(0, length_px, tile_px):
        end_px = min(first_px + tile_px, length_px)
        start_px = max(first_px - EncoderDecoder.CONTEXT_PX, -margin)
        stop_px = min(end_px + EncoderDecoder.CONTEXT_PX, length_px + margin)
        output = slice(first_px // stride, -(-end_px // stride))
        offset = start_px // stride
        yield _Interval(
            output, start_px, stop_px, slice(output.start - offset, output.stop - offset)
        )


def _pad(
    image: Float32[np.ndarray, "height width"], window: tuple[int, int, int, int]
) -> torch.Tensor:
    """Cut a window out of the image, with zeros outside the image."""
    height, width = image.shape
    top, left, bottom, right = window
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    margin = (
        (max(-top, 0), max(bottom - height, 0)),
        (max(-left, 0), max(right - width, 0)),
    )
    return torch.from_numpy(np.pad(inside, margin))


def optimize_for_inference(
    scorer: Scorer,
    precision: torch.dtype = torch.float32,
    device: torch.device = _CPU,
    *,
    step_px: int | None = None,
) -> Scorer:
    """Copy a network with batch normalisation folded into the convolutions, channels last.

    Args:
        scorer: A trained network.
        precision: Floating-point type of all layers except the first, which has one input
            channel and would not become faster, and the head, whose logits are float32.
        device: Device of the copy. On a CPU, the largest convolutions are replaced by Winograd
            convolutions; other devices have fast kernels of their own.
        step_px: Pixels between scores; None keeps the stride of the network.

    Raises:
        SettingsError: `step_px` does not divide the stride of the network.
    """
    copy = convert_to_stride(scorer, step_px or scorer.stride_px).eval()
    for module in list(copy.modules()):
        if isinstance(module, LateResidual | EncoderDecoder):
            module.fold()
        children = list(module.named_children())
        for (name, first), (norm_name, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, norm_name, nn.Identity())
    if device.type == "cpu" and precision == torch.float32:
        _use_winograd(copy)
    if isinstance(copy.encoder, EncoderDecoder):
        copy.encoder.to(precision)
    elif precision != torch.float32:
        first, *rest = copy.encoder
        inner = nn.Sequential(*rest).to(precision)
        copy.encoder = nn.Sequential(first, _Cast(precision), *inner, _Cast(torch.float32))
    # Channels last is the layout that oneDNN and cuDNN compute in.
    return copy.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs


def _use_winograd(scorer: Scorer) -> None:
    """Replace the large convolutions of a network by Winograd convolutions."""
    for module in list(scorer.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and is_worthwhile(child):
                setattr(module, name, WinogradConv2d(child))


def optimize_ensemble_for_inference(
    scorer: Scorer,
    partner: EnsemblePartner | None,
    precision: torch.dtype,
    device: torch.device,
    *,
    step_px: int,
) -> tuple[Scorer, EnsemblePartner | None]:
    """Optimize a network and its ensemble partner for `compute_ensemble_score_map`.

    Args:
        scorer: As for `optimize_for_inference`.
        partner: Ensemble partner of the network, if it has one.
        precision: As for `optimize_for_inference`.
        device: As for `optimize_for_inference`.
        step_px: Pixels between the averaged scores.

    Raises:
        SettingsError: `step_px` does not divide the stride of the network.
    """
    optimized = optimize_for_inference(scorer, precision, device, step_px=step_px)
    if partner is None:
        return optimized, None
    partner_step = math.gcd(step_px, partner.scorer.stride_px)
    return optimized, replace(
        partner,
        scorer=optimize_for_inference(partner.scorer, precision, device, step_px=partner_step),
    )


class _Cast(nn.Module):
    """A layer that converts its input to another floating-point type."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the floating-point type that a precision setting selects on a device."""
    if precision == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
