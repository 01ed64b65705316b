"""Labels as a sample of the particles on other micrographs."""

import numpy as np
import pytest

from cryopick.evaluate.label_sample import LabelSample


@pytest.mark.parametrize(
    ("labelled", "picked", "is_picked", "shift"),
    [
        (["a", "b"], ["m/a.mrc", "m/b.mrc"], True, 0.0),
        (["m/a.tiff"], ["a.mrc", "b.mrc", "c.mrc", "d.mrc"], True, 2 * np.sqrt(3 / 4)),
        (["a", "x"], ["a.mrc", "b.mrc"], False, 2 * np.sqrt(1 / 2)),
        (["x"], ["a.mrc"], False, 2.0),
        ([], ["a.mrc"], False, 2.0),  # unknown, as in models of earlier versions
        (["a"], [], False, 2.0),
    ],
)
def test_labels_of_other_micrographs_are_less_certain(labelled, picked, is_picked, shift):
    sample = LabelSample.create([1.0, -np.inf], labelled, picked)

    assert sample.is_picked == is_picked
    assert sample.compute_shift(2.0) == pytest.approx(shift)


@pytest.mark.parametrize("scores", [[], [1.0, np.nan]])
def test_there_is_no_sample_without_usable_scores(scores):
    assert LabelSample.create(scores, ["a"], ["a"]) is None
