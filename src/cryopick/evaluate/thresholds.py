"""Keep the surest picks: by score, or by number.

Source: Bepler et al. 2019, Nat. Methods 16:1153, "3D reconstruction procedure": every set
holds the picks that score at least its threshold, so each contains the stricter ones.

- `apply_threshold`: the picks at or above a score.
- `select_strongest`: a given number of picks.
- `select_nested`: several such sets at once.
"""

from collections.abc import Sequence

import numpy as np

from cryopick.errors import SettingsError
from cryopick.picks import Picks

__all__ = ["apply_threshold", "select_nested", "select_strongest"]


def apply_threshold(picks: Picks, threshold: float) -> Picks:
    """Keep the picks that score at least `threshold`; all micrographs stay.

    Raises:
        SettingsError: Some picks have no score.
    """
    _require_scores(picks)
    return picks.select(picks.score >= threshold)


def select_strongest(picks: Picks, count: int) -> Picks:
    """Keep the `count` picks of highest score, in stored order; all of them if there are fewer.

    Of equal scores those go first whose micrograph is stored first, then by y, then by x.

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
    """One set for each number of picks, in the order given."""
    return [select_strongest(picks, count) for count in counts]


def _require_scores(picks: Picks) -> None:
    if not picks.is_scored:
        missing = int(np.isnan(picks.score).sum())
        raise SettingsError(
            f"a threshold needs scores, but {missing} of {len(picks)} picks have none; "
            "use a table with a score column, such as `cryopick pick` writes"
        )
