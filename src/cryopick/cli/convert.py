"""`cryopick convert`: pick tables from one format to another."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import MICROGRAPHS, Force, Table
from cryopick.cli.tables import given_files, write_table

if TYPE_CHECKING:
    from cryopick.io.tables.codec import Layout
    from cryopick.picks import Picks

__all__ = ["convert"]

_FORMATS = "tsv, csv, star, box, cs, cbox, eman, via or json"


@app.command()
def convert(
    tables: Annotated[
        list[Path], Argument(metavar="IN", help="Pick tables, or folders of them, to read as one.")
    ],
    out: Table,
    from_format: Annotated[
        str | None, Option("--from", help="Format of IN, where neither content nor name tells.")
    ] = None,
    to_format: Annotated[
        str | None, Option("--to", "--format", help=f"Format of OUT: {_FORMATS} [its suffix].")
    ] = None,
    micrographs: Annotated[
        list[str] | None,
        Option(
            "--micrographs",
            "-m",
            metavar="MIC",
            help=f"The files that OUT is for: their sizes, and names for bare ones. {MICROGRAPHS}",
        ),
    ] = None,
    shape_px: Annotated[
        tuple[int, int] | None,
        Option(min=1, metavar="HEIGHT WIDTH", help="Size of all micrographs that OUT is for."),
    ] = None,
    box_px: Annotated[
        int | None, Option(min=1, help="Side of the boxes in pixels, for box and cbox.")
    ] = None,
    scale: Annotated[
        float, Option(min=0.0, help="Multiply coordinates, as for micrographs binned by it.")
    ] = 1.0,
    invert_y: Annotated[
        bool, Option("--invert-y", help="Turn over: y becomes height - 1 - y, after --scale.")
    ] = False,
    threshold: Annotated[
        float | None, Option(help="Keep only picks that score at least this.")
    ] = None,
    force: Force = False,
) -> None:
    """Convert pick tables, several into one or one into one per micrograph.

    From STAR to STAR, further columns, the optics table and other blocks survive. Nothing is
    turned over unless --invert-y asks for it; that and cs need the size of the micrographs.

    Example: cryopick convert picks.tsv -o picks.star
    """
    from cryopick.io.images.sizes import known_shapes
    from cryopick.io.tables.pick_tables import read_picks_many

    picks = read_picks_many(tables, format=from_format)
    if threshold is not None:
        from cryopick.evaluate.thresholds import (
            thresholded,  # not for every table that is converted
        )

        picks = thresholded(picks, threshold)
    if scale != 1.0:
        picks = _without_sizes(picks.scaled(scale))
    picks, shapes = _sizes(picks, micrographs or (), shape_px)
    if invert_y:
        picks = picks.inverted_y(known_shapes(picks, shapes, "--invert-y needs heights")[:, 0])
    else:
        _tell_of_tiff([*picks.micrographs, *shapes])
    layout = _layout(tables, out, to_format, from_format)
    layout = replace(layout, shapes_px=shapes)
    write_table(picks, out, table_format=to_format, overwrite=force, box_px=box_px, layout=layout)


def _without_sizes(picks: "Picks") -> "Picks":
    """Forget the sizes that a table carries: they are those of other pixels."""
    from cryopick.io.images.sizes import HEIGHT, WIDTH

    kept = {name: column for name, column in picks.extra.items() if name not in (HEIGHT, WIDTH)}
    return replace(picks, extra=kept)


def _sizes(
    picks: "Picks", micrographs: Iterable[str], shape_px: tuple[int, int] | None
) -> tuple["Picks", dict[str, tuple[int, int]]]:
    """Name micrographs by their files where the table knows no more than a stem; their sizes."""
    from cryopick.io.images.sizes import micrograph_shape
    from cryopick.io.inputs import micrograph_paths

    micrographs = list(micrographs)
    files = given_files(picks, micrograph_paths(micrographs)) if micrographs else {}
    bare = {name: str(path) for name, path in files.items() if "/" not in name}
    if len({bare.get(name, name) for name in picks.micrographs}) == len(picks.micrographs):
        picks = picks.rename(bare)
        files = {bare.get(name, name): path for name, path in files.items()}
    if shape_px is not None:
        return picks, dict.fromkeys(picks.micrographs, shape_px)
    return picks, {name: micrograph_shape(path) for name, path in files.items()}


def _tell_of_tiff(names: Iterable[str]) -> None:
    tiffs = {name for name in names if name.lower().endswith((".tif", ".tiff"))}
    if tiffs:
        echo(
            f"note: {len(tiffs)} micrographs are TIFF, which RELION, MotionCor2, IMOD, EMAN2 and "
            "SerialEM turn over when they read it and cryoSPARC does not; nothing was turned "
            "over here: see --invert-y",
            err=True,
        )


def _layout(
    tables: list[Path], out: str, to_format: str | None, from_format: str | None
) -> "Layout":
    """What stands around the picks, where STAR files become one STAR file."""
    from cryopick.io.tables.codec import Layout
    from cryopick.io.tables.pick_tables import read_star_frame

    is_star = to_format == "star" or (to_format is None and out.lower().endswith(".star"))
    if not is_star or out.endswith("/") or from_format not in (None, "star"):
        return Layout()
    return Layout(star=read_star_frame(tables))
