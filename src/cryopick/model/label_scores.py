"""Scores of labels that a model did not learn from, in its summary.

- `add_label_scores`: store them with the names of their micrographs.
- `get_label_scores`: read them.
- `get_label_sample`: compare them with the micrographs that the model picks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.label_sample import LabelSample
from cryopick.io.names import micrograph_stem
from cryopick.model.model_file import Model

__all__ = ["add_label_scores", "get_label_sample", "get_label_scores"]

_SCORES, _MICROGRAPHS = "left_out_label_scores", "labelled_micrographs"  # keys of the summary
_LOWEST_SCORE = -30.0  # of a label without any pick


def add_label_scores(
    model: Model, scores: Float[np.ndarray, " labels"], micrographs: Iterable[str]
) -> Model:
    """Store calibrated scores of left-out labels in the summary of a model.

    Args:
        model: The model.
        scores: Scores of the labels.
        micrographs: Names of the micrographs that they lie on.
    """
    scores = np.sort(np.maximum(scores, _LOWEST_SCORE))
    rounded = [round(float(score), 3) for score in scores]
    names = sorted({micrograph_stem(name) for name in micrographs})
    return replace(model, summary={**model.summary, _SCORES: rounded, _MICROGRAPHS: names})


def get_label_sample(model: Model, picked: Sequence[str]) -> LabelSample | None:
    """Return the scores of labels that the model did not learn from; None if there are none.

    Args:
        model: The model.
        picked: Names of the micrographs that it picks.
    """
    return LabelSample.create(*get_label_scores(model), picked)


def get_label_scores(model: Model) -> tuple[list[float], list[str]]:
    """Return the scores, and the names of the micrographs of these labels."""
    scores, names = (model.summary.get(key) for key in (_SCORES, _MICROGRAPHS))
    return scores if isinstance(scores, list) else [], names if isinstance(names, list) else []
