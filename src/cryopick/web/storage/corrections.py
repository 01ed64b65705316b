"""Corrections of picks: one truth for counts, the list of micrographs and exports.

A pick is rejected if it lies on a negative label, in an exclusion region or on an excluded
micrograph. A positive label without a selected pick near it is added. Positive labels at the same
particle, as two people make them, count once.

- `CorrectionIndex`: the corrections of a run, and its counts.
- `CorrectedPicks`: the result for all micrographs of a run.
- `MATCH_DIAMETERS`: distance within which a pick matches a label.
"""

import threading
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.evaluate.matching import is_near
from cryopick.evaluate.spacing import select_spaced
from cryopick.regions import Regions
from cryopick.web.storage.annotations import Annotations
from cryopick.web.storage.database import ProjectDatabase
from cryopick.web.storage.micrographs import ProjectMicrographs
from cryopick.web.storage.run_picks import RunPicks
from cryopick.web.storage.run_records import ProjectRuns

__all__ = ["DEFAULT_DIAMETER_ANG", "MATCH_DIAMETERS", "CorrectedPicks", "CorrectionIndex"]

MATCH_DIAMETERS = 1 / 3  # a pick matches a label within this fraction of the particle diameter
DEFAULT_DIAMETER_ANG = 150.0
_ANNOTATED = "SELECT mid FROM label UNION SELECT mid FROM region"


@dataclass(frozen=True, eq=False)
class _Corrections:
    """Corrections of one micrograph.

    Attributes:
        on_negative: Picks on a negative label.
        in_region: Picks in an exclusion region.
        label_xy_px: Positive labels, each particle once.
        label_best: Highest score of the picks near each that are not rejected; -inf without any.
    """

    on_negative: Bool[np.ndarray, " picks"]
    in_region: Bool[np.ndarray, " picks"]
    label_xy_px: Float[np.ndarray, "labels 2"]
    label_best: Float[np.ndarray, " labels"]


@dataclass(frozen=True, eq=False, kw_only=True)
class CorrectedPicks:
    """The picks of a run with the corrections of people.

    Attributes:
        picks: All picks of the run.
        candidates: Picks that satisfy edge margin and minimum distance.
        on_negative: Picks on a negative label.
        in_region: Picks in an exclusion region.
        on_excluded: Picks on an excluded micrograph.
        label_mids: Micrograph of each positive label.
        label_xy_px: Its position.
        label_best: Highest score of the accepted candidates near it; -inf without any.
    """

    picks: RunPicks
    candidates: Bool[np.ndarray, " picks"]
    on_negative: Bool[np.ndarray, " picks"]
    in_region: Bool[np.ndarray, " picks"]
    on_excluded: Bool[np.ndarray, " picks"]
    label_mids: Integer[np.ndarray, " labels"]
    label_xy_px: Float[np.ndarray, "labels 2"]
    label_best: Float[np.ndarray, " labels"]

    @property
    def is_accepted(self) -> Bool[np.ndarray, " picks"]:
        """Candidates that nobody has rejected."""
        return self.candidates & ~(self.on_negative | self.in_region | self.on_excluded)

    def is_added(self, threshold: float) -> Bool[np.ndarray, " labels"]:
        """Mark the positive labels that have no selected pick."""
        return self.label_best < threshold

    def count_per_micrograph(self, threshold: float) -> dict[int, int]:
        """Count the selected picks and the added labels of each micrograph."""
        selected = self.is_accepted & (self.picks.score >= threshold)
        numbers = self.picks.count_per_micrograph(selected).tolist()
        counts = dict(zip(self.picks.micrographs, numbers, strict=True))
        for mid in self.label_mids[self.is_added(threshold)].tolist():
            counts[mid] = counts.get(mid, 0) + 1
        return counts


class CorrectionIndex:
    """The corrections of the runs of a project; only changed micrographs are computed again."""

    def __init__(
        self,
        database: ProjectDatabase,
        micrographs: ProjectMicrographs,
        annotations: Annotations,
        runs: ProjectRuns,
    ) -> None:
        self._database, self._micrographs = database, micrographs
        self._annotations, self._runs = annotations, runs
        self._lock = threading.RLock()
        self._by_mid: dict[int, _Corrections] = {}
        self._key: object = None
        self._picks: RunPicks | None = None
        self._counted: set[str] = set()
        annotations.on_change(self._forget)

    def _forget(self, mids: frozenset[int]) -> None:
        with self._lock:
            for mid in mids:
                self._by_mid.pop(mid, None)
            self._counted.clear()

    def match_radius_px(self, mid: int) -> float:
        """Return the distance in pixels within which a pick matches a label."""
        diameter_ang = float(self._database.meta("diameter_ang") or DEFAULT_DIAMETER_ANG)
        pixel_size_ang = self._micrographs.find(mid)["pixel_size_ang"] or 1.0
        return MATCH_DIAMETERS * diameter_ang / float(pixel_size_ang)

    def label_positions(self, mid: int) -> Float[np.ndarray, "labels 2"]:
        """Return the positions of all labels of a micrograph."""
        labels = self._annotations.list_on(mid)["labels"]
        return np.array([(one["x"], one["y"]) for one in labels], np.float64).reshape(-1, 2)

    def correct(self, run: str) -> CorrectedPicks:
        """Return the picks of a run with all corrections."""
        with self._lock:
            picks, candidates = self._runs.picks(run), self._runs.spacing_mask(run)
            self._open(run, picks)
            on_negative, in_region = np.zeros_like(candidates), np.zeros_like(candidates)
            excluded = self.excluded_micrographs()
            on_excluded = np.isin(picks.mids, [*excluded])
            mids, positions, scores = [], [np.zeros((0, 2))], [np.zeros(0)]
            for row in self._database.rows(f"{_ANNOTATED} ORDER BY mid"):
                mid = row["mid"]
                corrections = self._of_micrograph(mid, picks, candidates)
                rows = picks.rows_of(mid)
                on_negative[rows], in_region[rows] = corrections.on_negative, corrections.in_region
                if mid not in excluded:
                    mids += [mid] * len(corrections.label_best)
                    positions.append(corrections.label_xy_px)
                    scores.append(corrections.label_best)
            return CorrectedPicks(
                picks=picks,
                candidates=candidates,
                on_negative=on_negative,
                in_region=in_region,
                on_excluded=on_excluded,
                label_mids=np.array(mids, np.int64),
                label_xy_px=np.concatenate(positions),
                label_best=np.concatenate(scores),
            )

    def pack_picks(self, run: str, mid: int) -> bytes:
        """Pack the particles of a micrograph at any threshold, in the layout of `RunPicks.pack`."""
        with self._lock:
            picks, candidates = self._runs.picks(run), self._runs.spacing_mask(run)
            self._open(run, picks)
            rows = picks.rows_of(mid)
            if mid in self.excluded_micrographs():
                return picks.pack(mid, np.zeros(rows.stop - rows.start, bool))
            corrections = self._of_micrograph(mid, picks, candidates)
            accepted = candidates[rows] & ~corrections.on_negative & ~corrections.in_region
            labels = np.column_stack([corrections.label_xy_px, corrections.label_best])
            return picks.pack(mid, accepted, labels)

    def _open(self, run: str, picks: RunPicks) -> None:
        """Discard the corrections of other picks, limits or sizes."""
        limits = self._runs.pick_filter(run)
        key = (run, limits.edge_ang, limits.min_distance_ang, *self._sizes())
        if key != self._key or picks is not self._picks:
            self._key, self._picks = key, picks
            self._by_mid.clear()

    def _sizes(self) -> tuple[str | None, str | None]:
        """Return the settings on which the match radius depends."""
        return self._database.meta("diameter_ang"), self._database.meta("pixel_size_ang")

    def excluded_micrographs(self) -> frozenset[int]:
        """Return the micrographs that people excluded."""
        rows = self._database.rows("SELECT id FROM micrograph WHERE state = 'skip'")
        return frozenset(row["id"] for row in rows)

    def _of_micrograph(
        self, mid: int, picks: RunPicks, candidates: Bool[np.ndarray, " picks"]
    ) -> _Corrections:
        if mid not in self._by_mid:
            self._by_mid[mid] = self._compute(mid, picks, candidates)
        return self._by_mid[mid]

    def _compute(
        self, mid: int, picks: RunPicks, candidates: Bool[np.ndarray, " picks"]
    ) -> _Corrections:
        rows = picks.rows_of(mid)
        xy_px, score = picks.xy_px[rows], picks.score[rows].astype(np.float64)
        content = self._annotations.list_on(mid)
        radius_px = self.match_radius_px(mid)
        negative = _positions(content["labels"], "neg")
        on_negative = is_near(xy_px, negative, radius_px)
        polygons = tuple(np.array(one["points"], np.float64) for one in content["regions"])
        in_region = Regions({"": polygons}).contains("", xy_px)
        positive = _positions(content["labels"], "pos")
        positive = positive[select_spaced(positive, np.zeros(len(positive)), radius_px)]
        accepted = candidates[rows] & ~on_negative & ~in_region
        best = np.full(len(positive), -np.inf)
        for number, label in enumerate(positive):
            distance_px = np.hypot(*(xy_px - label).T)
            near = score[accepted & (distance_px <= radius_px)]
            best[number] = near.max(initial=-np.inf)
        return _Corrections(on_negative, in_region, positive, best)

    def histogram(self, run: str) -> dict[str, Any]:
        """Return the histogram of scores, the effects of corrections and the filter.

        `counts` and `rejected` belong to the bins; `added` counts the labels below each edge.
        """
        corrected, pick_filter = self.correct(run), self._runs.pick_filter(run)
        picks, accepted = corrected.picks, corrected.is_accepted
        edges = picks.edges_with(pick_filter.threshold)
        bins = np.searchsorted(edges, picks.score, side="right") - 1
        size = len(edges) - 1

        def count(mask: Bool[np.ndarray, " picks"]) -> list[int]:
            counts: list[int] = np.bincount(bins[mask], minlength=size).tolist()
            return counts

        return {
            "edges": edges.tolist(),
            "counts": count(accepted),
            "rejected": count(corrected.candidates & ~accepted),
            "added": (np.searchsorted(np.sort(corrected.label_best), edges)).tolist(),
            "n_micrographs": len(picks.micrographs),
            "colours": picks.colour_range(pick_filter.threshold),
            **asdict(pick_filter),
        }

    def counts_at(self, run: str, threshold: float) -> dict[str, Any]:
        """Count the particles of each micrograph at another threshold."""
        counts = self.correct(run).count_per_micrograph(threshold)
        return {"mids": list(counts), "kept": list(counts.values())}

    def store_counts(self, run: str) -> None:
        """Store the numbers that the list of micrographs shows, unless they are up to date."""
        key = f"{run} {self._runs.n_changes} {self._sizes()} {sorted(self.excluded_micrographs())}"
        with self._lock:
            if key in self._counted or not self._runs.has_picks(run):
                return
            threshold = self._runs.pick_filter(run).threshold
            counts = self.correct(run).count_per_micrograph(threshold)
            self._runs.store_counts(run, counts)
            self._counted = {key}


def _positions(labels: list[dict[str, Any]], kind: str) -> Float[np.ndarray, "labels 2"]:
    positions = [(label["x"], label["y"]) for label in labels if label["kind"] == kind]
    return np.array(positions, np.float64).reshape(-1, 2)
