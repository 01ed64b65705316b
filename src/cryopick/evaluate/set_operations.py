"""Set arithmetic on tables of picks, and splits by micrograph.

Two picks on one micrograph are the same particle when their distance is at most the radius.
Every result names the micrographs of all tables, those left without picks too. Of several
tables the first two are combined, then the result with the third, and so on.

- `union`: every particle that any table has.
- `intersect`: the particles that all tables have.
- `subtract`: the particles of the first table that no other has.
- `hold_out`: part micrographs into those to train on and those to test on.
- `fold`: part micrographs into k such splits, each tested once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from cryopick.array_types import Bool
from cryopick.evaluate.matching import is_near, match_picks
from cryopick.picks import Picks, concatenate

__all__ = ["Split", "fold", "hold_out", "intersect", "subtract", "union"]


def union(tables: Sequence[Picks], radius_px: float) -> Picks:
    """Collect the particles of all tables: the first, then what each further one adds.

    A pick of a later table is added when no pick so far lies within the radius. Within one
    table nothing is removed, however close.

    Raises:
        ValueError: No table, or `radius_px` is negative or NaN.
    """
    return _folded(tables, lambda a, b: concatenate([a, b.select(~_is_near(b, a, radius_px))]))


def intersect(tables: Sequence[Picks], radius_px: float) -> Picks:
    """Keep the picks of the first table that have a partner of their own in every other.

    Partners are found one to one, in descending score of the first table (see
    `cryopick.evaluate.matching.match`); position, score and further columns are the first table's.

    Raises:
        ValueError: No table, or `radius_px` is negative or NaN.
    """
    return _folded(tables, lambda a, b: _on_all_of(a.select(match_picks(a, b, radius_px) >= 0), b))


def subtract(tables: Sequence[Picks], radius_px: float) -> Picks:
    """Remove from the first table every pick within the radius of a pick of another.

    Raises:
        ValueError: No table, or `radius_px` is negative or NaN.

    Source: Bepler et al. 2019, Nat. Methods 16:1153, "Removal of overlapping particles".
    """
    return _folded(tables, lambda a, b: _on_all_of(a.select(~_is_near(a, b, radius_px)), b))


def _folded(tables: Sequence[Picks], combine: Callable[[Picks, Picks], Picks]) -> Picks:
    if not tables:
        raise ValueError("at least one table is needed")
    return reduce(combine, tables)


def _on_all_of(picks: Picks, other: Picks) -> Picks:
    """The same picks on the micrographs of both tables."""
    return picks.restrict(picks.micrographs + other.micrographs)


def _is_near(picks: Picks, others: Picks, radius_px: float) -> Bool[np.ndarray, " picks"]:
    """Which picks lie within the radius of a pick of another table on their micrograph."""
    near = np.zeros(len(picks), dtype=bool)
    rows_of_others = others.rows()
    for name, own in picks.rows().items():
        if name in rows_of_others:
            neighbours = others.xy_px[rows_of_others[name]]
            near[own] = is_near(picks.xy_px[own], neighbours, radius_px)
    return near


@dataclass(frozen=True, kw_only=True)
class Split:
    """Micrographs to train on and micrographs to test on; together all, in the order given."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def hold_out(micrographs: Sequence[str], number: int, seed: int = 0) -> Split:
    """Set a number of micrographs aside for testing.

    The choice depends on the names and the seed alone, not on their order, and a larger
    test set contains the smaller ones.

    Raises:
        ValueError: `number` is below 1 or leaves nothing to train on.
    """
    names = list(dict.fromkeys(micrographs))
    if not 1 <= number < len(names):
        raise ValueError(
            f"number must leave at least one of the {len(names)} micrographs on either side; "
            f"got {number}"
        )
    return _split(names, set(_shuffled(names, seed)[:number]))


def fold(micrographs: Sequence[str], count: int, seed: int = 0) -> list[Split]:
    """Part micrographs into `count` test sets whose sizes differ by at most one.

    Every micrograph is tested in exactly one split and trained on in all others.

    Raises:
        ValueError: `count` is below 2 or above the number of micrographs.
    """
    names = list(dict.fromkeys(micrographs))
    if not 2 <= count <= len(names):
        raise ValueError(f"count must be from 2 to the {len(names)} micrographs; got {count}")
    shuffled = _shuffled(names, seed)
    return [_split(names, set(shuffled[i::count])) for i in range(count)]


def _shuffled(names: Sequence[str], seed: int) -> list[str]:
    ordered = sorted(names)
    return [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]


def _split(names: Sequence[str], test: set[str]) -> Split:
    return Split(
        train=tuple(name for name in names if name not in test),
        test=tuple(name for name in names if name in test),
    )
