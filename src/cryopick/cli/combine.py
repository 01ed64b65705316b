"""`cryopick combine`: combine tables of picks."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from cryopick.cli.app import app
from cryopick.cli.options import (
    Force,
    PixelSizeAng,
    RadiusPx,
    Table,
    TableFormat,
    convert_to_pixels,
)
from cryopick.cli.tables import (
    align_names,
    describe_other_scale,
    read_with_context,
    write_table,
)
from cryopick.errors import InputError

if TYPE_CHECKING:
    from cryopick.io.tables.codec import StarContext, TableLayout
    from cryopick.picks import Picks

__all__ = ["Operation", "combine"]

RadiusAng = Annotated[
    float | None,
    Option(
        "--radius-ang",
        min=0.0,
        help="Maximum distance between positions of the same particle, in ångströms.",
    ),
]


class Operation(StrEnum):
    """Operation on tables; the first three are functions of `evaluate.set_operations`."""

    UNION = "union"
    INTERSECT = "intersect"
    SUBTRACT = "subtract"
    CONSENSUS = "consensus"


@app.command()
def combine(
    operation: Annotated[
        Operation,
        Argument(metavar="OPERATION", help="Operation: union, intersect, subtract or consensus."),
    ],
    tables: Annotated[
        list[Path],
        Argument(
            metavar="TABLE",
            help="Pick tables A, B, …. The first determines coordinates and scores.",
        ),
    ],
    out: Table,
    radius_px: RadiusPx = None,
    radius_ang: RadiusAng = None,
    pixel_size_ang: PixelSizeAng = None,
    min_tables: Annotated[
        int | None,
        Option(
            min=1,
            help="Minimum number of tables with the particle, for consensus. [default: more "
            "than half]",
        ),
    ] = None,
    table_format: TableFormat = None,
    force: Force = False,
) -> None:
    """Combine pick tables by union, consensus or subtraction.

    Two picks within the radius are the same particle. union: A, and the picks of each further
    table that it lacks. intersect: picks of A with a match of their own in every other table.
    subtract: A without picks that lie within the radius of a pick of another table. consensus:
    particles in most tables, at the mean of their picks, scored by the number of tables and the
    ranks in them.

    Example: cryopick combine subtract picks.star published.star -o new.star --radius-px 54
    """
    from cryopick.evaluate import set_operations as sets
    from cryopick.evaluate.consensus import find_consensus

    if min_tables is not None and operation != Operation.CONSENSUS:
        raise typer.BadParameter(f"--min-tables is for consensus, not for {operation}")
    if min_tables is not None and min_tables > len(tables):
        raise typer.BadParameter(
            f"--min-tables {min_tables} exceeds the number of tables, {len(tables)}"
        )
    radius = convert_to_pixels(radius_px, radius_ang, pixel_size_ang, "--radius-ang")
    if operation == Operation.CONSENSUS:
        combine_tables = partial(find_consensus, min_tables=min_tables)
    else:
        combine_tables = getattr(sets, operation)
    combined, layout = _combine_tables(
        tables, radius, combine_tables, partial(read_with_context, out=out, out_format=table_format)
    )
    write_table(
        combined, out, table_format=table_format, overwrite=force, layout=layout, sources=tables
    )


def _combine_tables(
    paths: Sequence[Path],
    radius_px: float,
    combine: "Callable[[Sequence[Picks], float], Picks]",
    read: "Callable[[Sequence[Path]], tuple[Picks, StarContext]]",
) -> "tuple[Picks, TableLayout]":
    """Combine tables; each micrograph gets the name in the first table that has it.

    Raises:
        InputError: A table was made on micrographs of another binning.
    """
    from cryopick.io.tables.codec import TableLayout
    from cryopick.io.tables.star_merge import (
        assign_optics_groups,
        find_optics_groups,
        merge_contexts,
    )

    tables: list[Picks] = []
    contexts = []
    for path in paths:
        names = dict.fromkeys(name for table in tables for name in table.micrographs)
        table, context = read([path])
        tables.append(align_names(table, list(names)))
        contexts.append(context)
    for table, path in zip(tables[1:], paths[1:], strict=True):
        if objection := describe_other_scale(table, tables[0], radius_px, path):
            raise InputError(objection)
    tables, merged = merge_contexts(tables, contexts, paths)
    combined = combine(tables, radius_px)
    groups = find_optics_groups(tables)
    combined = assign_optics_groups(combined, merged, groups, paths[0])
    return combined, TableLayout(star=merged)
