"""Score every region of a whole micrograph.

The network is slid over the image in tiles, each with the halo that its receptive field
needs, so memory is bounded whatever the size; beyond the image lie zeros, the mean of the
background. The result equals, to rounding, scoring the crop around each place alone.

- `ScoreMap`: logits on a grid of places.
- `score_map`: the scores of an image.
- `guided_map`: the same, averaged with a guide's.
- `folded`, `folded_both`: a network made ready for it, and a network with its guide.
- `number_format`: float32, or bfloat16 where that is faster.
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
from cryopick.inference.dilation import at_step
from cryopick.inference.settings import Precision
from cryopick.inference.winograd import Winograd, is_worthwhile
from cryopick.model.device import multiplies_bfloat16
from cryopick.model.ensemble import Guide
from cryopick.model.networks import LateResidual, Scorer
from cryopick.runs.parallel import in_order

__all__ = ["ScoreMap", "folded", "folded_both", "guided_map", "number_format", "score_map"]

# Sides of what is scored at once: its activations nearly fit the cache of a core, but it is not
# small beside the halo of a network that sees far; or it keeps a GPU busy.
_TILE_PX, _TILE_FIELDS, _TILE_PX_GPU = 256, 4, 1024
_AT_ONCE = 8  # tiles; at every pixel each takes some 60 MB, and more threads share in each
_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """Logits on a regular grid over an image.

    Attributes:
        logits: Score [i, j] belongs to the pixel (x, y) = (j, i) * step_px.
        step_px: Distance between places, in pixels of the image.
    """

    logits: Float32[np.ndarray, "rows columns"]
    step_px: int


def score_map(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    *,
    step_px: int,
    tile_px: int | None = None,
) -> ScoreMap:
    """Score the regions centred on every `step_px`-th pixel, from pixel (0, 0) on.

    Args:
        scorer: Network in evaluation mode, on the device to use; made `folded` for this step it
            need not be copied.
        image: Prepared micrograph.
        step_px: Distance between scored places: the network's stride or a divisor of it.
        tile_px: Side of the image part scored at once; None takes what suits the device.

    Raises:
        SettingsError: `step_px` does not divide the network's stride.
    """
    if step_px != scorer.stride_px:
        scorer = at_step(scorer, step_px)
    height, width = image.shape
    logits = np.empty((-(-height // step_px), -(-width // step_px)), np.float32)
    device = next(scorer.parameters()).device
    on_cpu = device.type == "cpu"
    if tile_px is None:
        suits_core = max(_TILE_PX, _TILE_FIELDS * scorer.receptive_field_px)
        tile_px = suits_core if on_cpu else _TILE_PX_GPU
    tiles = list(_tiles(scorer, logits.shape, tile_px))
    threads = torch.get_num_threads()
    workers = min(threads, len(tiles), _AT_ONCE) if on_cpu else 1

    def see(tile: tuple[slice, slice], window: tuple[int, int, int, int]) -> None:
        if workers > 1:  # a core that does all of one tile never waits for another core
            torch.set_num_threads(threads // workers)
        with torch.inference_mode():
            pixels = _padded(image, window).to(device)
            logits[tile] = scorer(pixels[None, None])[0].float().cpu().numpy()

    for _ in in_order(lambda each: see(*each), tiles, workers):
        pass
    torch.set_num_threads(threads)  # what later threads begin with
    return ScoreMap(logits, step_px)


def guided_map(
    scorer: Scorer,
    guide: Guide | None,
    image: Float32[np.ndarray, "height width"],
    *,
    step_px: int,
) -> ScoreMap:
    """Score an image with a network and, where there is one, its guide.

    Args:
        scorer: As for `score_map`.
        guide: The result is the mean of both logits, with this one's weight.
        image: As for `score_map`.
        step_px: As for `score_map`; the guide's stride may be less.

    Raises:
        SettingsError: `step_px` does not divide the network's stride.
    """
    scores = score_map(scorer, image, step_px=step_px)
    if guide is None:
        return scores
    finer = math.gcd(step_px, guide.scorer.stride_px)
    guiding = score_map(guide.scorer, image, step_px=finer).logits
    every = step_px // finer
    pooled = scores.logits + np.float32(guide.weight) * guiding[::every, ::every]
    # The mean and not the sum, so that logits keep their range and the floor its meaning.
    return ScoreMap(pooled / np.float32(1 + guide.weight), step_px)


def _tiles(
    scorer: Scorer, shape: tuple[int, int], tile_px: int
) -> Iterator[tuple[tuple[slice, slice], tuple[int, int, int, int]]]:
    """Parts of a grid of scores, each with the window of pixels that it depends on.

    A window is top, left, bottom, right in pixels of the image.
    """
    stride, reach = scorer.stride_px, scorer.receptive_field_px // 2
    side = max(1, tile_px // stride)
    for row in range(0, shape[0], side):
        for column in range(0, shape[1], side):
            last_row, last_column = min(row + side, shape[0]), min(column + side, shape[1])
            yield (
                (slice(row, last_row), slice(column, last_column)),
                (
                    row * stride - reach,
                    column * stride - reach,
                    (last_row - 1) * stride + reach + 1,
                    (last_column - 1) * stride + reach + 1,
                ),
            )


def _padded(
    image: Float32[np.ndarray, "height width"], window: tuple[int, int, int, int]
) -> torch.Tensor:
    """A window of the image, with zeros where there is no image."""
    height, width = image.shape
    top, left, bottom, right = window
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    margin = (
        (max(-top, 0), max(bottom - height, 0)),
        (max(-left, 0), max(right - width, 0)),
    )
    return torch.from_numpy(np.pad(inside, margin))


def folded(
    scorer: Scorer,
    precision: torch.dtype = torch.float32,
    device: torch.device = _CPU,
    *,
    step_px: int | None = None,
) -> Scorer:
    """A copy for scoring: batch normalisation folded into the convolutions, channels last.

    Args:
        scorer: A trained network.
        precision: Number format of all layers between the first, whose single input channel
            leaves nothing to gain, and the head, whose logits are float32.
        device: Where the copy is to be. Processors get the largest convolutions as products of
            matrices; other devices have kernels of their own for that.
        step_px: Pixels between scores; None keeps the network's stride.

    Raises:
        SettingsError: `step_px` does not divide the network's stride.
    """
    copy = at_step(scorer, step_px or scorer.stride_px).eval()
    for module in list(copy.modules()):
        if isinstance(module, LateResidual):
            module.fold()
        children = list(module.named_children())
        for (name, first), (norm_name, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, norm_name, nn.Identity())
    if device.type == "cpu" and precision == torch.float32:
        for module in list(copy.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Conv2d) and is_worthwhile(child):
                    setattr(module, name, Winograd(child))
    if precision != torch.float32:
        first, *rest = copy.encoder
        inner = nn.Sequential(*rest).to(precision)
        copy.encoder = nn.Sequential(first, _Cast(precision), *inner, _Cast(torch.float32))
    # Channels last is the layout that oneDNN and cuDNN compute in.
    return copy.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs


def folded_both(
    scorer: Scorer,
    guide: Guide | None,
    precision: torch.dtype,
    device: torch.device,
    *,
    step_px: int,
) -> tuple[Scorer, Guide | None]:
    """Make a network and its guide ready for `guided_map`.

    Args:
        scorer: As for `folded`.
        guide: Its guide, if it has one.
        precision: As for `folded`.
        device: As for `folded`.
        step_px: The step that both will be asked for.

    Raises:
        SettingsError: `step_px` does not divide the network's stride.
    """
    ready = folded(scorer, precision, device, step_px=step_px)
    if guide is None:
        return ready, None
    finer = math.gcd(step_px, guide.scorer.stride_px)
    return ready, replace(guide, scorer=folded(guide.scorer, precision, device, step_px=finer))


class _Cast(nn.Module):
    """Go on in another number format."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.kind)


def number_format(precision: Precision, device: torch.device) -> torch.dtype:
    """The number format that a setting means on a device."""
    if precision == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
