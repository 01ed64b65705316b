"""Table of picks: particle positions on micrographs.

Coordinates are (x, y) = (column, row) of particle centres, floats, in pixels of the raw
micrograph; pixel centres are at integers. Scores are logits.

- `Picks`: the table.
- `concatenate`: join several tables.
- `choose_evenly`: indices of an evenly spaced subset.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cryopick.array_types import Bool, Float, Integer, Shaped

__all__ = ["Picks", "choose_evenly", "concatenate"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Picks:
    """Particles picked or labelled on a set of micrographs.

    Attributes:
        micrographs: Unique name or path of every micrograph that was searched, including those
            without picks.
        index: Position of each pick's micrograph in `micrographs`.
        xy_px: Particle centres (x, y) in pixels of the raw micrograph.
        score: Logit of each pick; NaN if the source gives none.
        extra: Additional columns by name, one value per pick, carried along unchanged.

    Raises:
        ValueError: Columns differ in length, a micrograph is listed twice, or an index is
            outside `micrographs`.
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
            raise ValueError("a micrograph is listed twice in micrographs")
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
        """Build a table from one micrograph name per pick; micrographs keep the order of first use.

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
    def for_micrograph(
        cls,
        micrograph: str,
        xy_px: Float[np.ndarray, "picks 2"],
        score: Float[np.ndarray, " picks"] | None = None,
    ) -> "Picks":
        """Build the table of a single micrograph, which may have no picks."""
        count = len(xy_px)
        return cls(
            micrographs=(micrograph,),
            index=np.zeros(count, dtype=np.int64),
            xy_px=np.asarray(xy_px, dtype=np.float64).reshape(-1, 2),
            score=np.full(count, np.nan) if score is None else np.asarray(score, np.float64),
        )

    @property
    def is_scored(self) -> bool:
        """True if every pick has a score; an empty table counts as scored."""
        return not bool(np.isnan(self.score).any())

    def select(
        self, keep: Bool[np.ndarray, " picks"] | Integer[np.ndarray, " selected"]
    ) -> "Picks":
        """Keep the picks selected by a mask or index array; all micrographs stay."""
        return replace(
            self,
            index=self.index[keep],
            xy_px=self.xy_px[keep],
            score=self.score[keep],
            extra={name: column[keep] for name, column in self.extra.items()},
        )

    def restrict(self, names: Sequence[str]) -> "Picks":
        """Keep only the micrographs in `names`, in that order; unknown names get no picks."""
        positions = {name: i for i, name in enumerate(dict.fromkeys(names))}
        new_index = np.array([positions.get(name, -1) for name in self.micrographs], np.int64)
        selected = self.select(new_index[self.index] >= 0) if len(self) else self
        return replace(selected, micrographs=tuple(positions), index=new_index[selected.index])

    def rename(self, new_names: Mapping[str, str]) -> "Picks":
        """Rename micrographs; those not in `new_names` keep their names."""
        return replace(
            self, micrographs=tuple(new_names.get(name, name) for name in self.micrographs)
        )

    def scale(self, factor: float) -> "Picks":
        """Multiply all coordinates by a factor, as for differently binned images.

        Pixel (0, 0) stays where it is (decision 0001): there is no half-pixel term.
        """
        return replace(self, xy_px=self.xy_px * factor)

    def invert_y(self, height_px: int | Integer[np.ndarray, " micrographs"]) -> "Picks":
        """Flip coordinates for images stored upside down: y becomes height - 1 - y.

        Args:
            height_px: Height of all micrographs, or one value per micrograph.
        """
        x, y = self.xy_px.T
        height_of_pick = np.broadcast_to(height_px, len(self.micrographs))[self.index]
        return replace(self, xy_px=np.column_stack([x, height_of_pick - 1 - y]))

    def rows_by_micrograph(self) -> dict[str, Integer[np.ndarray, " micrograph_picks"]]:
        """Map each micrograph, in stored order, to the row numbers of its picks."""
        order = np.argsort(self.index, kind="stable")
        bounds = np.searchsorted(self.index[order], np.arange(len(self.micrographs) + 1))
        return {name: order[bounds[i] : bounds[i + 1]] for i, name in enumerate(self.micrographs)}

    def split_by_micrograph(self) -> Iterator[tuple[str, "Picks"]]:
        """Yield each micrograph's name and the table of its picks, in stored order."""
        for name, rows in self.rows_by_micrograph().items():
            picks = self.select(rows)
            yield name, replace(picks, micrographs=(name,), index=np.zeros_like(picks.index))


def concatenate(tables: Sequence[Picks]) -> Picks:
    """Join tables; a micrograph in several of them becomes one micrograph.

    Extra columns that are missing from some tables are dropped.
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


def choose_evenly(count: int, maximum: int) -> Integer[np.ndarray, " chosen"]:
    """Choose up to `maximum` evenly spaced indices of `count` items, first and last included.

    >>> choose_evenly(9, 3), choose_evenly(2, 3)
    (array([0, 4, 8]), array([0, 1]))
    """
    return np.linspace(0, count - 1, min(maximum, count)).round().astype(np.int64)
