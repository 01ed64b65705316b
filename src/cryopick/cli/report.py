"""`cryopick report`: HTML report of a training or pick run."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cryopick.cli.app import app
from cryopick.cli.messages import add_results, note, warn
from cryopick.cli.options import MICROGRAPHS, Device, Force, PixelSizeAng
from cryopick.errors import format_count
from cryopick.workflows.table_output import metadata_file, settings_file

__all__ = ["report"]


@app.command()
def report(
    run: Annotated[
        Path,
        Argument(metavar="RUN", help="Output of a run: a table or folder of picks, or a model."),
    ],
    out: Annotated[
        Path | None,
        Option(
            "--out", "-o", metavar="PAGE", help="HTML file to write. [default: RUN.report.html]"
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        Option(metavar="TABLE", help="Table of true particles to compare the picks with."),
    ] = None,
    radius_px: Annotated[
        float | None,
        Option(
            min=0.0,
            help="Maximum distance between a pick and its particle, in pixels. [default: a "
            "third of the diameter]",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        Option(
            help="Minimum score of a pick. [default: the best F1 if --truth is given, "
            "otherwise the highest expected F1]"
        ),
    ] = None,
    micrographs: Annotated[
        list[str] | None,
        Option(
            "--micrographs",
            "-m",
            metavar="MIC",
            help=f"Micrographs, if they were moved; repeatable. {MICROGRAPHS}",
        ),
    ] = None,
    model: Annotated[
        Path | None, Option(metavar="MODEL", help="Model file, if it was moved.")
    ] = None,
    diameter_ang: Annotated[
        float | None,
        Option(min=0.0, help="Particle diameter in ångströms. [default: that of the run]"),
    ] = None,
    pixel_size_ang: PixelSizeAng = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Write an HTML report of a training or pick run.

    The page is a single file. Contents: individual picks on both sides of the threshold, precision
    and recall, measured or expected, with intervals, score distribution, outliers, the best, median
    and worst micrograph, the settings, and the command to reproduce the run.

    Example: cryopick report picks.star --truth particles.star
    """
    from cryopick.io.inputs import find_micrographs
    from cryopick.model.device import require_device
    from cryopick.report.page import render_run_page
    from cryopick.report.pick_summary import summarize_picks
    from cryopick.report.run_files import ReportRequest, open_run
    from cryopick.runs.atomic_write import atomic_write

    output = f"{run}/" if run.is_dir() else str(run)
    page = out or run.with_suffix(".report.html")
    request = ReportRequest(
        micrographs=find_micrographs(micrographs or []),
        model=model,
        truth=truth,
        diameter_ang=diameter_ang,
        pixel_size_ang=pixel_size_ang,
        device=str(require_device(device)),
    )
    with atomic_write(page, overwrite=force) as temporary:
        opened_run = open_run(run, settings_file(output), metadata_file(output), request)
        text = render_run_page(opened_run, summarize_picks(opened_run, threshold, radius_px))
        temporary.write_text(text, encoding="utf-8")
    if opened_run.unmatched:
        missing = format_count(len(opened_run.unmatched), "micrograph")
        warn(
            f"skipped {missing} of {run} without a file that can be read; give their location with "
            "--micrographs"
        )
    add_results(page=str(page))
    note(f"report written to {page}; open it in a browser")
