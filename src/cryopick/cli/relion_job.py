"""`cryopick relion-job`: picking and training from RELION's window."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import INTERRUPTED, app
from cryopick.errors import InputError

__all__ = ["relion_job"]

_SELF = (sys.executable, "-c", "from cryopick.cli import main; main()")


@app.command("relion-job", context_settings={"ignore_unknown_options": True})
def relion_job(
    out: Annotated[Path, Option("--o", metavar="DIR", help="Folder of the job.")],
    micrographs: Annotated[
        Path, Option("--in_mics", metavar="STAR", help="Micrographs, as RELION lists them.")
    ],
    coordinates: Annotated[
        Path | None,
        Option("--in_coords", metavar="STAR", help="Labelled particles: train, do not pick."),
    ] = None,
    threads: Annotated[int, Option("--j", min=1, help="Cores to use.")] = 1,
    parameters: Annotated[
        list[str] | None,
        Argument(metavar="[--OPTION VALUE]...", help="Options of pick or train."),
    ] = None,
) -> None:
    """Run as an external job of RELION 4 or 5: pick, or train where coordinates are given.

    All other parameters of the job are options of `cryopick pick` or `cryopick train`, and may be
    written with underscores. Training leaves model.safetensors, picking autopick.star.

    Example: cryopick relion-job --o External/job005/ --in_mics CtfFind/job003/micrographs_ctf.star
    """
    from cryopick.clients.relion import (
        MODEL_NODE,
        PICKS_NODE,
        run_job,
        write_coordinates,
        write_nodes,
    )
    from cryopick.io.tables.pick_tables import read_picks

    model, picks = out / "model.safetensors", out / "picks.json"
    extra = _options(parameters or [])
    if coordinates:
        words = ["train", "-m", str(micrographs), "-p", str(coordinates), "-o", str(model)]
    else:
        words = ["pick", str(micrographs), "-o", str(picks), "--force"]

    started = time.time()

    def finish(status: int) -> None:
        made = model if coordinates else picks
        is_new = made.exists() and made.stat().st_mtime >= started
        if status and (coordinates or not is_new):  # picking may have skipped some micrographs
            raise InputError(f"{made}: was not written; see above what went wrong")
        if coordinates:
            write_nodes(out, {model: MODEL_NODE})
        else:
            write_nodes(out, {write_coordinates(read_picks(picks), out): PICKS_NODE})

    if run_job(out, [*_SELF, *words, *extra], finish, threads=threads) == INTERRUPTED:
        raise typer.Exit(INTERRUPTED)
    echo(f"RELION finds what was made in {out}", err=True)


def _options(words: list[str]) -> list[str]:
    """Parameters of a RELION job as options: names with underscores become ours."""
    options = [w.replace("_", "-") if w.startswith("--") else w for w in words]
    if options and not options[0].startswith("-"):
        raise BadParameter(f"expected an option, got {options[0]!r}")
    return options
