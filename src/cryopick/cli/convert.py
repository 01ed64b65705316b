"""`cryopick convert`: convert pick tables between formats."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Option

from cryopick.cli.app import app
from cryopick.cli.options import MICROGRAPHS, Force, Table
from cryopick.cli.tables import match_files, read_with_context, warn_about_tiff, write_table

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["convert"]


@app.command()
def convert(
    tables: Annotated[
        list[Path],
        Argument(metavar="IN", help="Pick tables, or folders of them; read as one table."),
    ],
    out: Table,
    from_format: Annotated[
        str | None, Option("--from", help="Format of IN. [default: detected from content and name]")
    ] = None,
    to_format: Annotated[
        str | None,
        Option(
            "--to",
            "--format",
            help="Format of OUT: tsv, csv, star, box, cs, cbox, eman, via, json or xy. [default: "
            "from its suffix]",
        ),
    ] = None,
    micrographs: Annotated[
        list[str] | None,
        Option(
            "--micrographs",
            "-m",
            metavar="MIC",
            help="Micrographs of OUT, for their sizes and for full names where the table has "
            "stems only; "
            f"repeatable. {MICROGRAPHS}",
        ),
    ] = None,
    shape_px: Annotated[
        tuple[int, int] | None,
        Option(min=1, metavar="HEIGHT WIDTH", help="Size of all micrographs in pixels."),
    ] = None,
    box_px: Annotated[
        int | None, Option(min=1, help="Box size in pixels; required by box and cbox.")
    ] = None,
    scale: Annotated[
        float,
        Option(
            help="Factor to multiply coordinates by, such as the binning of the micrographs.",
        ),
    ] = 1.0,
    invert_y: Annotated[
        bool, Option("--invert-y", help="Flip vertically after --scale: y becomes height - 1 - y.")
    ] = False,
    threshold: Annotated[
        float | None, Option(help="Minimum score of a pick. [default: all picks]")
    ] = None,
    force: Force = False,
) -> None:
    """Convert pick tables between formats.

    Several tables are merged; a folder as OUT gets one table per micrograph. From STAR to STAR,
    other columns, the optics table and other blocks are kept. Coordinates are flipped only with
    --invert-y, which needs the size of the micrographs, as does the format cs.

    Example: cryopick convert picks.tsv -o picks.star
    """
    from cryopick.io.images.sizes import find_micrograph_shapes
    from cryopick.io.tables.box_sizes import scale_box_sizes
    from cryopick.io.tables.codec import TableLayout
    from cryopick.io.tables.star_merge import scale_pixel_sizes

    if scale <= 0:
        raise BadParameter(f"--scale must be above 0; got {scale:g}")
    picks, context = read_with_context(tables, out, to_format, in_format=from_format)
    if threshold is not None:
        from cryopick.evaluate.thresholds import (
            apply_threshold,  # not for every table that is converted
        )

        picks = apply_threshold(picks, threshold)
    if scale != 1.0:
        picks = scale_box_sizes(_remove_sizes(picks.scale(scale)), scale)
        picks, context = scale_pixel_sizes(picks, context, scale, tables[0])
    picks, shapes = _match_sizes(picks, micrographs or (), shape_px)
    if shapes:
        from cryopick.train.label_extent import find_outside  # only where sizes are known

        find_outside(picks, shapes, tables[0])
    if invert_y:
        picks = picks.invert_y(
            find_micrograph_shapes(picks, shapes, "--invert-y needs heights")[:, 0]
        )
    else:
        warn_about_tiff([*picks.micrographs, *shapes])
    layout = TableLayout(star=context, shapes_px=shapes)
    write_table(
        picks,
        out,
        table_format=to_format,
        overwrite=force,
        box_px=box_px,
        layout=layout,
        sources=tables,
    )


def _remove_sizes(picks: "Picks") -> "Picks":
    """Remove micrograph sizes from a table: they are in pixels before scaling."""
    from cryopick.io.images.sizes import HEIGHT, WIDTH

    other_columns = {
        name: column for name, column in picks.extra.items() if name not in (HEIGHT, WIDTH)
    }
    return replace(picks, extra=other_columns)


def _match_sizes(
    picks: "Picks", micrographs: Iterable[str], shape_px: tuple[int, int] | None
) -> tuple["Picks", dict[str, tuple[int, int]]]:
    """Replace stems in a table by file names, and read the sizes of the files."""
    from cryopick.io.images.sizes import read_micrograph_shape
    from cryopick.io.inputs import find_micrographs

    micrographs = list(micrographs)
    files = match_files(picks, find_micrographs(micrographs)) if micrographs else {}
    bare = {name: str(path) for name, path in files.items() if "/" not in name}
    if len({bare.get(name, name) for name in picks.micrographs}) == len(picks.micrographs):
        picks = picks.rename(bare)
        files = {bare.get(name, name): path for name, path in files.items()}
    if shape_px is not None:
        return picks, dict.fromkeys(picks.micrographs, shape_px)
    return picks, {name: read_micrograph_shape(path) for name, path in files.items()}
