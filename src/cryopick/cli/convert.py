"""`cryopick convert`: pick tables from one format to another."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cryopick.cli.app import app
from cryopick.cli.options import Force, Table
from cryopick.cli.tables import write_table

__all__ = ["convert"]


@app.command()
def convert(
    tables: Annotated[
        list[Path], Argument(metavar="IN", help="Pick tables, or folders of them, to read as one.")
    ],
    out: Table,
    from_format: Annotated[
        str | None, Option("--from", help="Format of IN, where neither name nor content tells.")
    ] = None,
    to_format: Annotated[
        str | None,
        Option("--to", "--format", help="Format of OUT: tsv, csv, star or box [its suffix]."),
    ] = None,
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels; .box files need it.")
    ] = None,
    scale: Annotated[
        float, Option(min=0.0, help="Multiply coordinates, as for micrographs binned by it.")
    ] = 1.0,
    invert_y: Annotated[
        int | None,
        Option(min=1, metavar="HEIGHT", help="Turn over: y becomes HEIGHT - 1 - y, after --scale."),
    ] = None,
    threshold: Annotated[
        float | None, Option(help="Keep only picks that score at least this.")
    ] = None,
    force: Force = False,
) -> None:
    """Convert pick tables, several into one or one into one per micrograph.

    Example: cryopick convert picks.tsv -o picks.star
    """
    from cryopick.evaluate import thresholded
    from cryopick.io import read_picks_many

    picks = read_picks_many(tables, format=from_format)
    if threshold is not None:
        picks = thresholded(picks, threshold)
    picks = picks.scaled(scale)
    if invert_y is not None:
        picks = picks.inverted_y(invert_y)
    write_table(picks, out, table_format=to_format, overwrite=force, box_px=box_px)
