"""Choose contrast and scale by the scores of the first micrographs.

The general model picks dark particles. Cryo-EM micrographs show them dark, negative stain and
micrographs of some programs show them bright, so that the images must be inverted first. Of
elongated particles, some are recognised best at the scale of their length, others at a finer one.

- `detect_contrast`: compare the evidence for dark and for bright particles.
- `ContrastEvidence`: the evidence and the decision.
- `choose_scale`: compare the evidence at the scales that elongated particles allow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cryopick.errors import MicrographError
from cryopick.model.model_file import Model
from cryopick.pick.picker import Picker, find_peaks
from cryopick.pick.settings import FixedContrast, PickSettings
from cryopick.preprocess.mask import erode_mask

__all__ = ["ContrastEvidence", "choose_scale", "detect_contrast"]

_MAX_MICROGRAPHS = 3
_MAX_SIDE_PX = 512  # of the part that is scored, in working pixels
# Bright particles are rare, and dark ones have bright fringes and gaps between them.
_MIN_RATIO = 1.5


@dataclass(frozen=True)
class ContrastEvidence:
    """Evidence for dark and for bright particles.

    Attributes:
        dark: Sum of the positive logits of all picks on the micrographs as they are.
        bright: Sum of the positive logits of all picks on the inverted micrographs.
        micrographs: Number of micrographs that were scored.
    """

    dark: float
    bright: float
    micrographs: int

    @property
    def contrast(self) -> FixedContrast:
        """Return the contrast with more evidence; dark unless bright is clearly better."""
        return "bright" if self.bright > _MIN_RATIO * self.dark else "dark"

    def describe(self) -> str:
        """Describe the decision and the evidence in a sentence."""
        return (
            f"particles are {self.contrast} (evidence on {self.micrographs} micrographs: "
            f"{self.dark:.0f} for dark, {self.bright:.0f} for bright); "
            "set --contrast to override"
        )


def detect_contrast(picker: Picker, paths: Sequence[Path]) -> ContrastEvidence:
    """Compare the scores of micrographs with those of the same micrographs inverted.

    Args:
        picker: Picker that does not invert.
        paths: Micrographs; the centres of the first few are scored. Those that cannot be used are
            skipped.
    """
    sums, count = _sum_positive_scores(picker, paths, (1, -1))
    return ContrastEvidence(float(sums[0]), float(sums[1]), count)


def choose_scale(
    model: Model, settings: PickSettings, device: torch.device, paths: Sequence[Path]
) -> float:
    """Choose between the length of elongated particles and the geometric mean of both sides.

    Args:
        model: Model to pick with.
        settings: Settings with the two sides.
        device: Device to compute on.
        paths: As for `detect_contrast`.

    Returns:
        The value of `scale_ang` with the larger sum of positive scores.
    """
    assert settings.diameter_ang is not None, "comes with the width"
    assert settings.width_ang is not None, "checked by the caller"
    mean_ang = math.sqrt(settings.diameter_ang * settings.width_ang)
    evidence = {}
    for scale_ang in (settings.diameter_ang, mean_ang):
        picker = Picker.create(model, replace(settings, scale_ang=scale_ang), device)
        evidence[scale_ang] = float(_sum_positive_scores(picker, paths, (1,))[0][0])
    return max(evidence, key=lambda scale_ang: evidence[scale_ang])


def _sum_positive_scores(
    picker: Picker, paths: Sequence[Path], signs: Sequence[int]
) -> tuple[np.ndarray, int]:
    """Sum the positive logits of the picks for each sign of the contrast; count the micrographs."""
    sums = np.zeros(len(signs))
    count = 0
    for path in paths[:_MAX_MICROGRAPHS]:
        try:
            prepared, pixel_size_ang = picker.prepare(path)
        except MicrographError:
            continue
        count += 1
        centre = tuple(_central_slice(side) for side in prepared.image.shape)
        usable = erode_mask(prepared.usable, picker.model.diameter_px / 2)[centre]
        for index, sign in enumerate(signs):
            _, logits = find_peaks(
                picker.compute_scores(np.ascontiguousarray(sign * prepared.image[centre])),
                usable,
                radius=picker.radius_ang / pixel_size_ang,
                threshold=0.0,
                scale_yx=prepared.scale_yx,
            )
            sums[index] += logits.sum()
    return sums, count


def _central_slice(length: int) -> slice:
    start = max(0, length - _MAX_SIDE_PX) // 2
    return slice(start, start + min(length, _MAX_SIDE_PX))
