"""The picks of one run in memory, for counting and display.

- `RunPicks`: all picks of a run.
- `PickFilter`: threshold, edge margin and minimum distance that select some of them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.evaluate.emptiness import Verdict
from cryopick.evaluate.expectation import AutomaticSelection, estimate_metrics, select_automatically
from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.score_distribution import ScoreDistribution
from cryopick.picks import Picks

__all__ = ["BINS", "PickFilter", "RunPicks"]

BINS = 2048
_DECIMALS = range(3, 12)  # of the automatic threshold
_STEPS = [digit * 10.0**power for power in range(-4, 7) for digit in (1, 2, 5)]


@dataclass(frozen=True)
class PickFilter:
    """Conditions for selecting picks of a run.

    Attributes:
        threshold: Minimum score.
        edge_ang: Minimum distance from the edges of the micrograph.
        min_distance_ang: Minimum distance from a pick with a higher score.
    """

    threshold: float = 0.0
    edge_ang: float = 0.0
    min_distance_ang: float = 0.0


@dataclass(frozen=True, eq=False)
class RunPicks:
    """All picks of a run, micrograph by micrograph, each by descending score.

    Attributes:
        mids: Micrograph of each pick.
        xy_px: Centres (x, y) in raw pixels.
        score: Logits.
        micrographs: Micrographs that were picked, including those without picks.
        verdicts: Verdict of the run on each micrograph; empty to classify them by the scores.
        label_sample: Scores of labels that the model did not learn from, if there are any.
        is_filtered: The scores are filtered along elongated particles.
    """

    mids: Integer[np.ndarray, " picks"]
    xy_px: Float[np.ndarray, "picks 2"]
    score: Float[np.ndarray, " picks"]
    micrographs: tuple[int, ...]
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)
    label_sample: LabelSample | None = None
    is_filtered: bool = False

    def rows_of(self, mid: int) -> slice:
        """Return the rows of the picks of a micrograph."""
        first, last = np.searchsorted(self.mids, [mid, mid + 1])
        return slice(int(first), int(last))

    def count_per_micrograph(
        self, keep: Bool[np.ndarray, " picks"]
    ) -> Integer[np.ndarray, " micrographs"]:
        """Count the selected picks of each micrograph, in the order of `micrographs`."""
        totals = np.concatenate([[0], np.cumsum(keep)])
        numbers = np.array(self.micrographs, np.int64)
        first = np.searchsorted(self.mids, numbers)
        last = np.searchsorted(self.mids, numbers, side="right")
        return totals[last] - totals[first]

    @cached_property
    def bin_edges(self) -> Float[np.ndarray, " edges"]:
        """Edges of the score histogram: round numbers, at most `BINS` bins over all scores."""
        low, high = (self.score.min(), self.score.max()) if len(self.score) else (-6.0, 6.0)
        low, high = float(low), float(max(high, low + 1e-3))
        step = next(step for step in _STEPS if (high - low) / step < BINS - 2)
        first, last = math.floor(low / step), math.floor(high / step) + 1
        decimals = max(0, -math.floor(math.log10(step)))
        return np.round(np.arange(first, last + 1) * step, decimals)

    def edges_with(self, threshold: float) -> Float[np.ndarray, " edges"]:
        """Return the edges with a further one at the threshold, where counts are then exact."""
        return np.union1d(self.bin_edges, [threshold])

    @cached_property
    def selection(self) -> AutomaticSelection | None:
        """Selection of the automatic threshold, as on the command line; None without picks."""
        if not len(self.score):
            return None
        verdicts = None
        if self.verdicts.keys() >= set(self.micrographs):
            verdicts = [self.verdicts[mid] for mid in sorted(self.micrographs)]
        return select_automatically(
            self._table,
            verdicts=verdicts,
            labels=self.label_sample,
            is_filtered=self.is_filtered,
        )

    @cached_property
    def distribution(self) -> ScoreDistribution:
        """Distribution of the scores, from which precision and recall are estimated.

        Micrographs that are probably empty do not count, unless all are.
        """
        expected = self.selection.expected if self.selection else None
        return (expected or estimate_metrics(self._table, self.label_sample)).distribution

    @cached_property
    def automatic_threshold(self) -> float:
        """The automatic threshold with three decimals, as people type it, or more if needed.

        It selects the same picks as without rounding; 0 without picks.
        """
        if self.selection is None:
            return 0.0
        threshold = self.selection.threshold
        n_selected = int((self.score >= threshold).sum())
        for decimals in _DECIMALS:
            for round_off in (math.floor, math.ceil):
                short = round_off(threshold * 10**decimals) / 10**decimals
                if int((self.score >= short).sum()) == n_selected:
                    return short
        return threshold

    @property
    def _table(self) -> Picks:
        """The picks, with the numbers of the micrographs as names."""
        mids = np.sort(np.array(self.micrographs, np.int64))
        return Picks(
            micrographs=tuple(map(str, mids.tolist())),
            index=np.searchsorted(mids, self.mids),
            xy_px=self.xy_px,
            score=self.score.astype(np.float64),
        )

    def pack(
        self,
        mid: int,
        keep: Bool[np.ndarray, " on_micrograph"],
        labels: Float[np.ndarray, "labels 3"] | None = None,
    ) -> bytes:
        """Pack the selected picks of a micrograph for the page, in little-endian order.

        The layout is four uint32: the version of the layout, the numbers of picks and labels, and
        0; then all x, all y and all scores of the picks, and those of the labels, as float32.

        Args:
            mid: The micrograph.
            keep: Its selected picks.
            labels: x, y and score of labels that count as particles above that score.
        """
        rows = self.rows_of(mid)
        labels = np.zeros((0, 3)) if labels is None else labels
        columns = (*self.xy_px[rows][keep].T, self.score[rows][keep], *labels.T)
        header = np.array([1, int(keep.sum()), len(labels), 0], "<u4").tobytes()
        return header + b"".join(column.astype("<f4").tobytes() for column in columns)

    def colour_range(self, threshold: float) -> tuple[float, float]:
        """Return the ends of the colour scale: the threshold and the 95 % quantile above it."""
        selected = self.score[self.score >= threshold]
        high = float(np.quantile(selected, 0.95)) if len(selected) else threshold + 1.0
        return float(threshold), high

    def first_picks(
        self, keep: Bool[np.ndarray, " picks"]
    ) -> tuple[Integer[np.ndarray, " micrographs"], Integer[np.ndarray, " micrographs"]]:
        """Return the micrographs with selected picks, and the row of the first pick of each."""
        rows = np.flatnonzero(keep)
        mids, first = np.unique(self.mids[rows], return_index=True)
        return mids, rows[first]
