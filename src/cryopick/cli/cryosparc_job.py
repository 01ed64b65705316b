"""`cryopick cryosparc-job`: picking as a job of cryoSPARC's."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Device, ModelDiameterAng, ModelFile, PickRadiusAng, chosen_model
from cryopick.cli.settings import settings_of

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["cryosparc_job"]


@app.command("cryosparc-job")
def cryosparc_job(
    project: Annotated[str, Argument(metavar="PROJECT", help="Such as P3.")],
    workspace: Annotated[str, Argument(metavar="WORKSPACE", help="Such as W1.")],
    source: Annotated[str, Argument(metavar="JOB", help="Job that gives exposures, such as J12.")],
    output: Annotated[str, Option(help="Name of its output with the exposures.")] = "exposures",
    url: Annotated[
        str, Option(envvar="CRYOSPARC_BASE_URL", help="Address of cryoSPARC.")
    ] = "http://localhost:39000",
    model: ModelFile = None,
    threshold: Annotated[
        float | None, Option(help="Keep picks of at least this logit; a low floor [-6].")
    ] = None,
    radius_ang: PickRadiusAng = None,
    diameter_ang: ModelDiameterAng = None,
    pixel_size_ang: Annotated[
        float | None, Option(help="Ångströms per raw pixel [as cryoSPARC says].")
    ] = None,
    device: Device = "auto",
) -> None:
    """Pick exposures of cryoSPARC's in an external job, whose picks Inspect Picks takes.

    Needs cryosparc-tools in the version of cryoSPARC, and its login or its variables in the
    environment (CRYOSPARC_EMAIL, CRYOSPARC_PASSWORD, CRYOSPARC_LICENSE_ID).

    Example: cryopick cryosparc-job P3 W1 J12 --diameter-ang 150
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.clients.cryosparc import JobSettings, connect, pick_job
    from cryopick.pick.settings import PickSettings

    settings = settings_of(PickSettings, options)
    where = settings_of(JobSettings, options)
    file = chosen_model(model, diameter_ang)

    def ready(paths: Sequence[Path], stated_ang: float) -> "Callable[[Path], Picks]":
        from cryopick.model.device import ready_device
        from cryopick.pick.batch import PickBatch

        size_ang = settings.pixel_size_ang or stated_ang
        own = replace(settings, pixel_size_ang=size_ang)
        return PickBatch.open(file, own, ready_device(device), paths).picker.pick

    name, count = pick_job(connect(url), where, ready)
    echo(f"{count} picks saved in {project} {name}", err=True)
