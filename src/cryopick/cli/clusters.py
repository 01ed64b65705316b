"""Options that spread a batch over workers, and what they do.

- `ClusterName`, `WorkerCount`: the options.
- `placed`: where this process and the workers compute, settled before any work.
- `share`: have workers do a batch.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option, echo

from cryopick.cli.progress import Batch, progress
from cryopick.errors import MicrographError

if TYPE_CHECKING:
    import torch

    from cryopick.distributed.dask_batch import Job
    from cryopick.pick.settings import PickSettings
    from cryopick.regions import Regions

__all__ = ["ClusterName", "WorkerCount", "placed", "share"]

ClusterName = Annotated[
    str | None,
    Option(
        "--cluster",
        metavar="CLUSTER",
        help="Spread the work over workers: local for those of this machine; slurm, pbs, lsf or "
        "sge for jobs; or the address of a scheduler of dask's, as tcp://node1:8786.",
    ),
]
WorkerCount = Annotated[
    int | None,
    Option(
        "--workers",
        min=1,
        help="Workers that --cluster starts, at most [one a core or GPU here; 16 in jobs].",
    ),
]


def placed(
    cluster: str | None, workers: int | None, device: str, settings: "PickSettings"
) -> tuple["torch.device", "PickSettings"]:
    """Where this process computes, and the settings, both as workers need them.

    Workers elsewhere may compute in other number formats than this machine: where nobody says
    which, all take float32.

    Raises:
        BadParameter: There are workers but no cluster.
        SettingsError: This machine cannot compute on the device.
    """
    from cryopick.model.device import ready_device

    if cluster is None:
        if workers is not None:
            raise BadParameter("--workers is for --cluster; add --cluster local")
        return ready_device(device), settings
    from cryopick.distributed.dask_cluster import is_here

    if is_here(cluster):
        return ready_device(device), settings
    if settings.precision == "auto":
        settings = replace(settings, precision="float32")
    return ready_device("cpu"), settings


def share(
    cluster: str,
    workers: int | None,
    job: "Job",
    outputs: Mapping[Path, Path | None],
    ignore: "Regions",
    batch: Batch,
) -> None:
    """Have workers do a batch; the micrographs that they set aside are skipped.

    Args:
        cluster: The option.
        workers: The option.
        job: What to do.
        outputs: For each micrograph, the score map to write; None finds its picks.
        ignore: Regions to ignore, on micrographs named by their paths.
        batch: The micrographs.
    """
    if not outputs:
        return
    import torch

    from cryopick.distributed.dask_batch import spread
    from cryopick.distributed.dask_cluster import workers_at
    from cryopick.model.device import choose_device

    def tell(text: str) -> None:
        echo(text, err=True)

    gpus = torch.cuda.device_count() if choose_device(job.device).type == "cuda" else 0
    with (
        workers_at(cluster, workers, tell, gpus=gpus) as client,
        progress(len(outputs), f"Working on {cluster}") as advance,
    ):
        aside = spread(client, job, outputs, ignore, advance)
    for path, why in aside.items():
        batch.skip(path, MicrographError(why))
