"""Test-time augmentation: score positions in all rotated and mirrored views.

Particles have random in-plane orientations, and the mirror image of a projection is also a
projection. The logits of the eight views of the dihedral group D4 should therefore be equal; their
variation measures the uncertainty of the network.

- `score_test_time_views`: logits of all views of each position, and the mean feature vector.
"""

from collections.abc import Iterator

import numpy as np
import torch

from cryopick.array_types import Float, Float32
from cryopick.model.networks import Scorer

__all__ = ["VIEW_COUNT", "score_test_time_views"]

VIEW_COUNT = 8  # the dihedral group D4: four rotations, each also mirrored

_BATCH_SIZE = 64  # crops scored at once; limits the memory of the activations


def score_test_time_views(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    xy: Float[np.ndarray, "positions 2"],
) -> tuple[Float32[np.ndarray, "positions 8"], Float32[np.ndarray, "positions features"]]:
    """Score the crops around positions in all eight views.

    A crop is centred on the pixel nearest to the position. The image is padded with zeros, as in
    `compute_score_map`.

    Args:
        scorer: Network in evaluation mode, on the device to use.
        image: Prepared micrograph.
        xy: Positions (x, y) in pixels of the image, inside the image.

    Returns:
        The logits, with the original view first, and the feature vectors. The latter are averaged
        over the views, so that they do not depend on the orientation of the particle.
    """
    device = next(scorer.parameters()).device
    logits = np.empty((len(xy), VIEW_COUNT), np.float32)
    features = np.zeros((len(xy), scorer.features), np.float32)
    crops = _crop_positions(image, xy, scorer.receptive_field_px)
    with torch.inference_mode():
        for start in range(0, len(xy), _BATCH_SIZE):
            batch = slice(start, start + _BATCH_SIZE)
            for number, view in enumerate(_generate_views(torch.from_numpy(crops[batch]))):
                encoded = scorer.encode(view[:, None].contiguous().to(device))
                logits[batch, number] = scorer.classify(encoded)[:, 0, 0].float().cpu().numpy()
                features[batch] += encoded[:, :, 0, 0].float().cpu().numpy() / VIEW_COUNT
    return logits, features


def _crop_positions(
    image: Float32[np.ndarray, "height width"], xy: Float[np.ndarray, "positions 2"], side: int
) -> Float32[np.ndarray, "positions {side} {side}"]:
    """Cut out squares of an odd side around positions, with zeros outside the image."""
    half = side // 2
    padded = np.pad(image, half)
    column, row = np.rint(xy).astype(np.int64).T
    crops = np.empty((len(xy), side, side), np.float32)
    for number, (top, left) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
        crops[number] = padded[top : top + side, left : left + side]
    return crops


def _generate_views(crops: torch.Tensor) -> Iterator[torch.Tensor]:
    """Generate the four rotations of the crops, then those of the mirrored crops."""
    for mirrored in (crops, crops.flip(-1)):
        for quarter in range(4):
            yield mirrored.rot90(quarter, (-2, -1))
