"""How sure numbers are: intervals, and whether scores keep their promise.

- `Band`, `precision_band`: precision at each recall, with what other micrographs might give.
- `Reliability`, `reliability`: the share that is right against the share that scores promise.
- `share_interval`: what a share of a few things tells of the share of all.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Integer

__all__ = ["Band", "Reliability", "precision_band", "reliability", "share_interval"]

_TAILS = (2.5, 97.5)  # percentiles: intervals of 95 %
_Z = 1.96  # standard deviations of a Gaussian that hold 95 %
_LEAST_REACH = 0.95  # of the resamples must reach a recall for its precision to have an interval


@dataclass(frozen=True, eq=False, kw_only=True)
class Band:
    """Where 95 of 100 precision-recall curves of micrographs drawn anew would lie.

    Attributes:
        recall: Grid of recalls.
        low, high: Ends of the interval of precision at each; NaN where it is not reached.
        average_precision: Ends of the interval of the average precision.
    """

    recall: Float[np.ndarray, " grid"]
    low: Float[np.ndarray, " grid"]
    high: Float[np.ndarray, " grid"]
    average_precision: tuple[float, float]


def precision_band(
    score: Float[np.ndarray, " picks"],
    hit: Bool[np.ndarray, " picks"],
    micrograph: Integer[np.ndarray, " picks"],
    n_truth: Integer[np.ndarray, " micrographs"],
    *,
    resamples: int = 400,
    seed: int = 0,
) -> Band | None:
    """Intervals of 95 % by drawing the micrographs anew, with replacement.

    Particles of one micrograph share its ice and its defocus, so that micrographs and not
    particles are what is drawn.

    Args:
        score: Score of each pick.
        hit: Whether it found a particle.
        micrograph: The micrograph of each pick, as a position in `n_truth`.
        n_truth: Known particles on each micrograph.
        resamples: How often to draw.
        seed: Of the draws.

    Returns:
        None with fewer than two micrographs or without a pick or a particle.

    Source: Efron 1979, Ann. Stat. 7:1 (the bootstrap), clusters drawn as wholes.
    """
    count = len(n_truth)
    if count < 2 or not len(score) or not n_truth.sum():
        return None
    order = np.argsort(-score, kind="stable")
    hits, owner = hit[order].astype(float), micrograph[order]
    is_last = np.append(np.diff(score[order]) != 0, True)
    recall = np.linspace(0.01, 1, 100)  # at 0 there may be no pick yet
    rng = np.random.default_rng(seed)
    precisions, areas = np.full((resamples, len(recall)), np.nan), np.full(resamples, np.nan)
    for row in range(resamples):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        total = float(times @ n_truth)
        weight = times[owner]
        kept, found = np.cumsum(weight)[is_last], np.cumsum(weight * hits)[is_last]
        if not total or not kept[-1]:
            continue
        share = found / np.maximum(kept, 1)
        areas[row] = np.sum(share * np.diff(found, prepend=0)) / total
        step = np.searchsorted(found / total, recall, side="left")
        reached = step < len(found)
        precisions[row, reached] = share[step[reached]]
    reached = np.isfinite(precisions).mean(axis=0) >= _LEAST_REACH
    low, high = np.full((2, len(recall)), np.nan)
    if reached.any():
        low[reached], high[reached] = np.nanpercentile(precisions[:, reached], _TAILS, axis=0)
    ends = np.nanpercentile(areas, _TAILS) if np.isfinite(areas).any() else (np.nan, np.nan)
    return Band(
        recall=recall, low=low, high=high, average_precision=(float(ends[0]), float(ends[1]))
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Reliability:
    """Picks in groups of like scores: what the scores promise, and what is so.

    Attributes:
        promised: Mean of the probabilities that the scores of a group stand for.
        right: Share of the group that is right.
        low, high: Ends of the interval of 95 % of that share.
        count: Picks in the group.
        error: Mean distance of the two shares, each group by its picks.
    """

    promised: Float[np.ndarray, " groups"]
    right: Float[np.ndarray, " groups"]
    low: Float[np.ndarray, " groups"]
    high: Float[np.ndarray, " groups"]
    count: Integer[np.ndarray, " groups"]
    error: float


def reliability(
    score: Float[np.ndarray, " picks"], hit: Bool[np.ndarray, " picks"], groups: int = 10
) -> Reliability | None:
    """Compare the probabilities that logits stand for with the share that is right.

    Picks are parted by rank into groups of equal size. None without picks.

    Source: Guo et al. 2017, "On calibration of modern neural networks" (expected calibration
    error), with groups of equal size.
    """
    from scipy.special import expit

    if not len(score):
        return None
    promised = expit(score)
    parts = np.array_split(np.argsort(score, kind="stable"), min(groups, len(score)))
    count = np.array([len(part) for part in parts])
    right = np.array([hit[part].mean() for part in parts])
    means = np.array([promised[part].mean() for part in parts])
    low, high = share_interval(np.rint(right * count), count)
    error = float(np.average(np.abs(right - means), weights=count))
    return Reliability(promised=means, right=right, low=low, high=high, count=count, error=error)


def share_interval(
    found: Float[np.ndarray, " *shape"], of: Integer[np.ndarray, " *shape"]
) -> tuple[Float[np.ndarray, " *shape"], Float[np.ndarray, " *shape"]]:
    """Interval of 95 % of a share, of which `found` of `of` were seen.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.

    >>> low, high = share_interval(np.array([0.0]), np.array([10]))
    >>> low.round(3), high.round(3)
    (array([0.]), array([0.278]))
    """
    share = found / of
    middle = share + _Z**2 / (2 * of)
    reach = _Z * np.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    scale = 1 + _Z**2 / of
    return np.maximum((middle - reach) / scale, 0), np.minimum((middle + reach) / scale, 1)
