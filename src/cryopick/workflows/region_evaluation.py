"""Evaluate a model on all regions of micrographs with ground truth, as in the paper.

- `evaluate_regions`: score every region and compute the average precision.
- `RegionEvaluation`, `EvaluatedRegions`: the result.

Source: Bepler et al. 2019, Nat. Methods 16:1153, Methods, classifier evaluation.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cryopick.errors import SettingsError
from cryopick.evaluate.precision_recall import average_precision
from cryopick.pick.picker import Picker
from cryopick.picks import Picks
from cryopick.train.validation import mark_positive_regions

__all__ = ["EvaluatedRegions", "RegionEvaluation", "evaluate_regions"]


@dataclass(frozen=True, kw_only=True)
class EvaluatedRegions:
    """Regions of one micrograph.

    Attributes:
        name: The micrograph.
        n_regions: Number of regions: one per working pixel outside the mask.
        n_positive: Number of regions that are centred near a particle.
        average_precision: Average precision of the regions; None without positive ones.
    """

    name: str
    n_regions: int
    n_positive: int
    average_precision: float | None


@dataclass(frozen=True, kw_only=True)
class RegionEvaluation:
    """Average precision of all regions of all micrographs, ranked together.

    Attributes:
        radius_px: Distance from a particle within which a region is positive, in working pixels.
        step_px: Distance between scored regions in working pixels.
        n_regions: Number of regions.
        n_positive: Number of positive regions.
        average_precision: Average precision; None without positive regions.
        micrographs: The same by micrograph.
    """

    radius_px: float
    step_px: int
    n_regions: int
    n_positive: int
    average_precision: float | None
    micrographs: tuple[EvaluatedRegions, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return asdict(self)


def evaluate_regions(
    picker: Picker,
    micrographs: Sequence[Path],
    truth: Picks,
    *,
    radius_px: float,
    on_done: Callable[[], None] = lambda: None,
) -> RegionEvaluation:
    """Score the regions of micrographs at each step of the picker, and rank them all together.

    Args:
        picker: Model and settings; a step of 1 scores every region, as the paper does.
        micrographs: Micrographs, named as in `truth`.
        truth: All particles, in pixels of the raw micrographs.
        radius_px: Distance from a particle within which a region is positive, in working pixels.
        on_done: Called after each micrograph.

    Raises:
        SettingsError: The truth lists no particle on any of the micrographs.
        MicrographError: A micrograph cannot be used.
    """
    rows = truth.rows_by_micrograph()
    if not any(len(rows.get(str(path), ())) for path in micrographs):
        raise SettingsError(
            f"the truth has no particle on any of the {len(micrographs)} micrographs; check that "
            "both belong to the same data set"
        )
    scores, positives, results, step_px = [], [], [], 1
    for path in micrographs:
        scored = picker.score(path)
        step_px = scored.scores.step_px
        usable = scored.prepared.usable[::step_px, ::step_px]
        scale_yx = np.array(scored.prepared.scale_yx)
        centres = truth.xy_px[rows.get(str(path), np.zeros(0, np.int64))] / scale_yx[::-1]
        is_positive = mark_positive_regions(
            scored.scores.logits.shape, step_px, centres, radius_px
        )[usable]
        logits = scored.scores.logits[usable]
        scores.append(logits)
        positives.append(is_positive)
        results.append(
            EvaluatedRegions(
                name=str(path),
                n_regions=len(logits),
                n_positive=int(is_positive.sum()),
                average_precision=_average_precision(logits, is_positive),
            )
        )
        on_done()
    logits, is_positive = np.concatenate(scores), np.concatenate(positives)
    return RegionEvaluation(
        radius_px=radius_px,
        step_px=step_px,
        n_regions=len(logits),
        n_positive=int(is_positive.sum()),
        average_precision=_average_precision(logits, is_positive),
        micrographs=tuple(results),
    )


def _average_precision(logits: np.ndarray, is_positive: np.ndarray) -> float | None:
    return average_precision(logits, is_positive) if is_positive.any() else None
