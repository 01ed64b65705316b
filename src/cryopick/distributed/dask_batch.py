"""Distribution of a batch over the workers of a dask cluster.

Workers write their results to the ledger of the batch, as a single process does, and the client
process collects them from there. The result therefore does not depend on the number of workers,
their order or failures, and the same command resumes an interrupted batch. Workers must see the
files of the batch under the same paths.

- `WorkerJob`: the model, settings and output of the batch.
- `run_on_workers`: processes the micrographs of a batch.
"""

import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryopick.errors import ClusterError, CryopickError, InputError
from cryopick.pick.batch import PickBatch
from cryopick.pick.settings import PickSettings
from cryopick.regions import Regions
from cryopick.runs.file_errors import translate_file_errors
from cryopick.runs.ledger import Ledger

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["WorkerJob", "run_on_workers"]

_GROUP_SIZE = 8  # micrographs; a worker reads the next ones while it scores one
_MIN_TASKS = 32  # so that workers finish at about the same time
_MAX_ATTEMPTS = 3  # per failing micrograph, possibly on different workers
_RETRIES = 2  # of a group after an unexpected error


@dataclass(frozen=True)
class WorkerJob:
    """Task of the workers for each micrograph.

    Attributes:
        model: Path of the model file.
        model_file: Name and digest of the model that the client process has read.
        settings: Pick settings.
        device: Name of the device.
        ledger: Ledger that receives the results.
    """

    model: Path
    model_file: str
    settings: PickSettings
    device: str
    ledger: Ledger

    @classmethod
    def from_batch(cls, batch: PickBatch, model: Path, device: str, ledger: Ledger) -> "WorkerJob":
        """Create the job that gives the same results as a batch of this process."""
        precision: Any = batch.number_format
        settings = replace(batch.picker.settings, precision=precision)
        shared_ledger = Ledger(output=ledger.output.absolute(), work=ledger.work)
        return cls(model.absolute(), batch.model_file, settings, device, shared_ledger)


def run_on_workers(
    client: "Client",
    job: WorkerJob,
    outputs: Mapping[Path, Path | None],
    ignore: Regions,
    on_done: Callable[[int], None],
) -> dict[Path, str]:
    """Process micrographs on workers until each has succeeded or failed.

    A failing micrograph is retried, possibly on another worker. If workers die on a group, its
    micrographs are retried one by one at the end, to find the one that causes it.

    Args:
        client: Client of the cluster.
        job: Task of the workers.
        outputs: Score map to write for each micrograph; None to write its picks.
        ignore: Exclusion regions, by the paths of the micrographs.
        on_done: Receives the number of micrographs that have succeeded or failed since the last
            call.

    Returns:
        The error message of each failed micrograph.

    Raises:
        ClusterError: The connection to the cluster was lost.
        CryopickError: The workers cannot process any micrograph, for example because they do not
            see the model.
    """
    batch = _DistributedBatch(client, job, outputs, ignore, on_done)
    batch.run_groups()
    batch.run_suspects()
    return batch.failures


@dataclass(frozen=True)
class _Group:
    """Micrographs of one dask task, by absolute paths.

    Attributes:
        outputs: Score map to write for each micrograph; None to write its picks.
        ignore: Exclusion regions.
    """

    outputs: Mapping[Path, Path | None]
    ignore: Regions


class _DistributedBatch:
    """A batch and the state of its groups."""

    def __init__(
        self,
        client: "Client",
        job: WorkerJob,
        outputs: Mapping[Path, Path | None],
        ignore: Regions,
        on_done: Callable[[int], None],
    ) -> None:
        self._client, self._job, self._on_done = client, job, on_done
        self._outputs, self._ignore = outputs, ignore
        self._groups: dict[Any, Sequence[Path]] = {}  # by the keys of their futures
        self._attempts: Counter[Path] = Counter()
        self._suspects: list[Path] = []  # micrographs of groups on which workers died
        self.failures: dict[Path, str] = {}

    def run_groups(self) -> None:
        """Process all micrographs in groups, and collect suspects."""
        from distributed import as_completed

        paths = list(self._outputs)
        size = max(1, min(_GROUP_SIZE, len(paths) // _MIN_TASKS))
        groups = [paths[first : first + size] for first in range(0, len(paths), size)]
        futures: Any = as_completed(self._submit(groups))  # type: ignore[no-untyped-call]
        for future in futures:
            group = self._groups.pop(future.key)
            errors = self._get_errors(future)
            if errors is None:
                self._suspects += group
                continue
            retries = self._record_results(group, errors)
            futures.update(self._submit([[path] for path in retries]))

    def run_suspects(self) -> None:
        """Process each suspect alone, so that only the micrograph that kills workers fails."""
        for path in self._suspects:
            retries = [path]
            while retries:
                (future,) = self._submit([retries])
                errors = self._get_errors(future)
                if errors is None:
                    self.failures[path] = "all workers died on it; check their memory limit"
                    self._on_done(1)
                    break
                retries = self._record_results(retries, errors)

    def _submit(self, groups: Iterable[Sequence[Path]]) -> "list[Future[Any]]":
        """Submit groups to the cluster."""
        tasks = [self._create_group(paths) for paths in groups]
        futures = self._client.map(
            _process_group, tasks, job=self._job, pure=False, retries=_RETRIES
        )
        self._groups |= {f.key: tuple(g) for f, g in zip(futures, groups, strict=True)}
        return futures

    def _create_group(self, paths: Sequence[Path]) -> _Group:
        """Create a group with absolute paths: workers may run in any folder."""
        outputs = {p: self._outputs[p] for p in paths}
        polygons = self._ignore.polygons
        return _Group(
            {path.absolute(): out and out.absolute() for path, out in outputs.items()},
            Regions({str(p.absolute()): polygons[str(p)] for p in paths if str(p) in polygons}),
        )

    def _get_errors(self, future: "Future[Any]") -> list[str | None] | None:
        """Return the error message, if any, of each micrograph; None if workers died."""
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            errors: list[str | None] = future.result()
        except (KilledWorker, MemoryError):
            return None
        except (CancelledError, CommClosedError) as error:
            raise ClusterError(
                "the connection to the dask scheduler was lost; run the same command again to "
                "resume"
            ) from error
        return errors

    def _record_results(self, group: Sequence[Path], errors: Sequence[str | None]) -> list[Path]:
        """Record finished and finally failed micrographs; return those to retry."""
        retries = []
        for path, message in zip(group, errors, strict=True):
            if message is None:
                continue
            self._attempts[path] += 1
            if self._attempts[path] < _MAX_ATTEMPTS:
                retries.append(path)
            else:
                self.failures[path] = message
        self._on_done(len(group) - len(retries))
        return retries


def _process_group(group: _Group, *, job: WorkerJob) -> list[str | None]:
    """Process a group on a worker; return the error message, if any, of each micrograph."""
    if not job.ledger.folder.is_dir():
        raise InputError(
            f"{job.ledger.folder}: the worker on {socket.gethostname()} does not see this folder; "
            "put micrographs, model and output on a file system that all workers share"
        )
    shared_batch = _open_batch(job.model, job.model_file, job.settings, job.device)
    picker = replace(shared_batch.picker, order=tuple(group.outputs), ignore=group.ignore)
    batch = replace(shared_batch, picker=picker)
    errors: list[str | None] = []
    for path, out in group.outputs.items():
        try:
            with translate_file_errors(path):
                if out is None:
                    batch.pick(path, job.ledger)
                else:
                    batch.write_scores(path, out, job.ledger)
        except CryopickError as error:
            errors.append(str(error).removeprefix(f"{path}: "))
        else:
            errors.append(None)
    return errors


@lru_cache(maxsize=1)
def _open_batch(model: Path, model_file: str, settings: PickSettings, device: str) -> PickBatch:
    """Load the model, once per worker.

    Raises:
        InputError: The model has changed since the client process read it.
    """
    from cryopick.model.device import assign_gpu, require_device

    batch = PickBatch.open(model, settings, assign_gpu(require_device(device), _worker_number()))
    if batch.model_file != model_file:
        raise InputError(f"{model}: changed since the command began; run the command again")
    return batch


def _worker_number() -> int:
    """Return the number of this worker on its machine; 0 if its name is not a number."""
    from distributed import get_worker

    name = str(get_worker().name)
    return int(name) if name.isdecimal() else 0
