import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.errors import SettingsError
from cryopick.inference.dilation import at_step
from cryopick.inference.score_map import folded, score_map
from cryopick.model.networks import NETWORKS, NetworkSettings, Scorer


def network(name):
    """One whose residual layers and head are not those of a fresh one, which says 0 everywhere."""
    torch.manual_seed(2)
    made = Scorer(NetworkSettings(name=name, width=2)).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, 0.05, 0.3)
    return made


STRIDES = {name: Scorer(NetworkSettings(name=name, width=1)).stride_px for name in NETWORKS}
STEPS = [
    (name, step) for name, stride in STRIDES.items() for step in (1, 2, 4, 8, 16) if step <= stride
]


@pytest.mark.parametrize(("name", "step_px"), STEPS)
def test_each_network_scores_each_place_as_its_crop(name, step_px):
    scorer = network(name)
    pixels = np.random.default_rng(0).normal(size=(9, 18)).astype(np.float32)

    scores = score_map(scorer, pixels, step_px=step_px).logits

    alone = np.array(oracles.crop_scores(scorer, pixels, step_px))
    assert scores.shape == alone.shape
    assert alone.std() > 0
    np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize(("name", "step_px"), STEPS)
def test_a_network_made_ready_for_a_step_needs_no_other_copy(name, step_px):
    scorer = network(name)
    pixels = np.random.default_rng(0).normal(size=(21, 17)).astype(np.float32)
    ready = folded(scorer, step_px=step_px)

    found, known = (score_map(each, pixels, step_px=step_px).logits for each in (ready, scorer))

    assert ready.stride_px == step_px
    assert ready.receptive_field_px == scorer.receptive_field_px
    np.testing.assert_allclose(found, known, rtol=1e-3, atol=1e-4 * np.abs(known).max())


def test_the_network_itself_keeps_its_stride():
    scorer = network("resnet41")
    pixels = torch.randn(1, 1, 60, 60)
    with torch.inference_mode():
        before = scorer(pixels)
        at_step(scorer, 1)
        after = scorer(pixels)

    assert scorer.stride_px == 4
    assert torch.equal(before, after)


def test_a_network_made_ready_for_one_step_is_refused_for_another():
    ready = folded(Scorer(NetworkSettings()))  # wide enough for Winograd's filtering

    with pytest.raises(ValueError, match="ready for a step of 4; got 2"):
        at_step(ready, 2)


@pytest.mark.parametrize("step_px", [0, -1, 3, 8])
def test_a_step_that_does_not_divide_the_stride_is_refused(step_px):
    with pytest.raises(SettingsError, match=f"stride of 4 pixels; got {step_px}"):
        at_step(network("conv31"), step_px)
