"""Run the trials of a benchmark on one data set, several in parallel.

The folder of a benchmark contains `data.txt`, which identifies the data; `prepared`, a cache that
may be removed at any time; and `runs`, with one record per finished trial.

- `Benchmark`: the data set and its folder.
"""

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cryopick.errors import CryopickError, SettingsError
from cryopick.experiments.plan import Trial
from cryopick.experiments.results import (
    TrialRecord,
    digest_initial_model,
    matches_trial,
    read_record,
    record_name,
    save_record,
)
from cryopick.model.torch_device import require_torch_device
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.runs.atomic_write import atomic_write
from cryopick.train.ensemble_training import train_ensemble
from cryopick.train.initialization import load_initialization
from cryopick.train.labels import LabelledMicrographs
from cryopick.train.settings import TrainSettings
from cryopick.train.training_run import PreparedDatasets, TrainingRun
from cryopick.train.validation import HeldOutValidator

__all__ = ["Benchmark"]

OnMicrograph = Callable[[Path, CryopickError | None], None]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A data set with all true particles, split into training and held-out micrographs.

    Attributes:
        folder: Folder of the results.
        training: Training micrographs with all their particles.
        held_out: Held-out micrographs with all their particles.
    """

    folder: Path
    training: LabelledMicrographs
    held_out: LabelledMicrographs

    def open(self) -> None:
        """Create the folder, or check that it belongs to this data set.

        Raises:
            SettingsError: The folder contains trials on other data.
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
        data_file = self.folder / "data.txt"
        if data_file.exists():
            if data_file.read_text(encoding="utf-8") != text:
                raise SettingsError(
                    f"{self.folder}: contains trials on other micrographs or particles; choose "
                    "another folder"
                )
            return
        with atomic_write(data_file) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def list_missing(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that are not finished yet."""
        return [trial for trial in trials if not self._is_finished(trial)]

    def run(
        self, trials: Sequence[Trial], *, jobs: int, on_micrograph: OnMicrograph
    ) -> Iterator[tuple[Trial, TrialRecord | CryopickError]]:
        """Run trials, and yield each with its record or its error as soon as it ends.

        Args:
            trials: Trials to run.
            jobs: Number of processes with one thread each; 1 runs in this process.
            on_micrograph: Called for each micrograph of each preparation, with the error if the
                micrograph is skipped.

        Raises:
            InputError: No micrograph can be read.
        """
        prepared = {key: run.prepare(on_micrograph) for key, run in self._preparations(trials)}
        tasks = [
            (trial, prepared[_preparation_key(trial.settings)], self._record_path(trial))
            for trial in trials
        ]
        if jobs == 1:
            for trial, data, path in tasks:
                yield trial, _run_and_save(trial, data, path)
            return
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_use_one_thread)
        try:
            trial_by_future: dict[Future[TrialRecord | CryopickError], Trial] = {
                pool.submit(_run_and_save, *task): task[0] for task in tasks
            }
            for future in as_completed(trial_by_future):
                yield trial_by_future[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _preparations(self, trials: Sequence[Trial]) -> Iterator[tuple[str, TrainingRun]]:
        """Yield one training run for each way in which the micrographs must be prepared."""
        settings_by_key = {_preparation_key(trial.settings): trial.settings for trial in trials}
        for key, settings in settings_by_key.items():
            model = self.folder / "prepared" / f"{key}.safetensors"  # is not written
            yield (
                key,
                TrainingRun(
                    model=model,
                    settings=settings,
                    training=self.training,
                    held_out=self.held_out,
                ),
            )

    def _is_finished(self, trial: Trial) -> bool:
        path = self._record_path(trial)
        return path.exists() and matches_trial(read_record(path), trial)

    def _record_path(self, trial: Trial) -> Path:
        return self.folder / "runs" / f"{record_name(trial)}.json"


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _preparation_key(settings: TrainSettings) -> str:
    """Return a name of the preprocessing that the settings require."""
    return f"{settings.normalization}-{settings.working_size_ang:.6g}"


def _run_and_save(trial: Trial, data: PreparedDatasets, path: Path) -> TrialRecord | CryopickError:
    """Run a trial and save its record; return an error for the caller to report."""
    try:
        record = _run_trial(trial, data)
    except CryopickError as error:
        return error
    save_record(record, path)
    return record


def _run_trial(trial: Trial, data: PreparedDatasets) -> TrialRecord:
    """Draw labels, train on them, and evaluate on the held-out micrographs."""
    assert data.held_out is not None
    started, settings = time.monotonic(), trial.settings
    store = _draw_labels(data.training.store, trial)
    settings = replace(settings, checkpoint_every=trial.evaluate_every or settings.steps)
    initialization = load_initialization(settings, store)
    make_validator = partial(HeldOutValidator.for_training, settings, data.held_out.store)
    with TemporaryDirectory(prefix="cryopick-") as temporary:
        outcome = train_ensemble(
            initialization,
            Path(temporary) / "checkpoint.safetensors",
            device=require_torch_device("cpu"),
            make_validator=make_validator if trial.evaluate_every else None,
        )
    # The last network counts, not the best one on the micrographs that measure it.
    curve = [
        (row.step, row.region_average_precision or 0.0, row.particle_average_precision or 0.0)
        for row in outcome.curves.rows
        if trial.evaluate_every
    ]
    region_precision, particle_precision = (
        curve[-1][1:] if curve else make_validator(outcome.partner)(outcome.best)
    )
    return TrialRecord(
        labels=trial.labels,
        repeat=trial.repeat,
        label_seed=trial.label_seed,
        label_digest=store.fingerprint,
        prior_factor=trial.prior_factor,
        prior=outcome.prior,
        settings=asdict(trial.settings),
        start=digest_initial_model(settings.init),
        region_average_precision=region_precision,
        particle_average_precision=particle_precision,
        seconds=time.monotonic() - started,
        version=version("cryopick"),
        curve=curve,
    )


def _draw_labels(store: PreparedStore, trial: Trial) -> PreparedStore:
    """Return the store with a random sample of its labels.

    Raises:
        SettingsError: The store has fewer labels than the trial needs.
    """
    if trial.labels > store.label_count:
        raise SettingsError(
            f"{trial.labels} labels are requested, but the training micrographs contain only "
            f"{store.label_count} particles; reduce --labels"
        )
    generator = np.random.default_rng([trial.label_seed, trial.labels, trial.repeat])
    is_drawn = np.zeros(store.label_count, bool)
    is_drawn[generator.choice(store.label_count, trial.labels, replace=False)] = True
    ends = np.cumsum([len(labels) for labels in store.labels_px])[:-1]
    masks = np.split(is_drawn, ends)
    labels_px = zip(store.labels_px, masks, strict=True)
    return replace(store, labels_px=tuple(labels[mask] for labels, mask in labels_px))
