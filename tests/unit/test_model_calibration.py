"""A line of odds: it rises, and a model file keeps it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny

from cryopick.errors import FormatError, SettingsError
from cryopick.model.calibration import Odds
from cryopick.model.model_file import load_model, save_model
from cryopick.train.calibration_fit import fit_odds, fit_to_chances

logits = st.lists(st.integers(-20, 20).map(float), min_size=2, max_size=30).map(np.array)


@given(logits, st.floats(0.01, 50), st.floats(-50, 50))
def test_odds_keep_the_order_of_scores(scores, slope, offset):
    changed = Odds(slope, offset).of(scores)

    assert (np.sign(np.subtract.outer(changed, changed))
            == np.sign(np.subtract.outer(scores, scores))).all()  # fmt: skip


@pytest.mark.parametrize("line", [(0.0, 1.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_a_line_that_does_not_rise_is_refused(line):
    with pytest.raises(SettingsError, match="a finite line that rises"):
        Odds(*line)


def test_a_model_file_keeps_its_odds(tmp_path):
    model = tiny.model(tmp_path / "plain.safetensors")
    save_model(replace(model, odds=Odds(1.5, -0.25)), tmp_path / "odds.safetensors")

    assert load_model(tmp_path / "plain.safetensors").odds is None
    assert load_model(tmp_path / "odds.safetensors").odds == Odds(1.5, -0.25)


def test_a_model_file_with_odds_that_fall_is_refused(tmp_path, monkeypatch):
    model = tiny.model(tmp_path / "plain.safetensors")
    odds = Odds(1.0, 0.0)
    object.__setattr__(odds, "slope", -1.0)
    save_model(replace(model, odds=odds), Path(tmp_path / "odds.safetensors"))

    with pytest.raises(FormatError, match="a finite line that rises"):
        load_model(tmp_path / "odds.safetensors")


def test_chances_of_nought_and_one_give_the_line_of_right_and_wrong():
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 2, 300)
    right = rng.random(300) < 1 / (1 + np.exp(-scores))

    assert fit_to_chances(scores, right.astype(float)) == fit_odds(scores, right)


def test_chances_on_a_line_give_that_line_back():
    scores = np.linspace(-6, 6, 200)

    line = fit_to_chances(scores, 1 / (1 + np.exp(-(0.7 * scores + 1.2))))

    assert line.slope == pytest.approx(0.7, abs=1e-3)
    assert line.offset == pytest.approx(1.2, abs=1e-3)
