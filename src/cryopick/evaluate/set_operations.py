"""Set operations on tables of picks, and splits by micrograph.

Two picks on one micrograph are the same particle if their distance is at most the radius. Results
list the micrographs of all tables, including those without picks. With several tables, the first
two are combined, then the result with the third, and so on.

- `union`: particles that any table contains.
- `intersect`: particles that all tables contain.
- `subtract`: particles of the first table that no other contains.
- `require_shared_micrographs`: check that tables name common micrographs.
- `hold_out`: split micrographs into a training and a test set.
- `fold`: split micrographs into k folds for cross-validation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from cryopick.array_types import Bool
from cryopick.errors import UnmatchedError
from cryopick.evaluate.matching import is_near, match_picks
from cryopick.picks import Picks, concatenate

__all__ = [
    "Split",
    "fold",
    "hold_out",
    "intersect",
    "require_shared_micrographs",
    "subtract",
    "union",
]


def union(tables: Sequence[Picks], radius_px: float) -> Picks:
    """Collect the particles of all tables: the first, then those that each further table adds.

    A pick of a later table is added if no earlier pick lies within the radius. Within one table
    nothing is removed.

    Raises:
        UnmatchedError: The tables have no micrograph in common.
        ValueError: There is no table, or `radius_px` is negative or NaN.
    """
    return _combine_in_turn(
        tables, lambda a, b: concatenate([a, b.select(~_find_near(b, a, radius_px))])
    )


def intersect(tables: Sequence[Picks], radius_px: float) -> Picks:
    """Keep the picks of the first table that match one pick of every other table.

    Picks are matched one to one, in descending score of the first table (see
    `cryopick.evaluate.matching.match_points`); position, score and further columns are those of
    the first table.

    Raises:
        UnmatchedError: The tables have no micrograph in common.
        ValueError: There is no table, or `radius_px` is negative or NaN.
    """
    return _combine_in_turn(
        tables, lambda a, b: _add_micrographs(a.select(match_picks(a, b, radius_px) >= 0), b)
    )


def subtract(tables: Sequence[Picks], radius_px: float) -> Picks:
    """Remove from the first table every pick within the radius of a pick of another table.

    Raises:
        UnmatchedError: The tables have no micrograph in common.
        ValueError: There is no table, or `radius_px` is negative or NaN.

    Source: Bepler et al. 2019, Nat. Methods 16:1153, "Removal of overlapping particles".
    """
    return _combine_in_turn(
        tables, lambda a, b: _add_micrographs(a.select(~_find_near(a, b, radius_px)), b)
    )


def _combine_in_turn(tables: Sequence[Picks], combine: Callable[[Picks, Picks], Picks]) -> Picks:
    if not tables:
        raise ValueError("at least one table is needed")
    require_shared_micrographs(tables)
    return reduce(combine, tables)


def require_shared_micrographs(tables: Sequence[Picks]) -> None:
    """Reject tables that cannot be compared because they name no common micrograph.

    Tables without picks are ignored.

    Raises:
        UnmatchedError: A table shares no micrograph with the tables before it.
    """
    named: dict[str, None] = {}
    for number, table in enumerate(tables, start=1):
        if not len(table):
            continue
        if named and not named.keys() & set(table.micrographs):
            raise UnmatchedError(
                f"table {number} has no micrograph in common with the tables before it: it names "
                f"{table.micrographs[int(table.index[0])]!r}, they name {next(iter(named))!r}; "
                "give tables of the same micrographs, or join tables of different ones with "
                "`cryopick convert`"
            )
        named |= dict.fromkeys(table.micrographs)


def _add_micrographs(picks: Picks, other: Picks) -> Picks:
    """List the micrographs of both tables."""
    return picks.restrict(picks.micrographs + other.micrographs)


def _find_near(picks: Picks, others: Picks, radius_px: float) -> Bool[np.ndarray, " picks"]:
    """Test which picks lie within the radius of a pick of another table on their micrograph."""
    is_close = np.zeros(len(picks), dtype=bool)
    rows_of_others = others.rows_by_micrograph()
    for name, rows in picks.rows_by_micrograph().items():
        if name in rows_of_others:
            neighbours = others.xy_px[rows_of_others[name]]
            is_close[rows] = is_near(picks.xy_px[rows], neighbours, radius_px)
    return is_close


@dataclass(frozen=True, kw_only=True)
class Split:
    """Training and test micrographs; together all, in the given order."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def hold_out(micrographs: Sequence[str], number: int, seed: int = 0) -> Split:
    """Set a number of micrographs aside for testing.

    The choice depends on the names and the seed, not on their order, and a larger test set
    contains the smaller ones.

    Raises:
        ValueError: `number` is below 1 or leaves nothing to train on.
    """
    names = list(dict.fromkeys(micrographs))
    if not 1 <= number < len(names):
        raise ValueError(
            f"number must leave at least one of the {len(names)} micrographs in each set; "
            f"got {number}"
        )
    return _split(names, set(_shuffle(names, seed)[:number]))


def fold(micrographs: Sequence[str], count: int, seed: int = 0) -> list[Split]:
    """Divide micrographs into `count` test sets whose sizes differ by at most one.

    Every micrograph is tested in exactly one split and used for training in all others.

    Raises:
        ValueError: `count` is below 2 or above the number of micrographs.
    """
    names = list(dict.fromkeys(micrographs))
    if not 2 <= count <= len(names):
        raise ValueError(f"count must be from 2 to the {len(names)} micrographs; got {count}")
    shuffled = _shuffle(names, seed)
    return [_split(names, set(shuffled[i::count])) for i in range(count)]


def _shuffle(names: Sequence[str], seed: int) -> list[str]:
    ordered = sorted(names)
    return [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]


def _split(names: Sequence[str], test: set[str]) -> Split:
    return Split(
        train=tuple(name for name in names if name not in test),
        test=tuple(name for name in names if name in test),
    )
