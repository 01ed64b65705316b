"""What several pickers, or several runs of one, agree on.

Scores of different pickers have no common scale, but their order does: a picker's vote for a
pick is the share of its own picks that score no higher. A picker without scores gives each of
its picks a full vote.

- `consensus`: one table of the particles that any table has, with how many agree.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.matching import match
from cryopick.picks import Picks, concatenate

__all__ = ["consensus"]

_SURE = 1e-3  # a vote never reaches 0 or 1, whose logits are endless


def consensus(tables: Sequence[Picks], radius_px: float, least: int | None = None) -> Picks:
    """Gather the particles that enough tables have.

    Table after table, picks are paired one to one with the particles so far, of which each is
    the mean of its picks; a pick without a partner within the radius is a new particle.

    Args:
        tables: Of pickers that looked at the same micrographs.
        radius_px: Greatest distance between picks of one particle.
        least: Tables that must have a particle; None asks for more than half of them.

    Returns:
        Particles at the mean of their picks. The score is the logit of the mean vote, 0 from
        a table without the particle; the column `agreement` counts the tables that have it.

    Raises:
        ValueError: No table, `least` is not from 1 to their number, or `radius_px` is negative
            or NaN.
    """
    if not tables:
        raise ValueError("at least one table is needed")
    least = len(tables) // 2 + 1 if least is None else least
    if not 1 <= least <= len(tables):
        raise ValueError(f"least must be from 1 to the {len(tables)} tables; got {least}")
    votes = [_votes(table) for table in tables]
    rows = [table.rows() for table in tables]
    names = tuple(dict.fromkeys(name for table in tables for name in table.micrographs))
    found = []
    for name in names:
        given = [
            (table.xy_px[own[name]], vote[own[name]])
            for table, vote, own in zip(tables, votes, rows, strict=True)
            if name in own
        ]
        found.append(_on_one(name, given, len(tables), radius_px))
    agreed = concatenate(found)
    return agreed.select(agreed.extra["agreement"] >= least)


def _votes(table: Picks) -> Float[np.ndarray, " picks"]:
    """For each pick, the share of the table's picks that score no higher; 1 without a score."""
    ranked = np.sort(table.score[np.isfinite(table.score)])
    if not len(ranked):
        return np.ones(len(table))
    shares = np.searchsorted(ranked, table.score, side="right") / len(ranked)
    return np.where(np.isnan(table.score), 1.0, shares)


def _on_one(
    name: str,
    given: Sequence[tuple[Float[np.ndarray, "_ 2"], Float[np.ndarray, " _"]]],
    tables: int,
    radius_px: float,
) -> Picks:
    """The particles of one micrograph."""
    total_xy, total_vote, count = np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.int64)
    for xy, vote in given:
        partner = match(xy, vote, total_xy / np.maximum(count, 1)[:, None], radius_px)
        known, new = partner >= 0, partner < 0
        total_xy[partner[known]] += xy[known]
        total_vote[partner[known]] += vote[known]
        count[partner[known]] += 1
        total_xy = np.concatenate([total_xy, xy[new]])
        total_vote = np.concatenate([total_vote, vote[new]])
        count = np.concatenate([count, np.ones(int(new.sum()), np.int64)])
    share = np.clip(total_vote / tables, _SURE, 1 - _SURE)
    picks = Picks.on(name, total_xy / np.maximum(count, 1)[:, None], np.log(share / (1 - share)))
    return replace(picks, extra={"agreement": count})
