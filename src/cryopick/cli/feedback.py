"""`cryopick feedback`: labels and negative labels from a 2D or 3D classification."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Option

from cryopick.cli.app import app
from cryopick.cli.messages import add_results, note, warn
from cryopick.cli.options import Force
from cryopick.cli.tables import align_names, read_with_context, write_table
from cryopick.errors import InputError, OutputExistsError, format_count

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["feedback"]

_CLASS = "rlnClassNumber"
# Fraction of the selected particles that are among the picks: above the first, the picks are the
# input of the classification; below the second, they are the rejected ones; in between, the tables
# do not belong together.
_MIN_INPUT_FRAC, _MAX_REJECTED_FRAC = 0.5, 0.05


@app.command()
def feedback(
    picks: Annotated[
        Path,
        Argument(
            metavar="PICKS", help="Particles that were classified, or those that were rejected."
        ),
    ],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Output folder.")],
    selected: Annotated[
        Path | None,
        Argument(
            metavar="[SELECTED]", help="Particles that were selected: STAR, .cs or another table."
        ),
    ] = None,
    classes: Annotated[
        list[int] | None,
        Option(
            "--class",
            metavar="N",
            help="Number of a selected class, instead of SELECTED; repeatable.",
        ),
    ] = None,
    verdicts: Annotated[
        Path | None,
        Option(
            metavar="TABLE",
            help="Table classes.tsv of `cryopick validate classes`, instead of SELECTED: selects "
            "the classes that are particles. PICKS is run_itNNN_data.star of one of its sets.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        Option(help="Minimum score of the picks that were classified. [default: all picks]"),
    ] = None,
    max_negatives: Annotated[
        int | None,
        Option(
            min=1,
            metavar="N",
            help="Maximum number of negative labels; the highest scores are kept. [default: all]",
        ),
    ] = None,
    radius_px: Annotated[
        float,
        Option(min=0.0, help="Maximum shift of a particle during the classification, in pixels."),
    ] = 5.0,
    table_format: Annotated[
        str, Option("--format", help="Format of the tables: tsv, csv or star.")
    ] = "star",
    force: Force = False,
) -> None:
    """Turn a 2D or 3D classification into labels.

    DIR receives labels.star (selected particles) and negatives.star (rejected ones), for
    `cryopick train -p` and `--negatives`. Reads particles of RELION and cryoSPARC: SELECTED is the
    output of the selection job and PICKS its input. Or give PICKS alone, with a column of class
    numbers, and the selected classes or the verdicts of `cryopick validate classes`.

    Example: cryopick feedback Extract/job5/particles.star Select/job8/particles.star -o again
    """
    from cryopick.evaluate.thresholds import apply_threshold, select_strongest
    from cryopick.io.tables.codec import TableLayout

    if [selected is None, not classes, verdicts is None].count(False) != 1:
        raise BadParameter(
            "add either SELECTED, the table of selected particles, or --class, or --verdicts"
        )
    table, context = read_with_context([picks], "", table_format)
    selected_context = context
    if threshold is not None:
        table = apply_threshold(table, threshold)
    if selected is None:
        numbers = _read_verdicts(verdicts, picks) if verdicts else set(classes or [])
        labels, negatives = _split_by_class(table, numbers, picks)
    else:
        particles, selected_context = read_with_context([selected], "", table_format)
        labels, negatives = _split_by_table(
            table, align_names(particles, table.micrographs), radius_px
        )
    if not len(labels):
        raise InputError(
            f"{selected or picks}: no particle is selected, so there is nothing to label"
        )
    if max_negatives is not None:
        negatives = select_strongest(negatives, max_negatives)
    files = {
        out / f"labels.{table_format}": (labels, selected_context, selected or picks),
        out / f"negatives.{table_format}": (negatives, context, picks),
    }
    for file in files:
        if file.exists() and not force:
            raise OutputExistsError(f"{file}: already exists; overwrite it with --force")
    for file, (rows, star, source) in files.items():
        write_table(
            rows,
            str(file),
            table_format=table_format,
            overwrite=force,
            layout=TableLayout(star=star),
            sources=[source],
        )
    micrograph_count = len([rows for rows in labels.rows_by_micrograph().values() if len(rows)])
    add_results(labels=len(labels), negatives=len(negatives))
    note(
        f"{len(labels) / micrograph_count:.1f} labels per micrograph on "
        f"{format_count(micrograph_count, 'micrograph')}"
    )


def _read_verdicts(verdicts: Path, picks: Path) -> set[int]:
    """Read the classes that are particles, of the set that the folder of the picks names."""
    from cryopick.experiments.classes2d.verdicts import read_particle_classes

    name, _, number = picks.absolute().parent.name.partition("_")
    if name != "set" or not number.isdecimal():
        raise InputError(
            f"{picks}: expected a file in a folder set_1, set_2, … of `cryopick validate classes`; "
            "without one, select classes with --class"
        )
    numbers = read_particle_classes(verdicts, int(number))
    if not numbers:
        raise InputError(
            f"{verdicts}: no class of set {number} is a particle; write particle into the column "
            "person of those that are"
        )
    return set(numbers)


def _split_by_class(table: "Picks", classes: set[int], path: Path) -> "tuple[Picks, Picks]":
    """Split a table by its class numbers."""
    import numpy as np

    column = table.extra.get(_CLASS)
    if column is None or column.dtype.kind not in "iu":
        raise InputError(
            f"{path}: expected a column {_CLASS} of integers, found none; add SELECTED, the "
            "table of selected particles"
        )
    missing = classes - set(column.tolist())
    if missing:
        raise InputError(
            f"{path}: no particle is of class {min(missing)}; its classes are "
            f"{', '.join(map(str, sorted(set(column.tolist()))))}"
        )
    is_kept = np.isin(column, sorted(classes))
    return table.select(is_kept), table.select(~is_kept)


def _split_by_table(table: "Picks", selected: "Picks", radius_px: float) -> "tuple[Picks, Picks]":
    """Return the selected particles, and the picks that match none of them."""
    from cryopick.evaluate.set_operations import subtract

    shared = set(table.micrographs) & set(selected.micrographs)
    if len(selected) and not shared:
        raise InputError(
            "the selected particles are on other micrographs, such as "
            f"{selected.micrographs[0]!r}, "
            f"than the picks, on {table.micrographs[0]!r}; give tables of the same data set"
        )
    rejected = subtract([table, selected], radius_px)
    matched_frac = 1 - len(subtract([selected, table], radius_px)) / max(len(selected), 1)
    if _MAX_REJECTED_FRAC < matched_frac < _MIN_INPUT_FRAC:
        raise InputError(
            f"only {100 * matched_frac:.0f} % of the selected particles lie within {radius_px:g} "
            "pixels of "
            "a pick; if they were recentred, increase --radius-px to a third of the diameter"
        )
    if matched_frac <= _MAX_REJECTED_FRAC:
        warn("no selected particle is among the picks: all picks count as rejected")
    return selected, rejected
