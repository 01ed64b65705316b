import numpy as np
import pytest
import torch
from tests.trained_networks import image, make_network

from cryopick.inference import score_map
from cryopick.inference.engine import optimize_for_inference
from cryopick.inference.score_map import compute_score_map
from cryopick.model.architectures import ENCODER_DECODER
from cryopick.model.encoder_decoder import EncoderDecoder
from cryopick.model.networks import build_scorer


@pytest.fixture(scope="module")
def network():
    return make_network(ENCODER_DECODER, width=4)


@pytest.mark.parametrize("shape", [(1, 1), (16, 33), (97, 50)])
def test_every_second_pixel_has_a_score(network, shape):
    scores = compute_score_map(optimize_for_inference(network), image(*shape))

    assert scores.logits.shape == (-(-shape[0] // 2), -(-shape[1] // 2))
    assert np.isfinite(scores.logits).all()


def test_scores_do_not_depend_on_tiles(network, monkeypatch):
    pixels = image(250, 180)
    whole = compute_score_map(optimize_for_inference(network), pixels).logits

    monkeypatch.setattr(score_map, "_ENCODER_DECODER_TILE_PX", 80)

    tiled = compute_score_map(optimize_for_inference(network), pixels).logits
    np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=1e-5)


def test_the_context_is_as_wide_as_stated(network):
    scorer = build_scorer(network)
    size_px = 2 * EncoderDecoder.CONTEXT_PX + 64
    pixels = torch.zeros(1, 1, size_px, size_px, requires_grad=True)
    middle = size_px // 4

    scorer(pixels)  # crops inside the image
    scorer.classify(scorer.encoder.encode_all(pixels))[0, middle, middle].backward()

    rows = torch.nonzero(pixels.grad[0, 0].abs().sum(1)).flatten()
    reach_px = int((rows - 2 * middle).abs().max())
    assert EncoderDecoder.FIELD_PX // 2 < reach_px <= EncoderDecoder.CONTEXT_PX


def test_a_crop_is_scored_at_its_centre(network):
    scorer = build_scorer(network)
    pixels = torch.from_numpy(image(160, 160))[None, None]
    field_px = EncoderDecoder.FIELD_PX

    scores = scorer(pixels[..., :field_px, :field_px])
    many = scorer(pixels)

    assert scores.shape == (1, 1, 1)
    assert many.shape == (1, (160 - field_px) // 2 + 1, (160 - field_px) // 2 + 1)
