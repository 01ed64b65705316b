"""The table that travels between the stages: particles on micrographs.

Coordinates are (x, y) = (column, row) of particle centres, floats, in pixels of the raw
micrograph; pixel centres are at integers. Scores are logits.

- `Picks`: the table.
- `concatenate`: several tables as one.
- `evenly`: which of many to look at where a few must do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cryopick.array_types import Bool, Float, Integer, Shaped

__all__ = ["Picks", "concatenate", "evenly"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Picks:
    """Particles found or labelled on a set of micrographs.

    Attributes:
        micrographs: Name or path of every micrograph that was looked at, each once, also
            those on which nothing was found.
        index: For each pick, the position of its micrograph in `micrographs`.
        xy_px: Particle centres (x, y) in pixels of the raw micrograph.
        score: Logit of each pick; NaN where the source gives none.
        extra: Further columns by name, one value a pick, carried along as they are.

    Raises:
        ValueError: Columns differ in length, a micrograph is named twice, or an index
            points outside `micrographs`.
    """

    micrographs: tuple[str, ...]
    index: Integer[np.ndarray, " picks"]
    xy_px: Float[np.ndarray, "picks 2"]
    score: Float[np.ndarray, " picks"]
    extra: Mapping[str, Shaped[np.ndarray, " picks"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.index)
        columns = {"xy_px": self.xy_px, "score": self.score, **self.extra}
        for name, column in columns.items():
            if len(column) != count:
                raise ValueError(f"{name} has {len(column)} values for {count} picks")
        if len(set(self.micrographs)) != len(self.micrographs):
            raise ValueError("a micrograph is named twice in micrographs")
        if count and (self.index.min() < 0 or self.index.max() >= len(self.micrographs)):
            raise ValueError(f"index must lie within the {len(self.micrographs)} micrographs")

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def from_columns(
        cls,
        names: Sequence[str],
        xy_px: Float[np.ndarray, "picks 2"],
        score: Float[np.ndarray, " picks"] | None = None,
        extra: Mapping[str, Shaped[np.ndarray, " picks"]] | None = None,
    ) -> "Picks":
        """Build the table from one micrograph name per pick, in order of first mention.

        >>> picks = Picks.from_columns(["b", "a", "b"], np.zeros((3, 2)))
        >>> picks.micrographs, picks.index.tolist()
        (('b', 'a'), [0, 1, 0])
        """
        positions = {name: i for i, name in enumerate(dict.fromkeys(names))}
        return cls(
            micrographs=tuple(positions),
            index=np.array([positions[name] for name in names], dtype=np.int64),
            xy_px=np.asarray(xy_px, dtype=np.float64).reshape(-1, 2),
            score=np.full(len(names), np.nan) if score is None else np.asarray(score, np.float64),
            extra=dict(extra or {}),
        )

    @classmethod
    def on(
        cls,
        micrograph: str,
        xy_px: Float[np.ndarray, "picks 2"],
        score: Float[np.ndarray, " picks"] | None = None,
    ) -> "Picks":
        """Build the table of one micrograph, which may hold no pick at all."""
        count = len(xy_px)
        return cls(
            micrographs=(micrograph,),
            index=np.zeros(count, dtype=np.int64),
            xy_px=np.asarray(xy_px, dtype=np.float64).reshape(-1, 2),
            score=np.full(count, np.nan) if score is None else np.asarray(score, np.float64),
        )

    @property
    def is_scored(self) -> bool:
        """Whether every pick has a score (true of an empty table)."""
        return not bool(np.isnan(self.score).any())

    def select(self, keep: Bool[np.ndarray, " picks"] | Integer[np.ndarray, " kept"]) -> "Picks":
        """Keep the picks that a mask or an index array names; all micrographs stay."""
        return replace(
            self,
            index=self.index[keep],
            xy_px=self.xy_px[keep],
            score=self.score[keep],
            extra={name: column[keep] for name, column in self.extra.items()},
        )

    def restrict(self, names: Sequence[str]) -> "Picks":
        """Keep only the micrographs in `names`, in that order; unknown names come out empty."""
        positions = {name: i for i, name in enumerate(dict.fromkeys(names))}
        new_index = np.array([positions.get(name, -1) for name in self.micrographs], np.int64)
        kept = self.select(new_index[self.index] >= 0) if len(self) else self
        return replace(kept, micrographs=tuple(positions), index=new_index[kept.index])

    def rename(self, new_names: Mapping[str, str]) -> "Picks":
        """Give micrographs other names; those not in `new_names` keep theirs."""
        return replace(
            self, micrographs=tuple(new_names.get(name, name) for name in self.micrographs)
        )

    def scaled(self, factor: float) -> "Picks":
        """Multiply all coordinates, as for images binned by another factor.

        Pixel (0, 0) stays where it is (decision 0001): there is no half-pixel term.
        """
        return replace(self, xy_px=self.xy_px * factor)

    def inverted_y(self, height_px: int | Integer[np.ndarray, " micrographs"]) -> "Picks":
        """Turn coordinates over for images stored upside down: y becomes height - 1 - y.

        Args:
            height_px: Of all micrographs, or one for each.
        """
        x, y = self.xy_px.T
        own = np.broadcast_to(height_px, len(self.micrographs))[self.index]
        return replace(self, xy_px=np.column_stack([x, own - 1 - y]))

    def rows(self) -> dict[str, Integer[np.ndarray, " own"]]:
        """For each micrograph, in stored order, the rows of its picks, in stored order."""
        order = np.argsort(self.index, kind="stable")
        bounds = np.searchsorted(self.index[order], np.arange(len(self.micrographs) + 1))
        return {name: order[bounds[i] : bounds[i + 1]] for i, name in enumerate(self.micrographs)}

    def by_micrograph(self) -> Iterator[tuple[str, "Picks"]]:
        """Each micrograph's name with the table of its picks alone, in stored order."""
        for name, rows in self.rows().items():
            own = self.select(rows)
            yield name, replace(own, micrographs=(name,), index=np.zeros_like(own.index))


def concatenate(tables: Sequence[Picks]) -> Picks:
    """Put tables one after the other; a micrograph in several of them is one micrograph.

    An extra column that some tables lack is left out, for want of an honest value.
    """
    positions = {
        name: i
        for i, name in enumerate(dict.fromkeys(n for table in tables for n in table.micrographs))
    }
    shared = set.intersection(*(set(table.extra) for table in tables)) if tables else set()
    names = [name for table in tables for name in table.extra if name in shared]
    return Picks(
        micrographs=tuple(positions),
        index=np.concatenate(
            [np.zeros(0, np.int64)]
            + [
                np.array([positions[n] for n in table.micrographs], np.int64)[table.index]
                for table in tables
            ]
        ),
        xy_px=np.concatenate([np.zeros((0, 2))] + [table.xy_px for table in tables]),
        score=np.concatenate([np.zeros(0)] + [table.score for table in tables]),
        extra={
            name: np.concatenate([table.extra[name] for table in tables])
            for name in dict.fromkeys(names)
        },
    )


def evenly(count: int, most: int) -> Integer[np.ndarray, " chosen"]:
    """Positions in a list of `count`, `most` of them or all, from the first to the last.

    >>> evenly(9, 3), evenly(2, 3)
    (array([0, 4, 8]), array([0, 1]))
    """
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
