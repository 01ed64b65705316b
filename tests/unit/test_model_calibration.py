"""Calibration of scores by Platt scaling, and its place in the model file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny

from cryopick.errors import FormatError, SettingsError
from cryopick.model.calibration import Calibration
from cryopick.model.model_file import load_model, save_model
from cryopick.train.calibration_fit import fit_platt_scaling, fit_platt_scaling_to_probabilities

logits = st.lists(st.integers(-20, 20).map(float), min_size=2, max_size=30).map(np.array)


@given(logits, st.floats(0.01, 50), st.floats(-50, 50))
def test_calibration_preserves_the_order_of_scores(scores, slope, offset):
    changed = Calibration(slope, offset).apply(scores)

    assert (np.sign(np.subtract.outer(changed, changed))
            == np.sign(np.subtract.outer(scores, scores))).all()  # fmt: skip


@pytest.mark.parametrize("line", [(0.0, 1.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_a_slope_that_is_not_positive_is_rejected(line):
    with pytest.raises(SettingsError, match="positive slope and a finite offset"):
        Calibration(*line)


def test_a_model_file_stores_the_calibration(tmp_path):
    model = tiny.model(tmp_path / "plain.safetensors")
    save_model(replace(model, calibration=Calibration(1.5, -0.25)), tmp_path / "c.safetensors")

    assert load_model(tmp_path / "plain.safetensors").calibration is None
    assert load_model(tmp_path / "c.safetensors").calibration == Calibration(1.5, -0.25)


def test_a_model_file_with_a_negative_slope_is_rejected(tmp_path, monkeypatch):
    model = tiny.model(tmp_path / "plain.safetensors")
    calibration = Calibration(1.0, 0.0)
    object.__setattr__(calibration, "slope", -1.0)
    save_model(replace(model, calibration=calibration), Path(tmp_path / "c.safetensors"))

    with pytest.raises(FormatError, match="positive slope and a finite offset"):
        load_model(tmp_path / "c.safetensors")


def test_probabilities_of_zero_and_one_give_the_same_fit_as_labels():
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 2, 300)
    is_right = rng.random(300) < 1 / (1 + np.exp(-scores))

    assert fit_platt_scaling_to_probabilities(scores, is_right.astype(float)) == fit_platt_scaling(
        scores, is_right
    )


def test_probabilities_on_a_line_give_that_line():
    scores = np.linspace(-6, 6, 200)

    line = fit_platt_scaling_to_probabilities(scores, 1 / (1 + np.exp(-(0.7 * scores + 1.2))))

    assert line.slope == pytest.approx(0.7, abs=1e-3)
    assert line.offset == pytest.approx(1.2, abs=1e-3)
