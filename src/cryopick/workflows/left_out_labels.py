"""Check a trained model by labels that it did not learn from.

- `score_left_out_labels`: scores of all labels by models that were trained without them.
- `compare_with_general_model`: the trained model, or the general one if that is better.
"""

from collections.abc import Sequence

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.model.label_scores import add_label_scores
from cryopick.model.model_file import Model
from cryopick.picks import Picks
from cryopick.train.cross_fit import cross_fit_scores
from cryopick.train.loop import TrainingResult
from cryopick.train.model_comparison import adopt_general_model, compare_models
from cryopick.train.particle_count import MIN_PARTICLES, GeneralModelSample
from cryopick.train.settings import GENERAL
from cryopick.train.training_run import PreparedDatasets, TrainingRun
from cryopick.workflows.events import Events, Notice, NoticeCode, track_progress

__all__ = ["compare_with_general_model", "score_left_out_labels"]


def score_left_out_labels(
    run: TrainingRun,
    prepared: PreparedDatasets,
    result: TrainingResult,
    device: torch.device,
    events: Events,
) -> Float[np.ndarray, " labels"] | None:
    """Score each label by a model that was fine-tuned without it; None with too few labels."""
    store = prepared.training.store
    if run.settings.init != GENERAL or store.label_count < MIN_PARTICLES:
        return None
    with track_progress(events, "Scoring left-out labels", 1) as advance:
        logits = np.concatenate(cross_fit_scores(store, run.settings, result, device))
        advance(1)
    return logits


def compare_with_general_model(
    model: Model,
    left_out: Float[np.ndarray, " labels"],
    labelled: Sequence[str],
    picks: Picks | None,
    sample: GeneralModelSample | None,
    events: Events,
) -> Model:
    """Return the trained model with the scores of left-out labels, or the general one if better.

    Args:
        model: The trained model.
        left_out: Scores of all labels from `score_left_out_labels`.
        labelled: Names of the micrographs with labels.
        picks: Picks of the model on the sampled micrographs, without calibration.
        sample: Picks of the general model there.
        events: Receiver of the result.
    """
    line = model.calibration
    scores = left_out if line is None else line.apply(left_out)
    unlabelled = None if picks is None or sample is None else sample.select_unlabelled(picks)
    if unlabelled is None or sample is None or not len(unlabelled) or sample.is_label.all():
        return add_label_scores(model, scores, labelled)
    comparison = compare_models(
        unlabelled.score,
        left_out,
        sample.picks.score[~sample.is_label],
        sample.label_scores,
        sample.particles,
    )
    events.emit(Notice(code=NoticeCode.MODEL_COMPARISON, message=comparison.describe()))
    if comparison.is_worse:
        return add_label_scores(adopt_general_model(model), sample.label_scores, labelled)
    return add_label_scores(model, scores, labelled)
