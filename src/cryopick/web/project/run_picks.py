"""The picks of a run in memory, ready to be counted and shown.

- `Found`: all picks of a run.
- `Cut`: what is kept of them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Integer

__all__ = ["BINS", "Cut", "Found"]

BINS = 2048


@dataclass(frozen=True)
class Cut:
    """What is kept of a run's picks.

    Attributes:
        threshold: The least score.
        edge_ang: Picks nearer to an edge go.
        min_distance_ang: Picks nearer to one of higher score go.
    """

    threshold: float = 0.0
    edge_ang: float = 0.0
    min_distance_ang: float = 0.0


@dataclass(frozen=True, eq=False)
class Found:
    """All picks of a run, micrograph by micrograph, each by descending score.

    Attributes:
        mids: Micrograph of each pick.
        xy_px: Centres (x, y) in raw pixels.
        score: Logits.
        micrographs: Micrographs that were picked, also those without a pick.
    """

    mids: Integer[np.ndarray, " picks"]
    xy_px: Float[np.ndarray, "picks 2"]
    score: Float32[np.ndarray, " picks"]
    micrographs: tuple[int, ...]

    def on(self, mid: int) -> slice:
        """Where the picks of a micrograph stand."""
        first, last = np.searchsorted(self.mids, [mid, mid + 1])
        return slice(int(first), int(last))

    def on_each(self, keep: Bool[np.ndarray, " picks"]) -> Integer[np.ndarray, " micrographs"]:
        """How many picks of each micrograph are kept, in the order of `micrographs`."""
        upto = np.concatenate([[0], np.cumsum(keep)])
        numbers = np.array(self.micrographs, np.int64)
        first = np.searchsorted(self.mids, numbers)
        last = np.searchsorted(self.mids, numbers, side="right")
        return upto[last] - upto[first]

    @cached_property
    def edges(self) -> Float32[np.ndarray, "2049"]:
        """Bounds of the bins of scores, the last above all scores."""
        low, high = (self.score.min(), self.score.max()) if len(self.score) else (-6.0, 6.0)
        above = np.nextafter(np.float32(max(high, low + 1e-3)), np.float32(np.inf))
        edges = np.linspace(low, above, BINS + 1, dtype=np.float32)
        edges[-1] = above
        return edges

    def nearest_edge(self, threshold: float) -> float:
        """The edge that the page shows for a threshold; between edges it could not count."""
        return float(self.edges[np.abs(self.edges - np.float32(threshold)).argmin()])

    def packed(self, mid: int, keep: Bool[np.ndarray, " picks"]) -> bytes:
        """The kept picks of a micrograph for the page, little-endian.

        Four uint32, of which the first is this layout's number and the second how many there are;
        then all x, all y and all scores as float32.
        """
        place = self.on(mid)
        own = keep[place]
        columns = (*self.xy_px[place][own].T, self.score[place][own])
        header = np.array([1, int(own.sum()), 0, 0], "<u4").tobytes()
        return header + b"".join(column.astype("<f4").tobytes() for column in columns)

    def colour_range(self, threshold: float) -> tuple[float, float]:
        """Where colours begin and end: at the threshold, and where one kept pick in 20 is above."""
        kept = self.score[self.score >= np.float32(threshold)]
        return float(threshold), float(np.quantile(kept, 0.95)) if len(kept) else threshold + 1.0

    def firsts(
        self, keep: Bool[np.ndarray, " picks"]
    ) -> tuple[Integer[np.ndarray, " micrographs"], Integer[np.ndarray, " micrographs"]]:
        """Micrographs of which anything is kept, and the place of the first kept pick of each."""
        places = np.flatnonzero(keep)
        mids, first = np.unique(self.mids[places], return_index=True)
        return mids, places[first]

    def counts(self, keep: Bool[np.ndarray, " picks"]) -> Integer[np.ndarray, "2048"]:
        """Picks between neighbouring edges, so that sums of them are exact at every edge."""
        places = np.searchsorted(np.sort(self.score[keep]), self.edges)
        return np.diff(places)
