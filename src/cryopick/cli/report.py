"""`cryopick report`: one page on a training or a picking."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import MICROGRAPHS, Device, Force, PixelSizeAng
from cryopick.cli.tables import record_file, settings_file

__all__ = ["report"]


@app.command()
def report(
    run: Annotated[
        Path,
        Argument(metavar="RUN", help="What a run made: a table or folder of picks, or a model."),
    ],
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="PAGE", help="Page to write: .html [RUN.report.html]"),
    ] = None,
    truth: Annotated[
        Path | None, Option(metavar="TABLE", help="Known particles to judge the picks by.")
    ] = None,
    radius_px: Annotated[
        float | None,
        Option(min=0.0, help="Greatest distance of a pick from its particle [diameter / 3]."),
    ] = None,
    threshold: Annotated[
        float | None, Option(help="Picks to keep [best F1 where truth is known, or even odds].")
    ] = None,
    micrographs: Annotated[
        list[str] | None,
        Option("--micrographs", "-m", metavar="MIC", help=f"Where they are now. {MICROGRAPHS}"),
    ] = None,
    model: Annotated[
        Path | None, Option(metavar="MODEL", help="Where the model is now, to show scores.")
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(min=0.0, help="Particle diameter in ångströms [the run's].")
    ] = None,
    pixel_size_ang: PixelSizeAng = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Tell a training or a picking as one page that needs no other file and no network.

    What was asked, how good it is, scores, outliers, the best, the median and the worst
    micrograph, single picks, and the command that makes it again. The page prints well.

    Example: cryopick report picks.star --truth particles.star
    """
    from cryopick.io.inputs import micrograph_paths
    from cryopick.model.device import ready_device
    from cryopick.report.page import run_page
    from cryopick.report.pick_summary import evidence_of
    from cryopick.report.run_files import Wanted, open_run
    from cryopick.runs.atomic_write import whole

    made = f"{run}/" if run.is_dir() else str(run)
    page = out or run.with_suffix(".report.html")
    wanted = Wanted(
        micrographs=micrograph_paths(micrographs or []),
        model=model,
        truth=truth,
        diameter_ang=diameter_ang,
        pixel_size_ang=pixel_size_ang,
        device=str(ready_device(device)),
    )
    with whole(page, overwrite=force) as temporary:
        opened = open_run(run, settings_file(made), record_file(made), wanted)
        text = run_page(opened, evidence_of(opened, threshold, radius_px))
        temporary.write_text(text, encoding="utf-8")
    if opened.unmatched:
        missing = len(opened.unmatched)
        echo(f"left out: {missing} micrographs of {run} that are not at hand", err=True)
    echo(f"{page}: open it in a browser", err=True)
