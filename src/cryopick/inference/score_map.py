"""Dense inference: compute the score map of a whole micrograph.

Networks are applied to tiles of the image, each with the halo that the receptive field
requires, so memory use does not depend on the size of the image. The image is padded with zeros,
the mean of the background. Up to rounding, each score equals the score of the crop around it.

- `ScoreMap`: logits on a regular grid.
- `compute_score_map`: score an image with one network.
- `compute_ensemble_score_map`: average the scores of several networks.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float32
from cryopick.errors import MicrographError
from cryopick.inference.engine import DenseEnsemble, DenseNetwork
from cryopick.model.architectures import EncoderDecoderShape, count_features
from cryopick.runs.parallel import available_cores, map_in_order

__all__ = ["ScoreMap", "compute_ensemble_score_map", "compute_score_map"]

# Tiles are large, so that the halo stays small in comparison, but the features of one layer take
# at most 32 MB on a CPU. On a GPU, large tiles use all cores.
_TILE_FEATURES, _MIN_TILE_PX, _TILE_PX_GPU = 1 << 23, 64, 1024
_ENCODER_DECODER_TILE_PX = 1024  # a multiple of the alignment; its halo is 144 pixels
_MAX_WORKERS = 8  # tiles in memory


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
    network: DenseNetwork,
    image: Float32[np.ndarray, "height width"],
    *,
    tile_px: int | None = None,
) -> ScoreMap:
    """Score the regions centred on every `step_px`-th pixel, starting at pixel (0, 0).

    Args:
        network: The network.
        image: Prepared micrograph.
        tile_px: Maximum side of a tile in pixels of the image; None chooses it for the device.
    """
    return ScoreMap(_score_all([network], image, tile_px)[0], network.step_px)


def compute_ensemble_score_map(
    ensemble: DenseEnsemble, image: Float32[np.ndarray, "height width"]
) -> ScoreMap:
    """Score an image by the weighted mean of the logits of several networks.

    Args:
        ensemble: The networks.
        image: As for `compute_score_map`.

    Raises:
        MicrographError: A pixel or a score is not finite.
    """
    _check_finite(image)  # the rectifiers of some engines return 0 for NaN
    total, *others = _score_all(ensemble.networks, image, None)
    if others:
        # The mean instead of the sum keeps the range of the logits, so that thresholds stay valid.
        total = total * np.float32(ensemble.weights[0])
        networks = ensemble.networks[1:]
        for network, weight, logits in zip(networks, ensemble.weights[1:], others, strict=True):
            ratio = ensemble.step_px // network.step_px
            total += np.float32(weight) * logits[::ratio, ::ratio]
        total /= np.float32(sum(ensemble.weights))
    _check_finite(total)
    return ScoreMap(total, ensemble.step_px)


def _score_all(
    networks: Sequence[DenseNetwork],
    image: Float32[np.ndarray, "height width"],
    tile_px: int | None,
) -> list[Float32[np.ndarray, "rows columns"]]:
    """Score an image with each network; their tiles share the cores."""
    maps = [
        np.empty([-(-length // network.step_px) for length in image.shape], np.float32)
        for network in networks
    ]
    tasks = [
        (network, tile, logits)
        for network, logits in zip(networks, maps, strict=True)
        for tile in _tiles(network, image.shape, tile_px)
    ]

    def score_tile(task: tuple[DenseNetwork, _Tile, Float32[np.ndarray, "_ _"]]) -> None:
        network, tile, logits = task
        logits[tile.output] = network.engine.score(_pad(image, tile.window))[tile.inner]

    on_cpu = all(network.is_on_cpu for network in networks)
    workers = min(available_cores(), len(tasks), _MAX_WORKERS) if on_cpu else 1
    for _ in map_in_order(score_tile, tasks, workers):
        pass
    return maps


def _check_finite(numbers: Float32[np.ndarray, "rows columns"]) -> None:
    invalid_count = numbers.size - int(np.isfinite(numbers).sum())
    if invalid_count:
        raise MicrographError(
            f"{invalid_count} of {numbers.size} pixels or scores are not finite; check the model, "
            "which may be damaged, and the pixel values"
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


def _tiles(network: DenseNetwork, shape: tuple[int, ...], tile_px: int | None) -> Iterator[_Tile]:
    """Generate the tiles of the grid of scores of an image of this shape."""
    if tile_px is None or network.is_padded:
        tile_px = _choose_tile(network)
    split = _split_padded if network.is_padded else _split_unpadded
    rows, columns = (list(split(network, length_px, tile_px)) for length_px in shape)
    for row in rows:
        for column in columns:
            yield _Tile(
                (row.output, column.output),
                (row.start_px, column.start_px, row.stop_px, column.stop_px),
                (row.inner, column.inner),
            )


def _choose_tile(network: DenseNetwork) -> int:
    """Return the maximum side of a tile in pixels."""
    if network.is_padded:
        return _ENCODER_DECODER_TILE_PX
    if not network.is_on_cpu:
        return _TILE_PX_GPU
    side = math.isqrt(_TILE_FEATURES // count_features(network.settings))
    return max(_MIN_TILE_PX, network.step_px * side)


@dataclass(frozen=True)
class _Interval:
    """A tile along one axis: scores, pixels shown to the network, and those of its scores."""

    output: slice
    start_px: int
    stop_px: int
    inner: slice


def _split_unpadded(network: DenseNetwork, length_px: int, tile_px: int) -> Iterator[_Interval]:
    """Split an axis into tiles, whose pixels include the halo of the receptive field."""
    step, halo = network.step_px, network.receptive_field_px // 2
    for first, end in _split_evenly(-(-length_px // step), max(1, tile_px // step)):
        yield _Interval(
            slice(first, end), first * step - halo, (end - 1) * step + halo + 1, slice(None)
        )


def _split_padded(network: DenseNetwork, length_px: int, tile_px: int) -> Iterator[_Interval]:
    """Split an axis into tiles for an encoder-decoder; scores do not depend on the tiles."""
    step, margin_px = network.step_px, EncoderDecoderShape.ALIGNMENT_PX
    context_px = EncoderDecoderShape.CONTEXT_PX
    units = -(-length_px // margin_px)
    for first, end in _split_evenly(units, max(1, tile_px // margin_px)):
        first_px, end_px = first * margin_px, min(end * margin_px, length_px)
        start_px = max(first_px - context_px, -margin_px)
        stop_px = min(end_px + context_px, length_px + margin_px)
        stop_px += (start_px - stop_px) % margin_px
        output = slice(first_px // step, -(-end_px // step))
        offset = start_px // step
        yield _Interval(
            output, start_px, stop_px, slice(output.start - offset, output.stop - offset)
        )


def _split_evenly(count: int, maximum: int) -> Iterator[tuple[int, int]]:
    """Split a range into parts of about equal size, so that few shapes have to be prepared."""
    size = -(-count // -(-count // maximum))
    for first in range(0, count, size):
        yield first, min(first + size, count)


def _pad(
    image: Float32[np.ndarray, "height width"], window: tuple[int, int, int, int]
) -> Float32[np.ndarray, "tile_height tile_width"]:
    """Cut a window out of the image, with zeros outside the image."""
    height, width = image.shape
    top, left, bottom, right = window
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    margin = (
        (max(-top, 0), max(bottom - height, 0)),
        (max(-left, 0), max(right - width, 0)),
    )
    return np.pad(inside, margin)
