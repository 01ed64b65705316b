"""What a network says of single places when they are turned and mirrored.

Molecules lie on the ice at any angle, and a mirror image is as good a projection as the
image: a network that understood what it sees would say the same of all eight versions of a
crop. Where it does not, it is unsure, however sure each answer sounds.

- `look_around`: logits of all eight versions of each place, and their mean feature vector.
"""

from collections.abc import Iterator

import numpy as np
import torch

from cryopick.array_types import Float, Float32
from cryopick.model.networks import Scorer

__all__ = ["TURNS", "look_around"]

TURNS = 8  # the symmetries of the square: four turns, each also mirrored

_BATCH = 64  # crops scored at once: their activations bound the memory


def look_around(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    xy: Float[np.ndarray, "places 2"],
) -> tuple[Float32[np.ndarray, "places 8"], Float32[np.ndarray, "places features"]]:
    """Score the crops around some places in all eight versions.

    A crop is centred on the pixel nearest to the place; beyond the image lie zeros, as for
    `score_map`.

    Args:
        scorer: Network in evaluation mode, on the device to use.
        image: Prepared micrograph.
        xy: Places (x, y) in pixels of the image, inside it.

    Returns:
        Logits, those of the crop as it is first; and feature vectors, averaged over the
        versions so that they say what is there and not which way it points.
    """
    device = next(scorer.parameters()).device
    logits = np.empty((len(xy), TURNS), np.float32)
    features = np.zeros((len(xy), scorer.features), np.float32)
    crops = _crops(image, xy, scorer.receptive_field_px)
    with torch.inference_mode():
        for start in range(0, len(xy), _BATCH):
            some = slice(start, start + _BATCH)
            for turn, version in enumerate(_versions(torch.from_numpy(crops[some]))):
                seen = scorer.encode(version[:, None].contiguous().to(device))
                logits[some, turn] = scorer.classify(seen)[:, 0, 0].float().cpu().numpy()
                features[some] += seen[:, :, 0, 0].float().cpu().numpy() / TURNS
    return logits, features


def _crops(
    image: Float32[np.ndarray, "height width"], xy: Float[np.ndarray, "places 2"], side: int
) -> Float32[np.ndarray, "places {side} {side}"]:
    """Squares of an odd side around places, with zeros where there is no image."""
    reach = side // 2
    padded = np.pad(image, reach)
    column, row = np.rint(xy).astype(np.int64).T
    crops = np.empty((len(xy), side, side), np.float32)
    for number, (top, left) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
        crops[number] = padded[top : top + side, left : left + side]
    return crops


def _versions(crops: torch.Tensor) -> Iterator[torch.Tensor]:
    """The crops in four turns, then mirrored in four turns."""
    for mirrored in (crops, crops.flip(-1)):
        for quarter in range(4):
            yield mirrored.rot90(quarter, (-2, -1))
