"""Consensus of several pickers, or of several runs of one picker.

Scores of different pickers have no common scale, but their ranks do: the rank score of a pick is
the fraction of its table's picks that score no higher. A picker without scores gives each of its
picks a rank score of 1.

- `find_consensus`: particles that several tables share, with the number of tables.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.matching import match_points
from cryopick.evaluate.set_operations import require_shared_micrographs
from cryopick.picks import Picks, concatenate

__all__ = ["find_consensus"]

_MIN_DISTANCE = 1e-3  # from 0 and 1, whose logits are infinite


def find_consensus(
    tables: Sequence[Picks], radius_px: float, min_tables: int | None = None
) -> Picks:
    """Find the particles that enough tables contain.

    Tables are processed in turn: picks are matched one to one with the particles so far, each at
    the mean of its picks; a pick without a match within the radius becomes a new particle.

    Args:
        tables: Tables of pickers that searched the same micrographs.
        radius_px: Maximum distance between picks of one particle.
        min_tables: Minimum number of tables that contain a particle; None requires a majority.

    Returns:
        Particles at the mean of their picks. The score is the logit of the mean rank score, with
        0 for a table without the particle; the column `agreement` counts the tables.

    Raises:
        UnmatchedError: The tables have no micrograph in common.
        ValueError: There is no table, `min_tables` is not between 1 and their number, or
            `radius_px` is negative or NaN.
    """
    if not tables:
        raise ValueError("at least one table is needed")
    min_tables = len(tables) // 2 + 1 if min_tables is None else min_tables
    if not 1 <= min_tables <= len(tables):
        raise ValueError(f"min_tables must be from 1 to the {len(tables)} tables; got {min_tables}")
    require_shared_micrographs(tables)
    rank_scores = [_rank_scores(table) for table in tables]
    rows = [table.rows_by_micrograph() for table in tables]
    names = tuple(dict.fromkeys(name for table in tables for name in table.micrographs))
    particles = []
    for name in names:
        picks_of_tables = [
            (table.xy_px[table_rows[name]], ranks[table_rows[name]])
            for table, ranks, table_rows in zip(tables, rank_scores, rows, strict=True)
            if name in table_rows
        ]
        particles.append(_merge_picks(name, picks_of_tables, len(tables), radius_px))
    consensus = concatenate(particles)
    return consensus.select(consensus.extra["agreement"] >= min_tables)


def _rank_scores(table: Picks) -> Float[np.ndarray, " picks"]:
    """Compute for each pick the fraction of picks that score no higher; 1 without a score."""
    sorted_scores = np.sort(table.score[np.isfinite(table.score)])
    if not len(sorted_scores):
        return np.ones(len(table))
    ranks = np.searchsorted(sorted_scores, table.score, side="right") / len(sorted_scores)
    return np.where(np.isnan(table.score), 1.0, ranks)


def _merge_picks(
    name: str,
    picks_of_tables: Sequence[tuple[Float[np.ndarray, "_ 2"], Float[np.ndarray, " _"]]],
    table_count: int,
    radius_px: float,
) -> Picks:
    """Find the particles of one micrograph."""
    total_xy, total_rank, count = np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.int64)
    for xy, ranks in picks_of_tables:
        partner = match_points(xy, ranks, total_xy / np.maximum(count, 1)[:, None], radius_px)
        matched, new = partner >= 0, partner < 0
        total_xy[partner[matched]] += xy[matched]
        total_rank[partner[matched]] += ranks[matched]
        count[partner[matched]] += 1
        total_xy = np.concatenate([total_xy, xy[new]])
        total_rank = np.concatenate([total_rank, ranks[new]])
        count = np.concatenate([count, np.ones(int(new.sum()), np.int64)])
    mean_rank = np.clip(total_rank / table_count, _MIN_DISTANCE, 1 - _MIN_DISTANCE)
    picks = Picks.for_micrograph(
        name, total_xy / np.maximum(count, 1)[:, None], np.log(mean_rank / (1 - mean_rank))
    )
    return replace(picks, extra={"agreement": count})
