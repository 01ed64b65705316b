"""Carry out a plan on one data set: each run once, several at a time, kept as it ends.

The folder of a study holds `data.txt`, which names the data, `prepared`, which may be removed
at any time, and `runs` with one record for each run.

- `Study`: the data set and its folder.
"""

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cryopick.errors import CryopickError, SettingsError
from cryopick.experiments.plan import Trial
from cryopick.experiments.results import (
    Record,
    is_of,
    key_of,
    read_record,
    save_record,
    start_digest,
)
from cryopick.model.device import choose_device
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.runs.atomic_write import atomic_write
from cryopick.train.initialization import load_initialization
from cryopick.train.labels import LabelledMicrographs
from cryopick.train.loop import train
from cryopick.train.settings import TrainSettings
from cryopick.train.training_run import PreparedDatasets, TrainingRun
from cryopick.train.validation import HeldOutValidator

__all__ = ["Study"]

OnMicrograph = Callable[[Path, CryopickError | None], None]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A data set of which all particles are known, parted by micrograph.

    Attributes:
        folder: Where results are kept.
        training: Micrographs to learn from, with all their particles.
        held_out: Micrographs to judge by, likewise.
    """

    folder: Path
    training: LabelledMicrographs
    held_out: LabelledMicrographs

    def open(self) -> None:
        """Make the folder ready.

        Raises:
            SettingsError: It holds runs on other data.
        """
        lines = [*self.training.identity_lines(), "held out", *self.held_out.identity_lines()]
        text = "\n".join(
            [
                f"# {hashlib.sha256(json.dumps(lines).encode()).hexdigest()}",
                *(f"training\t{path}" for path in self.training.paths),
                *(f"held out\t{path}" for path in self.held_out.paths),
                "",
            ]
        )
        mark = self.folder / "data.txt"
        if mark.exists():
            if mark.read_text(encoding="utf-8") != text:
                raise SettingsError(
                    f"{self.folder}: holds runs on other micrographs or particles; name another "
                    "folder for these"
                )
            return
        with atomic_write(mark) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def missing(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those of the runs that are not done yet."""
        return [trial for trial in trials if not self._is_done(trial)]

    def run(
        self, trials: Sequence[Trial], *, jobs: int, on_micrograph: OnMicrograph
    ) -> Iterator[tuple[Trial, Record | CryopickError]]:
        """Carry out runs, and yield each as it ends, with its record or why there is none.

        Args:
            trials: What to run.
            jobs: Processes, of one thread each; 1 computes in this process.
            on_micrograph: Called for each micrograph of each preparation, with the error if
                it is left out.

        Raises:
            InputError: No micrograph can be used.
        """
        prepared = {key: run.prepare(on_micrograph) for key, run in self._preparations(trials)}
        work = [
            (trial, prepared[_preparation_key(trial.settings)], self._record(trial))
            for trial in trials
        ]
        if jobs == 1:
            for trial, data, path in work:
                yield trial, _attempt(trial, data, path)
            return
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread)
        try:
            begun: dict[Future[Record | CryopickError], Trial] = {
                pool.submit(_attempt, *own): own[0] for own in work
            }
            for future in as_completed(begun):
                yield begun[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _preparations(self, trials: Sequence[Trial]) -> Iterator[tuple[str, TrainingRun]]:
        """Each way that the micrographs must be prepared, once."""
        for key, settings in {_preparation_key(t.settings): t.settings for t in trials}.items():
            model = self.folder / "prepared" / f"{key}.safetensors"  # none is written
            yield (
                key,
                TrainingRun(
                    model=model,
                    settings=settings,
                    training=self.training,
                    held_out=self.held_out,
                ),
            )

    def _is_done(self, trial: Trial) -> bool:
        path = self._record(trial)
        return path.exists() and is_of(read_record(path), trial)

    def _record(self, trial: Trial) -> Path:
        return self.folder / "runs" / f"{key_of(trial)}.json"


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _preparation_key(settings: TrainSettings) -> str:
    """A name that differs where micrographs must be prepared in another way."""
    return f"{settings.normalization}-{settings.working_size_ang:.6g}"


def _attempt(trial: Trial, data: PreparedDatasets, path: Path) -> Record | CryopickError:
    """Do a run and keep its record; a mistake in its settings is for the caller to tell."""
    try:
        record = _carried_out(trial, data)
    except CryopickError as error:
        return error
    save_record(record, path)
    return record


def _carried_out(trial: Trial, data: PreparedDatasets) -> Record:
    """Draw labels, learn from them, judge."""
    assert data.held_out is not None
    started, settings = time.monotonic(), trial.settings
    store = _with_labels(data.training.store, trial)
    settings = replace(settings, checkpoint_every=settings.steps)
    start = load_initialization(settings, store)
    with TemporaryDirectory(prefix="cryopick-") as scratch:
        outcome = train(
            store,
            settings,
            Path(scratch) / "checkpoint.safetensors",
            device=choose_device("cpu"),
            start=start.scorer,
            partner=start.partner,
        )
    judge = HeldOutValidator(
        data.held_out.store,
        settings.diameter_ang / settings.working_size_ang,
        settings.sampling.label_radius_px,
        start.partner,
    )
    regions, particles = judge(outcome.best)
    return Record(
        labels=trial.labels,
        repeat=trial.repeat,
        label_seed=trial.label_seed,
        label_digest=store.fingerprint,
        prior_factor=trial.prior_factor,
        prior=outcome.prior,
        settings=asdict(trial.settings),
        start=start_digest(settings.init),
        region_average_precision=regions,
        particle_average_precision=particles,
        seconds=time.monotonic() - started,
        version=version("cryopick"),
    )


def _with_labels(full: PreparedStore, trial: Trial) -> PreparedStore:
    """The store with some of its particles labelled, drawn from all without regard to where.

    Raises:
        SettingsError: There are not enough.
    """
    if trial.labels > full.label_count:
        raise SettingsError(
            f"{trial.labels} labels are asked for, but the training micrographs hold "
            f"{full.label_count} particles; ask for fewer"
        )
    draws = np.random.default_rng([trial.label_seed, trial.labels, trial.repeat])
    chosen = np.zeros(full.label_count, bool)
    chosen[draws.choice(full.label_count, trial.labels, replace=False)] = True
    ends = np.cumsum([len(own) for own in full.labels_px])[:-1]
    labels = zip(full.labels_px, np.split(chosen, ends), strict=True)
    return replace(full, labels_px=tuple(own[kept] for own, kept in labels))
