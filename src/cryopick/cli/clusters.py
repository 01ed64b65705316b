"""Options that distribute a batch among workers.

- `ClusterName`, `WorkerCount`: options.
- `choose_cluster`: the cluster that they describe.
- `distribute_batch`: have workers process a batch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option

from cryopick.cli.progress import Batch, open_events
from cryopick.errors import MicrographError

if TYPE_CHECKING:
    from cryopick.distributed.dask_batch import WorkerJob
    from cryopick.regions import Regions
    from cryopick.workflows.cluster import Cluster

__all__ = ["ClusterName", "WorkerCount", "choose_cluster", "distribute_batch"]

ClusterName = Annotated[
    str | None,
    Option(
        "--cluster",
        metavar="CLUSTER",
        help="Distribute the work: local (worker processes on this machine), slurm, pbs, lsf or "
        "sge (jobs), or the address of a Dask scheduler, such as tcp://node1:8786.",
    ),
]
WorkerCount = Annotated[
    int | None,
    Option(
        "--workers",
        min=1,
        help="Maximum number of workers that --cluster starts. [default: one per CPU core or GPU "
        "on this machine; 16 jobs]",
    ),
]


def choose_cluster(name: str | None, workers: int | None) -> "Cluster | None":
    """Return the cluster of the options, if one was given.

    Raises:
        BadParameter: A number of workers was given without a cluster.
    """
    if name is None:
        if workers is not None:
            raise BadParameter("--workers needs --cluster; add --cluster local")
        return None
    from cryopick.workflows.cluster import Cluster

    return Cluster(name=name, workers=workers)


def distribute_batch(
    cluster: "Cluster",
    job: "WorkerJob",
    outputs: Mapping[Path, Path | None],
    ignore: "Regions",
    batch: Batch,
) -> None:
    """Have workers process a batch, and skip the micrographs that could not be used.

    Args:
        cluster: The workers.
        job: What they do with each micrograph.
        outputs: Score map to write for each micrograph; None to pick particles instead.
        ignore: Exclusion regions, by path of the micrograph.
        batch: The micrographs.
    """
    from cryopick.workflows.cluster import run_on_cluster

    with open_events() as events:
        failures = run_on_cluster(cluster, job, outputs, ignore, events)
    for path, reason in failures.items():
        batch.skip(path, MicrographError(reason))
