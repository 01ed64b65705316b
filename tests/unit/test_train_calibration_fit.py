import numpy as np
import pytest
import torch

from cryopick.model.architectures import NetworkSettings
from cryopick.model.calibration import Calibration
from cryopick.model.networks import Scorer
from cryopick.train.calibration_fit import apply_calibration, fit_platt_scaling


def test_the_fit_recovers_the_line_behind_the_picks():
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=40_000)
    is_right = rng.random(len(logits)) < 1 / (1 + np.exp(-(0.5 * logits - 1.2)))

    odds = fit_platt_scaling(logits, is_right)

    assert odds.slope == pytest.approx(0.5, abs=0.02)
    assert odds.offset == pytest.approx(-1.2, abs=0.05)


def test_separated_picks_give_a_finite_line():
    odds = fit_platt_scaling(np.array([-1.0, -2.0, 3.0, 4.0]), np.array([False, False, True, True]))

    assert 0 < odds.slope < 100


@pytest.mark.parametrize("right", [True, False])
def test_only_correct_or_only_wrong_picks_are_refused(right):
    with pytest.raises(ValueError, match="correct picks and wrong picks"):
        fit_platt_scaling(np.zeros(3), np.full(3, right))


def test_a_calibrated_network_gives_the_scores_of_the_line():
    torch.manual_seed(0)
    scorer = Scorer(NetworkSettings(width=2)).eval()
    image = torch.randn(1, 1, 40, 40)

    with torch.inference_mode():
        before, after = scorer(image), apply_calibration(scorer, Calibration(2.0, -1.5))(image)

    torch.testing.assert_close(after, 2 * before - 1.5)
