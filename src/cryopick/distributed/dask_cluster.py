"""Clusters of dask workers.

- `CLUSTERS`: names of clusters; the address of a dask scheduler is also accepted.
- `is_local`: tests for workers on this machine.
- `connect_workers`: starts or finds workers, and returns a client.
- `create_job_cluster`: a cluster of jobs of a batch scheduler.

Workers execute any code that they receive. Clusters started here therefore use TLS with
certificates that are valid for one run only, so that other users of a shared machine cannot
connect. Local workers and the dashboard listen on the loopback interface only.
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

__all__ = ["CLUSTERS", "connect_workers", "create_job_cluster", "is_local"]

_JOBS = {"slurm": "SLURM", "pbs": "PBS", "lsf": "LSF", "sge": "SGE"}
CLUSTERS = ("local", *_JOBS)
_LOCAL = "local"
_MAX_JOBS = 16  # default
_LOOPBACK = "127.0.0.1"
_TIMEOUT_S = 60.0  # for workers that need not wait in a queue


def is_local(cluster: str) -> bool:
    """Return true if the workers run on this machine, with the same hardware as this process."""
    return cluster == _LOCAL


@contextmanager
def connect_workers(
    cluster: str, workers: int | None, notify: Callable[[str], None], *, gpus: int = 0
) -> Iterator["Client"]:
    """Start workers, or connect to the workers of a running scheduler.

    Args:
        cluster: One of `CLUSTERS`, or the address of a dask scheduler.
        workers: Number of workers to start; the maximum number for a batch scheduler. None for
            one per GPU or core of this machine, or up to 16 jobs.
        notify: Receives messages on the state of the cluster.
        gpus: Number of GPUs of this machine.

    Yields:
        A client of the workers.

    Raises:
        ClusterError: The workers cannot be reached, or a package is missing.
        SettingsError: There is no such cluster.
    """
    distributed = _import_package("distributed")
    if cluster not in CLUSTERS and ":" not in cluster:
        raise SettingsError(
            f"--cluster must be one of {', '.join(CLUSTERS)}, or the address of a dask scheduler "
            f"such as tcp://node1:8786; got {cluster!r}"
        )
    if cluster in CLUSTERS:
        count = workers or (gpus or available_cores() if is_local(cluster) else _MAX_JOBS)
        with _start_cluster(cluster, count) as started, distributed.Client(started) as client:
            notify(f"dashboard: http://{_LOOPBACK}:{urlsplit(started.dashboard_link).port}/status")
            _wait_for_worker(client, _TIMEOUT_S if is_local(cluster) else None, cluster, notify)
            yield client
        return
    try:
        client = distributed.Client(cluster, timeout=_TIMEOUT_S / 4)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"{cluster}: no dask scheduler answers at this address ({error}); check the address"
        ) from error
    with client:
        notify(f"dashboard: {client.dashboard_link}")
        _wait_for_worker(client, _TIMEOUT_S, cluster, notify)
        yield client


@contextmanager
def _start_cluster(cluster: str, workers: int) -> Iterator[Any]:
    """Start workers, and stop them at the end of the block."""
    distributed = _import_package("distributed")
    if not is_local(cluster):
        with create_job_cluster(cluster) as job_cluster:
            job_cluster.adapt(minimum=1, maximum=workers)
            yield job_cluster
        return
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host=_LOOPBACK,
        dashboard_address=f"{_LOOPBACK}:0",
        security=_security(),
        protocol="tls://",
        memory_limit=None,  # as for a single process
        silence_logs=logging.ERROR,  # dead workers are restarted; do not report it
        scheduler_kwargs={"allowed_failures": 1},
        env={"OMP_NUM_THREADS": max(1, available_cores() // workers)},
    ) as local_cluster:
        yield local_cluster


def create_job_cluster(cluster: str) -> Any:  # noqa: ANN401  # of dask-jobqueue, untyped
    """Create a cluster whose workers are jobs of a batch scheduler; no job is submitted yet.

    The options of jobs (queue, account, cores, memory, time) are read from the configuration of
    dask, `jobqueue.<cluster>` in ~/.config/dask/. A job has one process per core.
    """
    config = _import_package("dask").config
    cluster_class = getattr(_import_package("dask_jobqueue"), f"{_JOBS[cluster]}Cluster")

    def get_option(name: str, default: object) -> object:
        return config.get(f"jobqueue.{cluster}.{name}", None) or default

    cores = get_option("cores", 1)
    return cluster_class(
        cores=cores,
        processes=get_option("processes", cores),
        memory=get_option("memory", f"{4 * int(str(cores))}GB"),
        security=_security(),
        protocol="tls://",
        shared_temp_directory=get_option("shared-temp-directory", str(Path.home())),
        scheduler_options={"dashboard_address": f"{_LOOPBACK}:0"},
    )


def _wait_for_worker(
    client: "Client", timeout_s: float | None, cluster: str, notify: Callable[[str], None]
) -> None:
    """Wait for the first worker."""
    if client.scheduler_info()["workers"]:
        return
    notify(f"waiting for a worker of {cluster}")
    try:
        client.wait_for_workers(1, timeout=timeout_s)
    except TimeoutError as error:
        raise ClusterError(f"{cluster}: has no worker; start one with `dask worker`") from error


def _security() -> Any:  # noqa: ANN401  # distributed's own class, which is imported late
    _import_package("cryptography")
    return _import_package("distributed").Security.temporary()


def _import_package(name: str) -> ModuleType:
    """Import a package of the extra `cluster`.

    Raises:
        ClusterError: The package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ClusterError(
            f"--cluster needs the package {name.replace('_', '-')}; install it with "
            "pip install 'cryopick[cluster]'"
        ) from error
