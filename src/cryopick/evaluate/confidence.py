"""Confidence intervals and calibration.

- `PrecisionBand`, `bootstrap_precision_band`: confidence interval of precision at each recall.
- `CalibrationCurve`, `compute_calibration_curve`: observed against predicted fraction of
  correct picks.
- `wilson_interval`: confidence interval of a proportion.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Integer

__all__ = [
    "CalibrationCurve",
    "PrecisionBand",
    "bootstrap_precision_band",
    "compute_calibration_curve",
    "wilson_interval",
]

_TAILS = (2.5, 97.5)  # percentiles: intervals of 95 %
_Z = 1.96  # standard deviations of a Gaussian that cover 95 %
_MIN_REACHED = 0.95  # fraction of resamples that must reach a recall to give it an interval


@dataclass(frozen=True, eq=False, kw_only=True)
class PrecisionBand:
    """Confidence band (95 %) of the precision-recall curve over resampled micrographs.

    Attributes:
        recall: Grid of recalls.
        low, high: Ends of the interval of precision at each; NaN where it is not reached.
        average_precision: Ends of the interval of the average precision.
    """

    recall: Float[np.ndarray, " grid"]
    low: Float[np.ndarray, " grid"]
    high: Float[np.ndarray, " grid"]
    average_precision: tuple[float, float]


def bootstrap_precision_band(
    score: Float[np.ndarray, " picks"],
    hit: Bool[np.ndarray, " picks"],
    micrograph: Integer[np.ndarray, " picks"],
    n_truth: Integer[np.ndarray, " micrographs"],
    *,
    resamples: int = 400,
    seed: int = 0,
) -> PrecisionBand | None:
    """Estimate 95 % intervals of precision by resampling micrographs with replacement.

    Particles of one micrograph share its ice and defocus, so micrographs are resampled rather than
    particles.

    Args:
        score: Score of each pick.
        hit: True for each pick that matches a particle.
        micrograph: Micrograph of each pick, as an index into `n_truth`.
        n_truth: Number of reference particles on each micrograph.
        resamples: Number of bootstrap samples.
        seed: Seed of the random numbers.

    Returns:
        None with fewer than two micrographs, or without picks or particles.

    Source: Efron 1979, Ann. Stat. 7:1 (the bootstrap), resampling whole clusters.
    """
    count = len(n_truth)
    if count < 2 or not len(score) or not n_truth.sum():
        return None
    order = np.argsort(-score, kind="stable")
    hits, sorted_micrograph = hit[order].astype(float), micrograph[order]
    is_last = np.append(np.diff(score[order]) != 0, True)
    recall = np.linspace(0.01, 1, 100)  # at 0 there may be no pick yet
    rng = np.random.default_rng(seed)
    precisions, areas = np.full((resamples, len(recall)), np.nan), np.full(resamples, np.nan)
    for row in range(resamples):
        multiplicity = np.bincount(rng.integers(0, count, count), minlength=count)
        total = float(multiplicity @ n_truth)
        weight = multiplicity[sorted_micrograph]
        selected, true_positives = np.cumsum(weight)[is_last], np.cumsum(weight * hits)[is_last]
        if not total or not selected[-1]:
            continue
        precision = true_positives / np.maximum(selected, 1)
        areas[row] = np.sum(precision * np.diff(true_positives, prepend=0)) / total
        step = np.searchsorted(true_positives / total, recall, side="left")
        reached = step < len(true_positives)
        precisions[row, reached] = precision[step[reached]]
    reached = np.isfinite(precisions).mean(axis=0) >= _MIN_REACHED
    low, high = np.full((2, len(recall)), np.nan)
    if reached.any():
        low[reached], high[reached] = np.nanpercentile(precisions[:, reached], _TAILS, axis=0)
    interval = np.nanpercentile(areas, _TAILS) if np.isfinite(areas).any() else (np.nan, np.nan)
    return PrecisionBand(
        recall=recall,
        low=low,
        high=high,
        average_precision=(float(interval[0]), float(interval[1])),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationCurve:
    """Predicted and observed fraction of correct picks, in groups of similar score.

    Attributes:
        predicted: Mean predicted probability of each group.
        observed: Observed fraction of correct picks.
        low, high: Ends of the 95 % interval of that fraction.
        count: Number of picks in each group.
        calibration_error: Expected calibration error: mean absolute difference of predicted and
            observed fraction, weighted by the number of picks.
    """

    predicted: Float[np.ndarray, " groups"]
    observed: Float[np.ndarray, " groups"]
    low: Float[np.ndarray, " groups"]
    high: Float[np.ndarray, " groups"]
    count: Integer[np.ndarray, " groups"]
    calibration_error: float


def compute_calibration_curve(
    score: Float[np.ndarray, " picks"], hit: Bool[np.ndarray, " picks"], groups: int = 10
) -> CalibrationCurve | None:
    """Compare the probabilities given by logits with the observed fraction of correct picks.

    Picks are divided by rank into groups of equal size. Returns None without picks.

    Source: Guo et al. 2017, "On calibration of modern neural networks" (expected calibration
    error), with groups of equal size.
    """
    from scipy.special import expit

    if not len(score):
        return None
    probability = expit(score)
    groups_of_rows = np.array_split(np.argsort(score, kind="stable"), min(groups, len(score)))
    count = np.array([len(rows) for rows in groups_of_rows])
    observed = np.array([hit[rows].mean() for rows in groups_of_rows])
    means = np.array([probability[rows].mean() for rows in groups_of_rows])
    low, high = wilson_interval(np.rint(observed * count), count)
    calibration_error = float(np.average(np.abs(observed - means), weights=count))
    return CalibrationCurve(
        predicted=means,
        observed=observed,
        low=low,
        high=high,
        count=count,
        calibration_error=calibration_error,
    )


def wilson_interval(
    successes: Float[np.ndarray, " *shape"], trials: Integer[np.ndarray, " *shape"]
) -> tuple[Float[np.ndarray, " *shape"], Float[np.ndarray, " *shape"]]:
    """Compute the 95 % interval of a proportion from `successes` in `trials`.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.

    >>> low, high = wilson_interval(np.array([0.0]), np.array([10]))
    >>> low.round(3), high.round(3)
    (array([0.]), array([0.278]))
    """
    proportion = successes / trials
    center = proportion + _Z**2 / (2 * trials)
    half_width = _Z * np.sqrt(proportion * (1 - proportion) / trials + _Z**2 / (4 * trials**2))
    denominator = 1 + _Z**2 / trials
    return np.maximum((center - half_width) / denominator, 0), np.minimum(
        (center + half_width) / denominator, 1
    )
