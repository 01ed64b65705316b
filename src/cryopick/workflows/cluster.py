"""Work on micrographs shared among the workers of a cluster.

- `Cluster`: the cluster and its number of workers.
- `choose_execution`: the device and settings that this process and the workers have in common.
- `run_on_cluster`: have workers do a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.distributed.dask_batch import WorkerJob, run_on_workers
from cryopick.distributed.dask_cluster import connect_workers, is_local
from cryopick.model.device import AnyDevice, choose_device, count_gpus, require_device
from cryopick.pick.settings import PickSettings
from cryopick.workflows.events import Events, Notice, NoticeCode, track_progress

if TYPE_CHECKING:
    from cryopick.regions import Regions

__all__ = ["Cluster", "choose_execution", "run_on_cluster"]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Workers that share a batch.

    Attributes:
        name: "local", the name of a scheduler, or the address of a dask scheduler.
        workers: Maximum number of workers; None takes the default of the cluster.
    """

    name: str
    workers: int | None = None


def choose_execution(
    cluster: Cluster | None, device: str, settings: PickSettings
) -> tuple[AnyDevice, PickSettings]:
    """Choose the device of this process, and a number format that all workers support.

    Workers on other machines may support other number formats than this machine: with the
    precision "auto", all of them use float32, and this process needs no accelerator.

    Raises:
        SettingsError: This machine has no such device.
    """
    if cluster is None or is_local(cluster.name):
        return require_device(device), settings
    if settings.precision == "auto":
        settings = replace(settings, precision="float32")
    return require_device("cpu"), settings


def run_on_cluster(
    cluster: Cluster,
    job: WorkerJob,
    outputs: Mapping[Path, Path | None],
    ignore: "Regions",
    events: Events,
) -> dict[Path, str]:
    """Have workers do a batch.

    Args:
        cluster: The workers.
        job: What they do with each micrograph.
        outputs: For each micrograph, the score map to write; None finds its picks.
        ignore: Regions to ignore, on micrographs named by their paths.
        events: Receiver of the progress.

    Returns:
        The micrographs that could not be used, each with the reason.

    Raises:
        ClusterError: The workers cannot be reached, or were lost.
    """
    if not outputs:
        return {}

    def notify(text: str) -> None:
        events.emit(Notice(code=NoticeCode.WORKERS, message=text))

    gpus = count_gpus() if choose_device(job.device).type == "cuda" else 0
    with (
        connect_workers(cluster.name, cluster.workers, notify, gpus=gpus) as client,
        track_progress(events, f"Working on {cluster.name}", len(outputs)) as advance,
    ):
        return run_on_workers(client, job, outputs, ignore, advance)
