"""Score labels by networks that were not trained on them.

A network scores the labels that it was trained on too high. For each fold of the labels, a network
is fine-tuned on the others and scores those of the fold. Left-out labels count as unlabelled
there, which the objective of fine-tuning allows. As the networks of the folds learn from fewer
labels, they score all particles lower than the final one: a label gets the score of the final
network at the unlabelled peaks of the same rank.

- `cross_fit_scores`: logits of all labels, each by a network that has not seen it.

Source: cross-fitting, as in Chernozhukov et al. 2018, "Double/debiased machine learning".
"""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TypeVar

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.runs.parallel import available_cores
from cryopick.train.ensemble_training import train_ensemble
from cryopick.train.initialization import load_initialization
from cryopick.train.loop import TrainingResult
from cryopick.train.settings import TrainSettings
from cryopick.train.store_scores import StoreScores, score_store, translate_scores

__all__ = ["cross_fit_scores"]

_MAX_STEPS = 60

Result = TypeVar("Result")


def cross_fit_scores(
    store: PreparedStore,
    settings: TrainSettings,
    final: TrainingResult,
    device: torch.device,
    *,
    folds: int = 3,
) -> list[Float[np.ndarray, " labels"]]:
    """Score each label by a network that was fine-tuned without it.

    Args:
        store: Prepared micrographs with at least two labels.
        settings: Settings of the training, with the number of particles. Each fold is trained as
            long, but without a warm-up for at most 60 steps, to bound the time with many labels.
        final: Result of the training on all labels, on whose scale the scores are.
        device: Device to compute on.
        folds: Number of folds, at most the number of labels.

    Returns:
        Logits of the labels of each micrograph: of the highest score within a third of the
        diameter.

    Raises:
        ValueError: There are fewer than two labels.
        SettingsError: The prior and the labels contradict each other.
    """
    if store.label_count < 2:
        raise ValueError(f"cross-fitting needs at least two labels; got {store.label_count}")
    folds = min(folds, store.label_count)
    fold_of = np.random.default_rng(settings.seed).permutation(store.label_count) % folds
    stops = np.cumsum([len(xy_px) for xy_px in store.labels_px])[:-1]
    fold_by_micrograph = np.split(fold_of, stops)
    steps = settings.steps if settings.warm_up_steps else min(settings.steps, _MAX_STEPS)

    def score_fold(fold: int, on_progress: Callable[[int], None]) -> StoreScores:
        is_left_out = [numbers == fold for numbers in fold_by_micrograph]
        others = _select(store, [~left_out for left_out in is_left_out])
        start = load_initialization(settings, others)
        with tempfile.TemporaryDirectory() as folder:
            result = train_ensemble(
                start.change_settings(steps=steps, checkpoint_every=steps),
                Path(folder) / "checkpoint.safetensors",
                device=device,
                on_progress=on_progress,
            )
        return _score(result, store, _select(store, is_left_out).labels_px, settings, device)

    # Only the decoder draws random numbers of torch, whose generator threads share.
    is_parallel = device.type == "cpu" and not settings.gamma(store.label_count)
    logits = [np.zeros(len(xy_px)) for xy_px in store.labels_px]
    scores_by_fold = _run_folds(score_fold, folds, available_cores() if is_parallel else 1)
    final_peaks = _score(final, store, store.labels_px, settings, device).peaks
    for fold, scores in enumerate(scores_by_fold):
        is_scored = [len(values) > 0 for values in scores.positions]
        peaks, others = (
            np.concatenate([values for values, used in zip(some, is_scored, strict=True) if used])
            for some in (scores.peaks, final_peaks)
        )
        for values, numbers, of_fold in zip(
            logits, fold_by_micrograph, scores.positions, strict=True
        ):
            values[numbers == fold] = translate_scores(of_fold, peaks, others)
    return logits


def _score(
    trained: TrainingResult,
    store: PreparedStore,
    positions_px: Sequence[Float[np.ndarray, "_ 2"]],
    settings: TrainSettings,
    device: torch.device,
) -> StoreScores:
    return score_store(trained.best.to(device), store, positions_px, settings, trained.partner)


def _run_folds(
    work: Callable[[int, Callable[[int], None]], Result], folds: int, cores: int
) -> list[Result]:
    """Run the work of all folds, as many at once as there are cores; these share the cores.

    Two trainings of one thread each use two cores better than one training of two threads.

    Args:
        work: Called with the number of a fold, and what to call after each step of training.
        folds: Number of folds.
        cores: Number of cores.
    """
    is_stopped = Event()

    def stop_if_failed(_: int) -> None:
        if is_stopped.is_set():
            raise KeyboardInterrupt

    def run(fold: int, threads: int) -> Result:
        torch.set_num_threads(threads)  # of this thread
        return work(fold, stop_if_failed)

    results: list[Result] = []
    threads_before = torch.get_num_threads()
    for first in range(0, folds, cores):
        group = range(first, min(first + cores, folds))
        if len(group) == 1:
            results.append(work(first, stop_if_failed))
            continue
        with ThreadPoolExecutor(len(group)) as pool:
            try:
                results += pool.map(partial(run, threads=cores // len(group)), group)
            except BaseException:
                is_stopped.set()  # the pool waits for its threads
                raise
            finally:
                torch.set_num_threads(threads_before)
    return results


def _select(store: PreparedStore, chosen: Sequence[np.ndarray]) -> PreparedStore:
    """Return the store with only some of its labels."""
    labels = zip(store.labels_px, chosen, strict=True)
    return replace(store, labels_px=tuple(xy_px[mask] for xy_px, mask in labels))
