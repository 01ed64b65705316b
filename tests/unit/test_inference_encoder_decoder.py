import numpy as np
import pytest
import torch

from cryopick.errors import SettingsError
from cryopick.inference import score_map
from cryopick.inference.score_map import compute_score_map, optimize_for_inference
from cryopick.model.architectures import ENCODER_DECODER, NetworkSettings
from cryopick.model.encoder_decoder import EncoderDecoder
from cryopick.model.networks import Scorer


@pytest.fixture(scope="module")
def scorer():
    """Make a narrow network with random batch statistics."""
    torch.manual_seed(2)
    network = Scorer(NetworkSettings(name=ENCODER_DECODER, width=4))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


def image(height, width):
    return np.random.default_rng(3).normal(size=(height, width)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (16, 33), (97, 50)])
def test_every_second_pixel_has_a_score(scorer, shape):
    scores = compute_score_map(scorer, image(*shape), step_px=2)

    assert scores.logits.shape == (-(-shape[0] // 2), -(-shape[1] // 2))
    assert np.isfinite(scores.logits).all()


def test_scores_do_not_depend_on_tiles(scorer, monkeypatch):
    pixels = image(410, 330)
    whole = compute_score_map(scorer, pixels, step_px=2).logits

    monkeypatch.setattr(score_map, "_ENCODER_DECODER_TILE_PX", 64)

    tiled = compute_score_map(scorer, pixels, step_px=2).logits
    np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=1e-5)


def test_the_context_is_as_wide_as_stated(scorer):
    size_px = 2 * EncoderDecoder.CONTEXT_PX + 64
    pixels = torch.zeros(1, 1, size_px, size_px, requires_grad=True)
    middle = size_px // 4

    scorer(pixels)  # crops inside the image
    scorer.classify(scorer.encoder.encode_all(pixels))[0, middle, middle].backward()

    rows = torch.nonzero(pixels.grad[0, 0].abs().sum(1)).flatten()
    reach_px = int((rows - 2 * middle).abs().max())
    assert EncoderDecoder.FIELD_PX // 2 < reach_px <= EncoderDecoder.CONTEXT_PX


def test_a_crop_is_scored_at_its_centre(scorer):
    pixels = torch.from_numpy(image(160, 160))[None, None]
    field_px = EncoderDecoder.FIELD_PX

    scores = scorer(pixels[..., :field_px, :field_px])
    many = scorer(pixels)

    assert scores.shape == (1, 1, 1)
    assert many.shape == (1, (160 - field_px) // 2 + 1, (160 - field_px) // 2 + 1)


def test_folded_layers_give_the_same_scores(scorer):
    pixels = image(120, 90)

    plain = compute_score_map(scorer, pixels, step_px=2).logits
    folded = compute_score_map(optimize_for_inference(scorer), pixels, step_px=2).logits
    half = optimize_for_inference(scorer, torch.bfloat16)

    np.testing.assert_allclose(folded, plain, rtol=1e-4, atol=1e-5)
    rounded = compute_score_map(half, pixels, step_px=2).logits
    assert 0 < np.abs(rounded - plain).max() < 0.05 * np.ptp(plain) + 0.02


def test_other_steps_are_refused(scorer):
    with pytest.raises(SettingsError, match="every 2 pixels only"):
        compute_score_map(scorer, image(60, 60), step_px=1)
