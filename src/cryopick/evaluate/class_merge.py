"""Merge the picks of several classes: each particle keeps its best class and the scores of all.

- `merge_classes`: the merged table.
- `CLASS_COLUMN`: name of the column of the class number, which counts from 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from cryopick.array_types import Float, Integer
from cryopick.evaluate.spacing import select_spaced
from cryopick.picks import Picks, concatenate

__all__ = ["CLASS_COLUMN", "merge_classes"]

CLASS_COLUMN = "rlnClassNumber"


def merge_classes(tables: Sequence[Picks], radius_px: Mapping[str, float]) -> Picks:
    """Merge the picks of several classes on the same micrographs.

    Picks of different classes within the radius are the same particle; the one with the highest
    score gives class, position and score.

    Args:
        tables: Picks of each class, with comparable (calibrated) scores.
        radius_px: Radius by micrograph.

    Returns:
        The particles, by micrograph and descending score, with the number of the class and the
        columns `score_1`, `score_2`, …: the score of each class's nearest pick within the radius,
        or the lowest score in the table of the class if it has none there.
    """
    joined = concatenate(tables)
    classes = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    parts = [
        _merge_on_micrograph(joined, classes, rows, len(tables), radius_px[name])
        for name, rows in joined.rows_by_micrograph().items()
    ]
    lowest = [float(table.score.min()) if len(table) else np.nan for table in tables]
    selected = np.concatenate([np.zeros(0, np.int64), *(rows for rows, _ in parts)])
    scores = np.concatenate([np.zeros((0, len(tables))), *(scores for _, scores in parts)])
    merged = joined.select(selected)
    columns = {
        f"score_{number + 1}": np.where(np.isnan(column), lowest[number], column)
        for number, column in enumerate(scores.T)
    }
    return Picks(
        micrographs=merged.micrographs,
        index=merged.index,
        xy_px=merged.xy_px,
        score=merged.score,
        extra={**merged.extra, CLASS_COLUMN: classes[selected] + 1, **columns},
    )


def _merge_on_micrograph(
    joined: Picks,
    classes: Integer[np.ndarray, " picks"],
    rows: Integer[np.ndarray, " rows"],
    class_count: int,
    radius_px: float,
) -> tuple[Integer[np.ndarray, " kept"], Float[np.ndarray, "kept classes"]]:
    """Return the rows of the particles on a micrograph, and their scores for each class."""
    from scipy.spatial import cKDTree

    is_kept = select_spaced(joined.xy_px[rows], joined.score[rows], radius_px)
    order = rows[is_kept][np.argsort(-joined.score[rows[is_kept]], kind="stable")]
    scores = np.full((len(order), class_count), np.nan)
    for number in range(class_count):
        own_rows = rows[classes[rows] == number]
        if len(own_rows) and len(order):
            distance, nearest = cKDTree(joined.xy_px[own_rows]).query(joined.xy_px[order])
            near = distance <= radius_px
            scores[near, number] = joined.score[own_rows[nearest[near]]]
    scores[np.arange(len(order)), classes[order]] = joined.score[order]
    return order, scores
