"""All picks of a run in one order, for the gallery of crops.

- `PickGallery`: sorts and filters the picks, and returns a part of the list.
- `GalleryQuery`: order and filter.
"""

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.web.project.project import (
    DEFAULT_DIAMETER_ANG,
    MATCH_DIAMETERS,
    AnnotationProject,
)

__all__ = ["GalleryQuery", "PickGallery"]

Order = Literal["score-desc", "score-asc", "threshold", "disagreement"]
Show = Literal["open", "pos", "neg", "all"]

_MARKS = {"open": 0, "pos": 1, "neg": 2}
_UNPICKED = -math.inf  # score of a particle that a run did not pick
_MAX_CACHED = 4


@dataclass(frozen=True)
class GalleryQuery:
    """Order and filter of the picks.

    Attributes:
        run: Run of the picks; empty for the labels.
        order: By score, by distance from the threshold, or by disagreement with another run.
        other: The other run, whose picks that this run lacks are listed as well.
        threshold: Minimum score of selected picks.
        selected: Only picks at or above the threshold.
        show: Picks without a label, with a positive or a negative one, or all.
    """

    run: str
    order: Order = "score-desc"
    other: str = ""
    threshold: float = 0.0
    selected: bool = False
    show: Show = "all"


@dataclass(frozen=True, eq=False)
class _Items:
    """Picks of a run, followed by those of another run that the first lacks.

    Attributes:
        mids: Micrograph of each pick.
        xy_px: Centres in raw pixels.
        score: Scores of the run, -inf for picks of the other run only.
        other_score: Scores of the other run, -inf without a pick.
    """

    mids: Integer[np.ndarray, " picks"]
    xy_px: Float[np.ndarray, "picks 2"]
    score: Float[np.ndarray, " picks"]
    other_score: Float[np.ndarray, " picks"]


class PickGallery:
    """The picks of the runs of a project in any order; safe to use from several threads.

    Picks in exclusion regions and on excluded micrographs are not listed.
    """

    def __init__(self, project: AnnotationProject) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._cache: OrderedDict[Any, Any] = OrderedDict()

    def list_items(self, query: GalleryQuery, offset: int, limit: int) -> dict[str, Any]:
        """Return a part of the list, and the number of all items.

        An item is [micrograph, x, y, score, score of the other run, mark, its label]; the mark is
        0 without a label, 1 with a positive and 2 with a negative or uncertain one.
        """
        with self._lock:
            rows = self._select_rows(query)
            marks, labels = self._find_marks(query)
            items = self._items(query)
        page = rows[offset : offset + limit]
        return {
            "total": len(rows),
            "items": [
                [
                    int(items.mids[row]),
                    round(float(items.xy_px[row, 0]), 3),
                    round(float(items.xy_px[row, 1]), 3),
                    _finite(float(items.score[row])),
                    _finite(float(items.other_score[row])),
                    int(marks[row]),
                    labels.get(int(row)),
                ]
                for row in page
            ],
        }

    def _remember(self, key: object, compute: Any) -> Any:  # noqa: ANN401  # values of several types
        if key not in self._cache:
            self._cache[key] = compute()
        self._cache.move_to_end(key)
        while len(self._cache) > _MAX_CACHED * 4:
            self._cache.popitem(last=False)
        return self._cache[key]

    def _items(self, query: GalleryQuery) -> _Items:
        if not query.run:
            labels: _Items = self._remember(
                ("labels", self._project.annotations.seq), self._read_labels
            )
            return labels
        if not query.other:
            picks = self._project.runs.picks(query.run)
            unpicked = np.broadcast_to(np.float32(_UNPICKED), picks.score.shape)
            return _Items(picks.mids, picks.xy_px, picks.score, unpicked)
        joined: _Items = self._remember(("items", self._base(query)), lambda: self._join(query))
        return joined

    def _read_labels(self) -> _Items:
        """Return all labels, without scores, in the order of the micrographs."""
        rows = self._project.database.rows("SELECT mid, x, y FROM label ORDER BY mid, rowid")
        unscored = np.full(len(rows), _UNPICKED, np.float32)
        return _Items(
            np.array([row["mid"] for row in rows], np.int64),
            np.array([(row["x"], row["y"]) for row in rows], np.float64).reshape(-1, 2),
            *(unscored, unscored),
        )

    def _join(self, query: GalleryQuery) -> _Items:
        """Match the picks of two runs within a part of the particle diameter."""
        from scipy.spatial import cKDTree

        picks, other = (self._project.runs.picks(run) for run in (query.run, query.other))
        radii_px = self._radii_px()
        other_score = np.full(len(picks.score), _UNPICKED, np.float32)
        is_new = np.ones(len(other.score), bool)
        for mid in sorted({*picks.micrographs} & {*other.micrographs}):
            rows, other_rows = picks.rows_of(mid), other.rows_of(mid)
            if rows.start == rows.stop or other_rows.start == other_rows.stop:
                continue
            tree = cKDTree(other.xy_px[other_rows])
            distance, nearest = tree.query(
                picks.xy_px[rows], distance_upper_bound=radii_px.get(mid, 10.0)
            )
            is_match = np.isfinite(distance)
            matched = other_rows.start + nearest[is_match]
            other_score[rows][is_match] = other.score[matched]
            is_new[matched] = False
        return _Items(
            np.concatenate([picks.mids, other.mids[is_new]]),
            np.concatenate([picks.xy_px, other.xy_px[is_new]]),
            np.concatenate([picks.score, np.full(is_new.sum(), _UNPICKED, np.float32)]),
            np.concatenate([other_score, other.score[is_new]]),
        )

    def _order(self, query: GalleryQuery) -> Integer[np.ndarray, " picks"]:
        """Sort all items; equal ones keep the order of the micrographs."""
        items = self._items(query)
        if query.order == "score-asc":
            return np.argsort(items.score, kind="stable")
        if query.order == "threshold":
            return np.argsort(np.abs(items.score - query.threshold), kind="stable")
        if query.order == "disagreement":
            difference = np.abs(_probability(items.score) - _probability(items.other_score))
            return np.argsort(-difference, kind="stable")
        return np.argsort(-items.score, kind="stable")

    def _select_rows(self, query: GalleryQuery) -> Integer[np.ndarray, " items"]:
        runs = self._project.runs
        limits = replace(runs.pick_filter(query.run), threshold=0.0) if query.run else None
        threshold = query.threshold if query.order == "threshold" else 0.0
        order_key = ("order", self._base(query), query.order, threshold)
        excluded = self._project.corrections.excluded_micrographs() if query.run else None
        rows_key = (order_key, query, limits, excluded, self._project.annotations.seq)

        def select() -> Integer[np.ndarray, " items"]:
            items = self._items(query)
            keep = np.ones(len(items.mids), bool)
            if query.run:
                corrected = self._project.corrections.correct(query.run)
                is_outside = corrected.in_region | corrected.on_excluded
                keep[: len(is_outside)] = corrected.candidates & ~is_outside
            if query.run and query.selected:
                keep &= items.score >= query.threshold
            if query.show != "all":
                keep &= self._find_marks(query)[0] == _MARKS[query.show]
            order = self._remember(order_key, lambda: self._order(query))
            rows: Integer[np.ndarray, " items"] = order[keep[order]]
            return rows

        rows: Integer[np.ndarray, " items"] = self._remember(rows_key, select)
        return rows

    def _find_marks(
        self, query: GalleryQuery
    ) -> tuple[Integer[np.ndarray, " picks"], dict[int, dict[str, Any]]]:
        """Find the items that lie on a label: marks and the nearest labels, by item."""
        key = ("marks", self._base(query), self._project.annotations.seq)

        def find() -> tuple[Integer[np.ndarray, " picks"], dict[int, dict[str, Any]]]:
            items, radii_px = self._items(query), self._radii_px()
            rows = self._project.database.rows(
                "SELECT id, mid, x, y, kind, source, batch FROM label ORDER BY mid"
            )
            rows_of = _index_by_micrograph(items.mids)
            marks, labels = np.zeros(len(items.mids), np.int8), {}
            nearest_px = np.full(len(items.mids), np.inf)
            for label in rows:
                candidates = rows_of(label["mid"])
                if not len(candidates):
                    continue
                distance = np.hypot(*(items.xy_px[candidates] - [label["x"], label["y"]]).T)
                near: Bool[np.ndarray, " near"] = distance <= radii_px.get(label["mid"], 10.0)
                near &= distance < nearest_px[candidates]
                nearest_px[candidates[near]] = distance[near]
                for row in candidates[near].tolist():
                    marks[row] = 1 if label["kind"] == "pos" else 2
                    labels[row] = label
            return marks, labels

        marks_and_labels: tuple[Integer[np.ndarray, " picks"], dict[int, dict[str, Any]]] = (
            self._remember(key, find)
        )
        return marks_and_labels

    def _base(self, query: GalleryQuery) -> tuple[object, ...]:
        """Identify the items of a query, also after the picks of a run were replaced."""
        runs = self._project.runs
        versions = [
            (run, (runs.folder(run) / "picks.npz").stat().st_mtime_ns)
            for run in (query.run, query.other)
            if run and runs.has_picks(run)
        ]
        return (
            *versions,
            self._diameter_ang(),
            None if query.run else self._project.annotations.seq,
        )

    def _diameter_ang(self) -> float:
        return float(self._project.database.meta("diameter_ang") or DEFAULT_DIAMETER_ANG)

    def _radii_px(self) -> dict[int, float]:
        """Return the distance within which picks are the same particle, by micrograph."""
        given_ang = self._project.micrographs.given_pixel_size_ang
        rows = self._project.database.rows("SELECT id, pixel_size_ang FROM micrograph")
        reach_ang = MATCH_DIAMETERS * self._diameter_ang()
        return {row["id"]: reach_ang / (given_ang or row["pixel_size_ang"] or 1.0) for row in rows}


def _index_by_micrograph(mids: Integer[np.ndarray, " picks"]) -> Any:  # noqa: ANN401  # a function
    """Return a function that lists the items on a micrograph."""
    order = np.argsort(mids, kind="stable")
    ordered = mids[order]

    def rows_of(mid: int) -> Integer[np.ndarray, " rows"]:
        first, last = np.searchsorted(ordered, [mid, mid + 1])
        return order[first:last]

    return rows_of


def _probability(logits: Float[np.ndarray, " picks"]) -> Float[np.ndarray, " picks"]:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


def _finite(score: float) -> float | None:
    return round(score, 4) if math.isfinite(score) else None
