"""Where the workers of a batch are, by dask.distributed.

- `CLUSTERS`: what a cluster can be, other than an address.
- `is_here`: whether its workers are on this machine.
- `workers_at`: a client of them, for as long as a block runs.
- `jobs`: workers as jobs of a scheduler.

Workers run whatever code they are sent, so what is started here speaks TLS with certificates
made for this one run: on a shared machine nobody else can send anything. Workers of this machine
and the dashboard listen on loopback alone.
"""

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryopick.errors import ClusterError, SettingsError
from cryopick.runs.parallel import available_cores

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["CLUSTERS", "is_here", "jobs", "workers_at"]

_JOBS = {"slurm": "SLURM", "pbs": "PBS", "lsf": "LSF", "sge": "SGE"}
CLUSTERS = ("local", *_JOBS)
_LOCAL = "local"
_MOST_JOBS = 16  # where nobody says how many
_LOOPBACK = "127.0.0.1"
_PATIENCE_S = 60.0  # for workers that nobody has to wait for in a queue


def is_here(cluster: str) -> bool:
    """Whether the workers are on this machine, and compute as this process does."""
    return cluster == _LOCAL


@contextmanager
def workers_at(
    cluster: str, workers: int | None, tell: Callable[[str], None], *, gpus: int = 0
) -> Iterator["Client"]:
    """Connect to workers, which are started unless they are at an address.

    Args:
        cluster: One of `CLUSTERS`, or the address of a scheduler of dask's.
        workers: How many to start; at most as many where a scheduler starts them.
        tell: Takes a line on where they are.
        gpus: GPUs of this machine: as many workers are started here, one on each.

    Raises:
        ClusterError: They cannot be reached, or a package is missing.
        SettingsError: There is no such cluster.
    """
    distributed = _package("distributed")
    if cluster not in CLUSTERS and ":" not in cluster:
        raise SettingsError(
            f"--cluster is one of {', '.join(CLUSTERS)}, or the address of a scheduler of dask's "
            f"such as tcp://node1:8786; got {cluster!r}"
        )
    if cluster in CLUSTERS:
        count = workers or (gpus or available_cores() if is_here(cluster) else _MOST_JOBS)
        with _started(cluster, count) as there, distributed.Client(there) as client:
            tell(f"dashboard: http://{_LOOPBACK}:{urlsplit(there.dashboard_link).port}/status")
            _wait(client, _PATIENCE_S if is_here(cluster) else None, cluster, tell)
            yield client
        return
    try:
        client = distributed.Client(cluster, timeout=_PATIENCE_S / 4)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"{cluster}: no scheduler of dask's answers there ({error})") from error
    with client:
        tell(f"dashboard: {client.dashboard_link}")
        _wait(client, _PATIENCE_S, cluster, tell)
        yield client


@contextmanager
def _started(cluster: str, workers: int) -> Iterator[Any]:
    """Workers of our own."""
    distributed = _package("distributed")
    if not is_here(cluster):
        with jobs(cluster) as there:
            there.adapt(minimum=1, maximum=workers)
            yield there
        return
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host=_LOOPBACK,
        dashboard_address=f"{_LOOPBACK}:0",
        security=_security(),
        protocol="tls://",
        memory_limit=None,  # as one process has none
        silence_logs=logging.ERROR,  # a worker that dies is started again; that is no news
        scheduler_kwargs={"allowed_failures": 1},
        env={"OMP_NUM_THREADS": max(1, available_cores() // workers)},
    ) as there:
        yield there


def jobs(cluster: str) -> Any:  # noqa: ANN401  # a class of dask-jobqueue, untyped
    """Workers as jobs of a scheduler; none is submitted yet.

    What a site must say of its jobs (queue, account, cores, memory, time) is read from dask's
    own configuration, `jobqueue.<cluster>` in ~/.config/dask/. A job has one process a core.
    """
    config = _package("dask").config
    kind = getattr(_package("dask_jobqueue"), f"{_JOBS[cluster]}Cluster")

    def said(name: str, otherwise: object) -> object:
        return config.get(f"jobqueue.{cluster}.{name}", None) or otherwise

    many = said("cores", 1)
    return kind(
        cores=many,
        processes=said("processes", many),
        memory=said("memory", f"{4 * int(str(many))}GB"),
        security=_security(),
        protocol="tls://",
        shared_temp_directory=said("shared-temp-directory", str(Path.home())),
        scheduler_options={"dashboard_address": f"{_LOOPBACK}:0"},
    )


def _wait(
    client: "Client", patience_s: float | None, where: str, tell: Callable[[str], None]
) -> None:
    """Wait for a first worker."""
    if client.scheduler_info()["workers"]:
        return
    tell(f"waiting for a worker of {where}")
    try:
        client.wait_for_workers(1, timeout=patience_s)
    except TimeoutError as error:
        raise ClusterError(f"{where}: has no worker; start some with `dask worker`") from error


def _security() -> Any:  # noqa: ANN401  # distributed's own class, which is imported late
    _package("cryptography")
    return _package("distributed").Security.temporary()


def _package(name: str) -> ModuleType:
    """A package of the extra `cluster`.

    Raises:
        ClusterError: It is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ClusterError(
            f"--cluster needs the package {name.replace('_', '-')}: pip install 'cryopick[cluster]'"
        ) from error
