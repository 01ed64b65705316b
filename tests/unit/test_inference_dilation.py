import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.errors import SettingsError
from cryopick.inference.dilation import convert_to_stride
from cryopick.inference.score_map import compute_score_map, optimize_for_inference
from cryopick.model.architectures import NETWORKS, NetworkSettings
from cryopick.model.networks import Scorer


def network(name):
    """Make a network with random weights in all layers, as a new one returns 0 everywhere."""
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
def test_each_score_of_each_network_equals_that_of_its_crop(name, step_px):
    scorer = network(name)
    pixels = np.random.default_rng(0).normal(size=(9, 18)).astype(np.float32)

    scores = compute_score_map(scorer, pixels, step_px=step_px).logits

    alone = np.array(oracles.crop_scores(scorer, pixels, step_px))
    assert scores.shape == alone.shape
    assert alone.std() > 0
    np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize(("name", "step_px"), STEPS)
def test_an_optimized_network_gives_the_same_scores(name, step_px):
    scorer = network(name)
    pixels = np.random.default_rng(0).normal(size=(21, 17)).astype(np.float32)
    ready = optimize_for_inference(scorer, step_px=step_px)

    result, expected = (
        compute_score_map(each, pixels, step_px=step_px).logits for each in (ready, scorer)
    )

    assert ready.stride_px == step_px
    assert ready.receptive_field_px == scorer.receptive_field_px
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_original_network_is_not_modified():
    scorer = network("resnet41")
    pixels = torch.randn(1, 1, 60, 60)
    with torch.inference_mode():
        before = scorer(pixels)
        convert_to_stride(scorer, 1)
        after = scorer(pixels)

    assert scorer.stride_px == 4
    assert torch.equal(before, after)


def test_a_network_optimized_for_another_step_is_rejected():
    ready = optimize_for_inference(Scorer(NetworkSettings()))  # wide enough for Winograd

    with pytest.raises(ValueError, match="optimized for a step of 4; got 2"):
        convert_to_stride(ready, 2)


@pytest.mark.parametrize("step_px", [0, -1, 3, 8])
def test_a_step_that_does_not_divide_the_stride_is_rejected(step_px):
    with pytest.raises(SettingsError, match=f"stride of 4 pixels; got {step_px}"):
        convert_to_stride(network("conv31"), step_px)
