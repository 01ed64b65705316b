"""`cryopick feedback`: what a classification kept and threw out, as labels and negatives."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Force
from cryopick.cli.tables import align_names, write_table
from cryopick.errors import InputError, OutputExistsError

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["feedback"]

_CLASS = "rlnClassNumber"
# Share of the kept particles that are among the picks: above the one, the picks are what was
# classified; below the other, they are what was thrown out; between, something is wrong.
_WENT_IN, _CAME_OUT = 0.5, 0.05


@app.command()
def feedback(
    picks: Annotated[
        Path, Argument(metavar="PICKS", help="What was classified, or what was thrown out.")
    ],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Folder to write to.")],
    kept: Annotated[
        Path | None, Argument(metavar="[KEPT]", help="What was kept: STAR, .cs or another table.")
    ] = None,
    classes: Annotated[
        list[int] | None,
        Option("--class", metavar="N", help="Instead of KEPT: a class that is kept; repeat."),
    ] = None,
    threshold: Annotated[
        float | None, Option(help="Only picks that score at least this were classified.")
    ] = None,
    most: Annotated[
        int | None, Option(min=1, metavar="N", help="Take only the N surest negatives [all].")
    ] = None,
    radius_px: Annotated[
        float, Option(min=0.0, help="How far classification may have moved a particle, in pixels.")
    ] = 5.0,
    table_format: Annotated[str, Option("--format", help="tsv, csv or star.")] = "star",
    force: Force = False,
) -> None:
    """Make labels of particles that classification kept, and negatives of those thrown out.

    DIR gets labels.star and negatives.star, for `cryopick train -p` and `--negatives`. Both
    RELION's and cryoSPARC's particles are read: KEPT is what the selection wrote, and PICKS
    what went in; or PICKS alone, with its column of classes and the numbers of those to keep.

    Example: cryopick feedback Extract/job5/particles.star Select/job8/particles.star -o again
    """
    from cryopick.evaluate.thresholds import strongest, thresholded
    from cryopick.io.tables.pick_tables import read_picks

    if (kept is None) == (not classes):
        raise BadParameter("give either KEPT, a table of what was kept, or --class")
    table = read_picks(picks)
    if threshold is not None:
        table = thresholded(table, threshold)
    if kept is None:
        good, bad = _by_class(table, set(classes or []), picks)
    else:
        good, bad = _by_table(table, align_names(read_picks(kept), table.micrographs), radius_px)
    if not len(good):
        raise InputError(f"{kept or picks}: no particle is kept, so that there is nothing to label")
    if most is not None:
        bad = strongest(bad, most)
    files = {out / f"labels.{table_format}": good, out / f"negatives.{table_format}": bad}
    for file in files:
        if file.exists() and not force:
            raise OutputExistsError(f"{file}: exists already; replace it with --force")
    for file, own in files.items():
        write_table(own, str(file), table_format=table_format, overwrite=force)
    on = len([rows for rows in good.rows().values() if len(rows)])
    echo(f"{len(good) / on:.1f} labels on each of {on} micrographs", err=True)


def _by_class(table: "Picks", classes: set[int], path: Path) -> "tuple[Picks, Picks]":
    """Part a table by its column of classes."""
    import numpy as np

    column = table.extra.get(_CLASS)
    if column is None or column.dtype.kind not in "iu":
        raise InputError(
            f"{path}: expected a column {_CLASS} of whole numbers, found none; give KEPT, the "
            "table of what was kept"
        )
    missing = classes - set(column.tolist())
    if missing:
        raise InputError(
            f"{path}: no particle is of class {min(missing)}; its classes are "
            f"{', '.join(map(str, sorted(set(column.tolist()))))}"
        )
    is_kept = np.isin(column, sorted(classes))
    return table.select(is_kept), table.select(~is_kept)


def _by_table(table: "Picks", kept: "Picks", radius_px: float) -> "tuple[Picks, Picks]":
    """The kept particles, and the picks that lie near none of them."""
    from cryopick.evaluate.set_operations import subtract

    thrown_out = subtract([table, kept], radius_px)
    shared = set(table.micrographs) & set(kept.micrographs)
    if len(kept) and not shared:
        raise InputError(
            f"the kept particles are on other micrographs, such as {kept.micrographs[0]!r}, and "
            f"the picks on {table.micrographs[0]!r}; give tables of one data set"
        )
    share = 1 - len(subtract([kept, table], radius_px)) / max(len(kept), 1)
    if _CAME_OUT < share < _WENT_IN:
        raise InputError(
            f"only {100 * share:.0f} % of the kept particles lie within {radius_px:g} pixels of a "
            "pick; if they were recentred, add --radius-px, a third of the diameter"
        )
    if share <= _CAME_OUT:
        echo("no kept particle is among the picks: all of these count as thrown out", err=True)
    return kept, thrown_out
