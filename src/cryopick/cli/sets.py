"""`cryopick threshold` and `cryopick combine`: smaller, larger and fewer sets of picks."""

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from cryopick.cli.app import app
from cryopick.cli.options import Force, PixelSizeAng, RadiusPx, Table, TableFormat, in_pixels
from cryopick.cli.tables import align_names, write_table

if TYPE_CHECKING:
    from cryopick.evaluate import Promise
    from cryopick.picks import Picks

__all__ = ["AUTO", "Operation", "combine", "in_words", "number", "threshold", "threshold_of"]

AUTO = "auto"  # a threshold that the scores themselves tell

RadiusAng = Annotated[float | None, Option("--radius-ang", min=0.0, help="The same in ångströms.")]


class Operation(StrEnum):
    """What to make of several tables; the first three are functions of `cryopick.sets`."""

    UNION = "union"
    INTERSECT = "intersect"
    SUBTRACT = "subtract"
    CONSENSUS = "consensus"


@app.command()
def threshold(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of picks with scores.")],
    out: Table,
    at: Annotated[
        list[str] | None,
        Option(
            metavar="T|auto",
            help="Keep picks that score at least T, or where F1 should be best if scores are "
            "calibrated; repeat for nested sets.",
        ),
    ] = None,
    keep: Annotated[
        list[int] | None,
        Option(metavar="N", min=0, help="Keep the N surest picks; repeat for nested sets."),
    ] = None,
    table_format: TableFormat = None,
    force: Force = False,
) -> None:
    """Keep the surest picks, by score or by number.

    Several values write one set each, named after OUT: picks_at0.star, picks_at2.star. How many
    particles, what precision and what recall the scores promise is said of each set; that holds for
    scores that are calibrated, as those of models that `cryopick train` makes.

    Example: cryopick threshold picks.star -o sure.star --at auto
    """
    from cryopick.evaluate import nested_counts, nested_sets, promised
    from cryopick.io import read_picks

    if bool(at) == bool(keep):
        raise typer.BadParameter("give either --at or --keep")
    table = read_picks(picks)
    values = [threshold_of(table, word) for word in at or []]
    sets = nested_sets(table, values) if at else nested_counts(table, keep or [])
    labels = [f"at{_spelt(word)}" for word in at or []] + [f"keep{count}" for count in keep or []]
    promise = promised(table) if len(table) and table.is_scored else None
    for label, kept in zip(labels, sets, strict=True):
        if promise is not None:
            typer.echo(f"{label}: {in_words(promise, len(kept))}", err=True)
        name = out if len(sets) == 1 else _labelled(out, label)
        write_table(kept, name, table_format=table_format, overwrite=force)


def threshold_of(picks: "Picks", word: str) -> float:
    """The threshold that a word means: a number, or where the expected F1 is best.

    Raises:
        BadParameter: It is neither a number nor "auto".
        SettingsError: There is no pick to choose by, or some have no score.
    """
    if word == AUTO:
        from cryopick.evaluate import best_threshold

        return best_threshold(picks)
    return number(word)


def number(word: str) -> float:
    """The number that a word spells.

    Raises:
        BadParameter: It spells none.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise typer.BadParameter(f"a threshold is a number or auto; got {word!r}")
    return value


def in_words(promise: "Promise", kept: int) -> str:
    """What scores promise of the surest picks."""
    if not kept:
        return f"0 picks of {promise.kept[-1]}"
    step = int(promise.kept.searchsorted(kept))
    return (
        f"{kept} picks of {promise.kept[-1]}, scores of {promise.threshold[step]:.3g} and more; "
        f"as scores promise {promise.particles[step]:.0f} of {promise.total:.0f} particles, "
        f"precision {promise.precision[step]:.3f}, recall {promise.recall[step]:.3f}"
    )


def _spelt(word: str) -> str:
    return word if word == AUTO else f"{number(word):g}"


def _labelled(out: str, label: str) -> str:
    """`picks.star` as `picks_at2.star`, and `picks/` as `picks_at2/`."""
    path = Path(out)
    if out.endswith("/"):
        return f"{path}_{label}/"
    return str(path.with_name(f"{path.stem}_{label}{path.suffix}"))


@app.command()
def combine(
    operation: Annotated[
        Operation, Argument(metavar="OPERATION", help="union, intersect, subtract or consensus.")
    ],
    tables: Annotated[
        list[Path], Argument(metavar="TABLE", help="Pick tables A, B, …; the first leads.")
    ],
    out: Table,
    radius_px: RadiusPx = None,
    radius_ang: RadiusAng = None,
    pixel_size_ang: PixelSizeAng = None,
    least: Annotated[
        int | None,
        Option(min=1, help="consensus: tables that must have a particle [more than half]."),
    ] = None,
    table_format: TableFormat = None,
    force: Force = False,
) -> None:
    """Combine tables of picks as sets: two picks within the radius are one particle.

    union: A, then what each further table adds. intersect: the picks of A that have a partner
    of their own in every other table. subtract: A without the picks that lie within the radius
    of a pick of another table. consensus: the particles that most tables have, at the mean of
    their picks, scored by how many have them and how high each ranks them.

    Example: cryopick combine subtract picks.star published.star -o new.star --radius-px 54
    """
    from cryopick import sets
    from cryopick.consensus import consensus

    if least is not None and operation != Operation.CONSENSUS:
        raise typer.BadParameter(f"--least is for consensus; {operation} has no use for it")
    if least is not None and least > len(tables):
        raise typer.BadParameter(f"--least {least} asks for more than the {len(tables)} tables")
    radius = in_pixels(radius_px, radius_ang, pixel_size_ang, "--radius-ang")
    if operation == Operation.CONSENSUS:
        made = partial(consensus, least=least)
    else:
        made = getattr(sets, operation)
    combined = _combined(tables, radius, made)
    write_table(combined, out, table_format=table_format, overwrite=force)


def _combined(
    paths: Sequence[Path], radius_px: float, combine: "Callable[[Sequence[Picks], float], Picks]"
) -> "Picks":
    """Combine tables whose micrographs go by the names of the first that mentions them."""
    from cryopick.io import read_picks

    tables: list[Picks] = []
    for path in paths:
        names = dict.fromkeys(name for table in tables for name in table.micrographs)
        tables.append(align_names(read_picks(path), list(names)))
    return combine(tables, radius_px)
