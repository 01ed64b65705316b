"""The picks of one run in memory, for counting and display.

- `RunPicks`: all picks of a run.
- `PickFilter`: threshold, edge margin and minimum distance that select some of them.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.evaluate.score_distribution import ScoreDistribution, fit_score_distribution

__all__ = ["BINS", "PickFilter", "RunPicks"]

BINS = 2048
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
    """

    mids: Integer[np.ndarray, " picks"]
    xy_px: Float[np.ndarray, "picks 2"]
    score: Float[np.ndarray, " picks"]
    micrographs: tuple[int, ...]

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
    def distribution(self) -> ScoreDistribution:
        """Distribution of the scores, from which precision and recall are estimated."""
        return fit_score_distribution(self.score.astype(np.float64))

    @property
    def automatic_threshold(self) -> float:
        """Threshold of the highest expected F1, with three decimals, as people type it."""
        if not len(self.score):
            return 0.0
        threshold = min(self.distribution.best_threshold, float(self.score.max()))
        return math.floor(threshold * 1000) / 1000

    def pack(self, mid: int, keep: Bool[np.ndarray, " picks"]) -> bytes:
        """Pack the selected picks of a micrograph for the page, in little-endian order.

        The layout is four uint32, of which the first is the version of the layout and the second
        the number of picks, followed by all x, all y and all scores as float32.
        """
        rows = self.rows_of(mid)
        selected = keep[rows]
        columns = (*self.xy_px[rows][selected].T, self.score[rows][selected])
        header = np.array([1, int(selected.sum()), 0, 0], "<u4").tobytes()
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
