"""`cryopick relion-job`: pick or train as an external job of RELION."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, BadParameter, Option

from cryopick.cli.app import INTERRUPTED, app
from cryopick.cli.messages import note, warn
from cryopick.errors import InputError, format_count

__all__ = ["relion_job"]

_SELF = (sys.executable, "-m", "cryopick")


@app.command("relion-job", context_settings={"ignore_unknown_options": True})
def relion_job(
    out: Annotated[Path, Option("--o", metavar="DIR", help="Job folder.")],
    micrographs: Annotated[
        Path, Option("--in_mics", metavar="STAR", help="Micrographs (micrographs_ctf.star).")
    ],
    coordinates: Annotated[
        Path | None,
        Option(
            "--in_coords",
            metavar="STAR",
            help="Labelled particles; trains a model instead of picking.",
        ),
    ] = None,
    threads: Annotated[int, Option("--j", min=1, help="Number of CPU threads.")] = 1,
    parameters: Annotated[
        list[str] | None,
        Argument(
            metavar="PARAMETER",
            help="Options of `cryopick pick` or `train`, such as --diameter_ang 180.",
        ),
    ] = None,
) -> None:
    """Pick or train as an external job of RELION 4 or 5.

    With --in_coords, train a model and write model.safetensors; otherwise pick and write
    autopick.star. All other parameters of the job are options of `cryopick pick` or `cryopick
    train`, also with underscores instead of hyphens.

    Example: cryopick relion-job --o External/job005/ --in_mics CtfFind/job003/micrographs_ctf.star
    """
    from cryopick.clients.relion import (
        MODEL_NODE,
        PICKS_NODE,
        invert_tiff,
        run_job,
        write_coordinates,
        write_nodes,
    )
    from cryopick.io.tables.pick_tables import read_picks

    model, picks = out / "model.safetensors", out / "picks.json"
    extra = _options(parameters or [])
    if coordinates:
        labels = _convert_labels(coordinates, micrographs, out)
        words = ["train", "-m", str(micrographs), "-p", str(labels), "-o", str(model)]
    else:
        words = ["pick", str(micrographs), "-o", str(picks), "--force"]

    started = time.time()

    def finish(status: int) -> None:
        output = model if coordinates else picks
        is_new = output.exists() and output.stat().st_mtime >= started
        if status and (coordinates or not is_new):  # a pick run may have skipped micrographs
            raise InputError(f"{output}: was not written; see the errors above")
        if coordinates:
            write_nodes(out, {model: MODEL_NODE})
        else:
            table, tiff_count = invert_tiff(read_picks(picks))
            _report_tiff(tiff_count)
            write_nodes(out, {write_coordinates(table, out): PICKS_NODE})

    if run_job(out, [*_SELF, *words, *extra], finish, threads=threads) == INTERRUPTED:
        raise typer.Exit(INTERRUPTED)
    note(f"outputs for RELION written to {out}")


def _convert_labels(coordinates: Path, micrographs: Path, folder: Path) -> Path:
    """Write labels on TIFF micrographs in the frame of the stored rows; return their table."""
    from cryopick.clients.relion import invert_tiff
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.names import match_names
    from cryopick.io.tables.pick_tables import read_picks, write_picks

    table = match_names(read_picks(coordinates), find_micrographs([str(micrographs)])).picks
    converted, tiff_count = invert_tiff(table)
    if not tiff_count:
        return coordinates
    _report_tiff(tiff_count)
    labels = folder / "labels.json"
    write_picks(converted, labels, overwrite=True)
    return labels


def _report_tiff(count: int) -> None:
    if count:
        warn(
            f"note: {format_count(count, 'TIFF micrograph')}: RELION reads TIFF upside down; the "
            "coordinates were converted (y becomes height - 1 - y)"
        )


def _options(words: list[str]) -> list[str]:
    """Convert parameters of a RELION job to options: underscores become hyphens."""
    options = [w.replace("_", "-") if w.startswith("--") else w for w in words]
    if options and not options[0].startswith("-"):
        raise BadParameter(f"expected an option, got {options[0]!r}")
    return options
