"""`cryopick cryosparc-job`: pick particles in an external job of cryoSPARC."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from cryopick.cli.app import app
from cryopick.cli.messages import note
from cryopick.cli.options import Device, ModelFile
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.errors import format_count
from cryopick.pick.settings import PickSettings

if TYPE_CHECKING:
    from cryopick.picks import Picks
    from cryopick.workflows.events import Events

__all__ = ["cryosparc_job"]


@app.command("cryosparc-job")
@expand_settings
def cryosparc_job(
    project: Annotated[str, Argument(metavar="PROJECT", help="Project, such as P3.")],
    workspace: Annotated[str, Argument(metavar="WORKSPACE", help="Workspace, such as W1.")],
    source: Annotated[
        str, Argument(metavar="JOB", help="Job that outputs the exposures, such as J12.")
    ],
    options: Annotated[
        SettingsOptions[PickSettings],
        Fields(
            only=(
                *("threshold", "radius_ang", "diameter_ang", "width_ang", "contrast"),
                "pixel_size_ang",
            ),
            defaults={"pixel_size_ang": "from cryoSPARC"},
            ranges={"diameter_ang": "diameter_range_ang"},
        ),
    ],
    output: Annotated[str, Option(help="Name of the output group with the exposures.")] = (
        "exposures"
    ),
    url: Annotated[
        str, Option(envvar="CRYOSPARC_BASE_URL", help="Address of the cryoSPARC instance.")
    ] = "http://localhost:39000",
    model: ModelFile = None,
    device: Device = "auto",
) -> None:
    """Pick exposures of cryoSPARC in an external job.

    Inspect Picks and Extract accept its output. Needs cryosparc-tools of the same version as
    cryoSPARC, and its login or the environment variables CRYOSPARC_EMAIL, CRYOSPARC_PASSWORD and
    CRYOSPARC_LICENSE_ID.

    Example: cryopick cryosparc-job P3 W1 J12 --diameter-ang 150
    """
    from cryopick.clients.cryosparc import JobSettings, connect, pick_job
    from cryopick.model.model_file import GENERAL_MODEL
    from cryopick.workflows.picking import PickJob, pick_micrographs

    settings = options.build()
    job = JobSettings(project=project, workspace=workspace, source=source, output=output)
    file = model or GENERAL_MODEL

    def pick(paths: Sequence[Path], events: "Events") -> "Picks":
        pick_task = PickJob(micrographs=paths, model=file, settings=settings, device=device)
        return pick_micrographs(pick_task, events).picks

    name, count = pick_job(connect(url), job, pick)
    note(f"{format_count(count, 'pick')} saved in job {name} of {project}")
