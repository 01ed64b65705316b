"""Score labels by networks that were not trained on them.

A network scores the labels that it was trained on too high. For each fold of the labels, a network
is fine-tuned on the others and scores those of the fold. Left-out labels count as unlabelled
there, which the objective of fine-tuning allows.

- `cross_fit_scores`: logits of all labels, each by the network that has not seen it.
- `score_positions`: highest logits near positions.

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
from cryopick.inference.engine import optimize_ensemble, resolve_precision
from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import Scorer, extract_network
from cryopick.pick.elongated import filter_if_elongated
from cryopick.pick.picker import default_step_px
from cryopick.preprocess.prepared_store import PreparedStore, load_micrograph
from cryopick.runs.parallel import available_cores
from cryopick.train.ensemble_training import train_ensemble
from cryopick.train.initialization import load_initialization
from cryopick.train.settings import TrainSettings

__all__ = ["cross_fit_scores", "score_positions"]

_MAX_STEPS = 60

Result = TypeVar("Result")


def cross_fit_scores(
    store: PreparedStore, settings: TrainSettings, device: torch.device, *, folds: int = 3
) -> list[Float[np.ndarray, " labels"]]:
    """Score each label by a network that was fine-tuned without it.

    Args:
        store: Prepared micrographs with at least two labels.
        settings: Settings of the training, with the number of particles. Each fold is trained as
            long, but without a warm-up for at most 60 steps, to bound the time with many labels.
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
    diameter_px = settings.diameter_ang / settings.working_size_ang
    steps = settings.steps if settings.warm_up_steps else min(settings.steps, _MAX_STEPS)

    def score_fold(
        fold: int, on_progress: Callable[[int], None]
    ) -> list[Float[np.ndarray, " labels"]]:
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
        return score_positions(
            result.best.to(device),
            store,
            _select(store, is_left_out).labels_px,
            within_px=diameter_px / 3,
            partner=result.partner,
            sides_px=settings.sides_px,
        )

    # Only the decoder draws random numbers of torch, whose generator threads share.
    is_parallel = device.type == "cpu" and not settings.gamma(store.label_count)
    logits = [np.zeros(len(xy_px)) for xy_px in store.labels_px]
    scores_by_fold = _run_folds(score_fold, folds, available_cores() if is_parallel else 1)
    for fold, scores in enumerate(scores_by_fold):
        for values, numbers, of_fold in zip(logits, fold_by_micrograph, scores, strict=True):
            values[numbers == fold] = of_fold
    return logits


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


def score_positions(
    scorer: Scorer,
    store: PreparedStore,
    positions_px: Sequence[Float[np.ndarray, "_ 2"]],
    *,
    within_px: float,
    partner: EnsemblePartner | None = None,
    sides_px: tuple[float, float] | None = None,
) -> list[Float[np.ndarray, " positions"]]:
    """Return the highest logit near each position (x, y) of each micrograph of a store.

    Args:
        scorer: The network, on the device to use.
        store: Prepared micrographs.
        positions_px: Positions on each of them, in working pixels.
        within_px: Distance from a position within which the highest score is taken.
        partner: Ensemble partner of the network, if any.
        sides_px: Length and width of particles that are elongated.
    """
    device = next(scorer.parameters()).device
    network = extract_network(scorer)
    step_px = default_step_px(network.stride_px)
    number_format = resolve_precision("auto", device)  # as in picking
    ensemble = optimize_ensemble(network, partner, number_format, device, step_px=step_px)
    reach = int(within_px / step_px)
    offset = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    offset = offset[:, np.hypot(*offset) * step_px <= within_px]
    scores = []
    for number, xy_px in enumerate(positions_px):
        if not len(xy_px):
            scores.append(np.zeros(0))
            continue
        image = load_micrograph(store.folder, number).image
        scores_of_all = compute_ensemble_score_map(ensemble, image)
        logits = filter_if_elongated(scores_of_all, sides_px).logits
        centre = np.rint(xy_px[:, ::-1].T / step_px).astype(int)
        row, column = (
            np.clip(axis[:, None] + shift, 0, length - 1)
            for axis, shift, length in zip(centre, offset, logits.shape, strict=True)
        )
        scores.append(logits[row, column].max(axis=1).astype(np.float64))
    return scores


def _select(store: PreparedStore, chosen: Sequence[np.ndarray]) -> PreparedStore:
    """Return the store with only some of its labels."""
    labels = zip(store.labels_px, chosen, strict=True)
    return replace(store, labels_px=tuple(xy_px[mask] for xy_px, mask in labels))
