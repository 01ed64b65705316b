"""Dense scoring of a tomogram by tiles with halos, in bounded memory.

The scores equal those of the whole volume at once, as the network has no padding. Beyond the faces
the volume is continued by reflection, so that there is a score for every second working voxel.

- `score_volume`: scores of all classes on the grid of the network's stride.
"""

from collections.abc import Iterator

import numpy as np
import torch

from cryopick.array_types import Float32
from cryopick.tomograms.network import FIELD_PX, STRIDE_PX, Scorer3d
from cryopick.tomograms.sampling import reflect_indices

__all__ = ["score_volume"]

_TILE = 40  # scores along each side of a tile: 95³ working voxels, about 100 MB of activations


def score_volume(
    scorer: Scorer3d,
    image: Float32[np.ndarray, "depth height width"],
    *,
    device: torch.device,
    views: int = 1,
    tile: int = _TILE,
) -> Float32[np.ndarray, "classes z y x"]:
    """Score a volume; score (k, j, i) belongs to the working voxel (2k, 2j, 2i).

    Args:
        scorer: The network, on `device`.
        image: Volume at the working voxel size.
        device: Device to compute on.
        views: Number of flipped views, 1 to 8, whose logits are averaged.
        tile: Scores along each side of a tile.
    """
    counts = [-(-side // STRIDE_PX) for side in image.shape]
    scores = np.empty((scorer.classes, *counts), np.float32)
    half = FIELD_PX // 2
    scorer.eval()
    for block in _iterate_tiles(counts, tile):
        rows = [
            reflect_indices(
                np.arange(part.start * STRIDE_PX - half, (part.stop - 1) * STRIDE_PX + half + 1),
                side,
            )
            for part, side in zip(block, image.shape, strict=True)
        ]
        crop = torch.from_numpy(image[np.ix_(*rows)])[None, None].to(device)
        with torch.inference_mode():
            scores[(slice(None), *block)] = _score_views(scorer, crop, views)
    return scores


def _score_views(
    scorer: Scorer3d, crop: torch.Tensor, views: int
) -> Float32[np.ndarray, "classes z y x"]:
    """Average the logits of flipped views of a tile."""
    total: torch.Tensor | None = None
    for number in range(views):
        axes = [axis for bit, axis in enumerate((2, 3, 4)) if number >> bit & 1]
        logits = scorer(crop.flip(axes)).flip(axes)[0].float()
        total = logits if total is None else total + logits
    assert total is not None, "there is at least one view"
    return (total / views).cpu().numpy()


def _iterate_tiles(counts: list[int], tile: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield the tiles that cover a grid of scores."""
    starts = [range(0, count, tile) for count in counts]
    for z in starts[0]:
        for y in starts[1]:
            for x in starts[2]:
                first = (z, y, x)
                z_part, y_part, x_part = (
                    slice(a, min(a + tile, count)) for a, count in zip(first, counts, strict=True)
                )
                yield z_part, y_part, x_part
