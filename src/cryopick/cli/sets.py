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
    from cryopick.evaluate.expectation import Promise
    from cryopick.picks import Picks

__all__ = ["AUTO", "NO_SIGN", "Operation", "combine", "cut", "number", "threshold"]

AUTO = "auto"  # a threshold that the scores themselves tell
NO_SIGN = (
    "warning: no sign of particles: scores fall off as on micrographs with nothing to pick; look "
    "at the micrographs, at --diameter-ang and at the pixel size before you use these picks"
)
_NAMED = 3  # micrographs of many that a message names

RadiusAng = Annotated[float | None, Option("--radius-ang", min=0.0, help="The same in ångströms.")]


class Operation(StrEnum):
    """What to make of several tables; the first three are functions of `cryopick.evaluate.set_operations`."""

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
            help="Keep picks that score at least T, or (auto) where F1 should be best if scores "
            "are calibrated, and none on micrographs that show no particles; repeat for nested "
            "sets.",
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
    from cryopick.evaluate.thresholds import nested_counts
    from cryopick.io.tables.pick_tables import read_picks

    if bool(at) == bool(keep):
        raise typer.BadParameter("give either --at or --keep")
    table = read_picks(picks)
    sets = {f"at{_spelt(word)}": cut(table, word, f"at{_spelt(word)}: ") for word in at or []}
    for count, kept in zip(keep or [], nested_counts(table, keep or []), strict=True):
        _tell(table, kept, f"keep{count}: ")
        sets[f"keep{count}"] = kept
    for label, kept in sets.items():
        name = out if len(sets) == 1 else _labelled(out, label)
        write_table(kept, name, table_format=table_format, overwrite=force)


def cut(picks: "Picks", word: str, before: str = "") -> "Picks":
    """Keep the picks of at least a threshold, and say what their scores promise.

    Args:
        picks: The table.
        word: A number, or "auto" for where the expected F1 is best; then nothing is kept on
            micrographs that show no sign of particles.
        before: What to begin the words with.

    Raises:
        BadParameter: The word is neither a number nor "auto".
        SettingsError: There is no pick to choose by, or some have no score.
    """
    from cryopick.evaluate.expectation import best_cut
    from cryopick.evaluate.thresholds import thresholded

    if word != AUTO:
        kept = thresholded(picks, number(word))
        _tell(picks, kept, before)
        return kept
    best = best_cut(picks)
    if best.without_signs:
        some = ", ".join(Path(name).name for name in best.without_signs[:_NAMED])
        typer.echo(
            f"{before}{len(best.without_signs)} of {len(picks.micrographs)} micrographs show no "
            f"sign of particles, and nothing is kept there: {some}"
            f"{', …' if len(best.without_signs) > _NAMED else ''}; a threshold in numbers cuts all "
            "micrographs alike",
            err=True,
        )
    if best.promise is not None:
        typer.echo(f"{before}{_in_words(best.promise, len(best.kept))}", err=True)
    return best.kept


def _tell(picks: "Picks", kept: "Picks", before: str) -> None:
    """Say what scores promise of the picks that are kept."""
    from cryopick.evaluate.expectation import promised

    if len(picks) and picks.is_scored:
        typer.echo(f"{before}{_in_words(promised(picks), len(kept))}", err=True)


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


def _in_words(promise: "Promise", kept: int) -> str:
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
    from cryopick.evaluate import set_operations as sets
    from cryopick.evaluate.consensus import consensus

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
    from cryopick.io.tables.pick_tables import read_picks

    tables: list[Picks] = []
    for path in paths:
        names = dict.fromkeys(name for table in tables for name in table.micrographs)
        tables.append(align_names(read_picks(path), list(names)))
    return combine(tables, radius_px)
