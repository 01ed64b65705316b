"""Select the best picks by score or by number.

Source: Bepler et al. 2019, Nat. Methods 16:1153, "3D reconstruction procedure": a set contains the
picks with at least its threshold, so sets of lower thresholds contain those of higher ones.

- `apply_threshold`: picks at or above a score.
- `select_strongest`: a given number of picks.
- `select_nested`: several such sets.
- `select_random`: a random set of a given number of picks.
"""

from collections.abc import Sequence

import numpy as np

from cryopick.errors import SettingsError
from cryopick.picks import Picks

__all__ = ["apply_threshold", "select_nested", "select_random", "select_strongest"]


def apply_threshold(picks: Picks, threshold: float) -> Picks:
    """Select the picks that score at least `threshold`; all micrographs stay.

    Raises:
        SettingsError: Some picks have no score.
    """
    _require_scores(picks)
    return picks.select(picks.score >= threshold)


def select_strongest(picks: Picks, count: int) -> Picks:
    """Select the `count` picks of highest score, in stored order; all of them if there are fewer.

    Ties are resolved by stored order of the micrograph, then y, then x.

    Raises:
        SettingsError: Some picks have no score.
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count must be at least 0; got {count}")
    _require_scores(picks)
    x, y = picks.xy_px.T
    order = np.lexsort((x, y, picks.index, -picks.score))
    return picks.select(np.sort(order[:count]))


def select_nested(picks: Picks, counts: Sequence[int]) -> list[Picks]:
    """Select one set per number of picks, in the given order."""
    return [select_strongest(picks, count) for count in counts]


def select_random(picks: Picks, count: int, seed: int) -> Picks:
    """Select `count` picks at random, in stored order; all of them if there are fewer.

    Sets of the same seed are nested: a larger one contains the smaller ones. Scores have no
    influence and may be missing.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count must be at least 0; got {count}")
    order = np.random.default_rng(seed).permutation(len(picks))
    return picks.select(np.sort(order[:count]))


def _require_scores(picks: Picks) -> None:
    if not picks.is_scored:
        missing = int(np.isnan(picks.score).sum())
        raise SettingsError(
            f"a threshold needs scores, but {missing} of {len(picks)} picks have none; "
            "use a table with a score column, such as `cryopick pick` writes"
        )
