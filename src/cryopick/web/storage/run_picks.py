"""The picks of one run in memory, for counting and display.

- `RunPicks`: all picks of a run.
- `PickFilter`: threshold, edge margin and minimum distance that select some of them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Integer

__all__ = ["BINS", "PickFilter", "RunPicks"]

BINS = 2048


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
    score: Float32[np.ndarray, " picks"]
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
    def bin_edges(self) -> Float32[np.ndarray, "2049"]:
        """Edges of the score histogram; the last edge is above all scores."""
        low, high = (self.score.min(), self.score.max()) if len(self.score) else (-6.0, 6.0)
        above = np.nextafter(np.float32(max(high, low + 1e-3)), np.float32(np.inf))
        edges = np.linspace(low, above, BINS + 1, dtype=np.float32)
        edges[-1] = above
        return edges

    def nearest_bin_edge(self, threshold: float) -> float:
        """Round a threshold to a bin edge, where the histogram gives exact counts."""
        return float(self.bin_edges[np.abs(self.bin_edges - np.float32(threshold)).argmin()])

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
        selected = self.score[self.score >= np.float32(threshold)]
        high = float(np.quantile(selected, 0.95)) if len(selected) else threshold + 1.0
        return float(threshold), high

    def first_picks(
        self, keep: Bool[np.ndarray, " picks"]
    ) -> tuple[Integer[np.ndarray, " micrographs"], Integer[np.ndarray, " micrographs"]]:
        """Return the micrographs with selected picks, and the row of the first pick of each."""
        rows = np.flatnonzero(keep)
        mids, first = np.unique(self.mids[rows], return_index=True)
        return mids, rows[first]

    def histogram(self, keep: Bool[np.ndarray, " picks"]) -> Integer[np.ndarray, "2048"]:
        """Count the selected picks between neighbouring bin edges; sums of counts are exact."""
        ranks = np.searchsorted(np.sort(self.score[keep]), self.bin_edges)
        return np.diff(ranks)
