"""One batch spread over many workers.

Workers leave what they find in the same part files as one process does, and the process that
asked puts the parts together as it does its own. So the result does not depend on how many
workers there were, in which order they worked or which of them died, and the same command goes
on after any of it. Workers must see the files of the batch under the same paths.

- `Job`: what all of them do.
- `spread`: have it done.
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
from cryopick.runs.ledger import Ledger

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Job", "spread"]

_GROUP = 8  # micrographs: while one is scored, the next ones are read
_TASKS = 32  # at least, if there are as many micrographs, so that workers end together
_TRIES = 3  # of a micrograph that cannot be used, each perhaps by another worker
_RETRIES = 2  # of a group, after whatever else went wrong


@dataclass(frozen=True)
class Job:
    """What workers do with each micrograph.

    Attributes:
        model: The model file.
        model_file: Its name and digest, as the process that asks has read it.
        settings: How to pick.
        device: What to compute on, by name.
        parts: Where results go.
    """

    model: Path
    model_file: str
    settings: PickSettings
    device: str
    parts: Ledger

    @classmethod
    def of(cls, work: PickBatch, model: Path, device: str, parts: Ledger) -> "Job":
        """What this process would do, in the same number format."""
        number: Any = work.number_format
        settings = replace(work.picker.settings, precision=number)
        shared = Ledger(output=parts.output.absolute(), work=parts.work)
        return cls(model.absolute(), work.model_file, settings, device, shared)


def spread(
    client: "Client",
    job: Job,
    outputs: Mapping[Path, Path | None],
    ignore: Regions,
    on_done: Callable[[int], None],
) -> dict[Path, str]:
    """Have workers do a job on micrographs, until each is done or set aside.

    A micrograph that cannot be used is tried again, in case it was the worker that could not.
    Those of a group on which workers died are tried again one after the other when all else is
    done, so that the one that kills is told from the others.

    Args:
        client: Of the workers.
        job: What to do.
        outputs: For each micrograph, the score map to write; None finds its picks.
        ignore: Regions to ignore, on micrographs named by these paths.
        on_done: Takes how many more are done or set aside.

    Returns:
        Why each micrograph that was set aside could not be used.

    Raises:
        ClusterError: The workers were lost.
        CryopickError: They can do nothing at all, as when they do not see the model.
    """
    spreading = _Spreading(client, job, outputs, ignore, on_done)
    spreading.together()
    spreading.one_by_one()
    return spreading.aside


@dataclass(frozen=True)
class _Group:
    """Micrographs that one worker takes at a time, by absolute paths.

    Attributes:
        outputs: For each micrograph, the score map to write; None finds its picks.
        ignore: Regions to ignore on them.
    """

    outputs: Mapping[Path, Path | None]
    ignore: Regions


class _Spreading:
    """Groups under way."""

    def __init__(
        self,
        client: "Client",
        job: Job,
        outputs: Mapping[Path, Path | None],
        ignore: Regions,
        on_done: Callable[[int], None],
    ) -> None:
        self._client, self._job, self._on_done = client, job, on_done
        self._outputs, self._ignore = outputs, ignore
        self._groups: dict[Any, Sequence[Path]] = {}  # by keys of dask's
        self._tries: Counter[Path] = Counter()
        self._killers: list[Path] = []
        self.aside: dict[Path, str] = {}

    def together(self) -> None:
        """All micrographs, many at a time."""
        from distributed import as_completed

        paths = list(self._outputs)
        size = max(1, min(_GROUP, len(paths) // _TASKS))
        groups = [paths[first : first + size] for first in range(0, len(paths), size)]
        under_way: Any = as_completed(self._submit(groups))  # type: ignore[no-untyped-call]
        for future in under_way:
            group = self._groups.pop(future.key)
            failed = self._outcome(future)
            if failed is None:
                self._killers += group
                continue
            again = self._settle(group, failed)
            under_way.update(self._submit([[path] for path in again]))

    def one_by_one(self) -> None:
        """Those that may have killed workers, with nothing else beside them."""
        for path in self._killers:
            again = [path]
            while again:
                (future,) = self._submit([again])
                failed = self._outcome(future)
                if failed is None:
                    self.aside[path] = "every worker that worked on it died; is there memory?"
                    self._on_done(1)
                    break
                again = self._settle(again, failed)

    def _submit(self, groups: Iterable[Sequence[Path]]) -> "list[Future[Any]]":
        """Hand groups to the workers."""
        told = [self._told(paths) for paths in groups]
        futures = self._client.map(_do, told, job=self._job, pure=False, retries=_RETRIES)
        self._groups |= {f.key: tuple(g) for f, g in zip(futures, groups, strict=True)}
        return futures

    def _told(self, paths: Sequence[Path]) -> _Group:
        """Absolute paths, as workers may have been started anywhere."""
        outputs = {p: self._outputs[p] for p in paths}
        polygons = self._ignore.polygons
        return _Group(
            {path.absolute(): out and out.absolute() for path, out in outputs.items()},
            Regions({str(p.absolute()): polygons[str(p)] for p in paths if str(p) in polygons}),
        )

    def _outcome(self, future: "Future[Any]") -> list[str | None] | None:
        """Why each micrograph of a group could not be used, if so; None if workers died."""
        from distributed import KilledWorker

        try:
            failed: list[str | None] = future.result()
        except (KilledWorker, MemoryError):
            return None
        except CancelledError as error:
            raise ClusterError(
                "the connection to dask's scheduler was lost; give the same command again, and it "
                "goes on where it stopped"
            ) from error
        return failed

    def _settle(self, group: Sequence[Path], failed: Sequence[str | None]) -> list[Path]:
        """Set aside what failed too often; return what is to be tried again."""
        again = []
        for path, why in zip(group, failed, strict=True):
            if why is None:
                continue
            self._tries[path] += 1
            if self._tries[path] < _TRIES:
                again.append(path)
            else:
                self.aside[path] = why
        self._on_done(len(group) - len(again))
        return again


def _do(group: _Group, *, job: Job) -> list[str | None]:
    """What a worker does with a group; why each micrograph could not be used, if so."""
    if not job.parts.folder.is_dir():
        raise InputError(
            f"{job.parts.folder}: the worker on {socket.gethostname()} does not see this folder; "
            "micrographs, model and output must be where all workers see them"
        )
    ready = _ready(job.model, job.model_file, job.settings, job.device)
    picker = replace(ready.picker, order=tuple(group.outputs), ignore=group.ignore)
    work = replace(ready, picker=picker)
    failed: list[str | None] = []
    for path, out in group.outputs.items():
        try:
            if out is None:
                work.pick(path, job.parts)
            else:
                work.write_scores(path, out, job.parts)
        except CryopickError as error:
            failed.append(str(error).removeprefix(f"{path}: "))
        else:
            failed.append(None)
    return failed


@lru_cache(maxsize=1)
def _ready(model: Path, model_file: str, settings: PickSettings, device: str) -> PickBatch:
    """The model, loaded once by each worker.

    Raises:
        InputError: It is another one than the process that asks has read.
    """
    from cryopick.model.device import require_device, assign_gpu

    ready = PickBatch.open(model, settings, assign_gpu(require_device(device), _number()))
    if ready.model_file != model_file:
        raise InputError(f"{model}: it has changed since the command began; give it again")
    return ready


def _number() -> int:
    """The number of this worker among those of one machine; 0 where they have other names."""
    from distributed import get_worker

    name = str(get_worker().name)
    return int(name) if name.isdecimal() else 0
