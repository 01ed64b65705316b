"""One contract for all engines that score with trained networks.

The module of torch defines the scores; an engine must reproduce them.
"""

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles
from tests.trained_networks import image, make_network

from cryopick.errors import SettingsError
from cryopick.inference.dense_graph import check_step
from cryopick.inference.engine import DenseNetwork, optimize_for_inference
from cryopick.inference.openvino_engine import OpenVinoNetwork
from cryopick.inference.score_map import compute_score_map
from cryopick.inference.torch_engine import TorchNetwork
from cryopick.model.architectures import ENCODER_DECODER, NETWORKS, NetworkSettings
from cryopick.model.device import CPU
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.model.networks import Scorer, build_scorer

ENGINES = {
    "openvino": OpenVinoNetwork,
    "torch": lambda *options: TorchNetwork(*options, CPU),
}
STRIDES = {name: Scorer(NetworkSettings(name=name, width=1)).stride_px for name in NETWORKS}
STEPS = [
    (name, step) for name, stride in STRIDES.items() for step in (1, 2, 4, 8, 16) if step <= stride
]


def score(engine, network, pixels, step_px, number_format="float32"):
    dense = DenseNetwork(
        settings=network.settings,
        step_px=step_px,
        receptive_field_px=network.receptive_field_px,
        is_on_cpu=True,
        engine=ENGINES[engine](network, step_px, number_format),
    )
    return compute_score_map(dense, pixels).logits


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "step_px"), STEPS)
def test_each_score_of_each_network_equals_that_of_its_crop(engine, name, step_px):
    network, pixels = make_network(name), image(9, 18)

    scores = score(engine, network, pixels, step_px)

    alone = np.array(oracles.crop_scores(build_scorer(network), pixels, step_px))
    assert scores.shape == alone.shape
    assert alone.std() > 0
    # two orders of summation in single precision
    np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_encoder_decoder_equals_its_module(engine):
    network, pixels = make_network(ENCODER_DECODER, width=4), image(96, 128)
    scorer = build_scorer(network)

    logits = ENGINES[engine](network, 2, "float32").score(pixels)

    with torch.inference_mode():
        features = scorer.encoder.encode_all(torch.from_numpy(pixels)[None, None])
        expected = scorer.classify(features)[0].numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["conv31", "dilated101", ENCODER_DECODER])
def test_bfloat16_scores_are_close_to_float32_scores(engine, name):
    network, pixels = make_network(name, width=4), image(60, 70)

    exact, rounded = (score(engine, network, pixels, 2, kind) for kind in ("float32", "bfloat16"))

    # each of a few layers rounds to 8 bits, one part in 256
    assert 0 < np.abs(rounded - exact).max() < 0.05 * np.ptp(exact)
    assert rounded.dtype == np.float32
    # logits keep the digits of float32
    assert np.mean(rounded == torch.from_numpy(rounded).bfloat16().float().numpy()) < 0.1


@pytest.mark.parametrize("engine", ENGINES)
def test_the_general_model_is_scored_within_1e_4(engine):
    model, pixels = load_model(GENERAL_MODEL), image(64, 48)
    for network in (model.network, model.partner.network):
        scorer = build_scorer(network)

        scores = score(engine, network, pixels, 2)

        assert np.isfinite(scores).all()
        is_padded = network.settings.name == ENCODER_DECODER
        margin = 16 if is_padded else network.receptive_field_px // 2
        padded = torch.from_numpy(np.pad(pixels, margin))[None, None]
        with torch.inference_mode():
            if is_padded:
                features = scorer.encoder.encode_all(padded)
                expected = scorer.classify(features)[0, 8:-8, 8:-8].numpy()
            else:
                expected = scorer(padded)[0].numpy()
        np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize("step_px", [0, -1, 3, 8])
def test_a_step_that_does_not_divide_the_stride_is_rejected(step_px):
    with pytest.raises(SettingsError, match=f"stride of 4 pixels; got {step_px}"):
        check_step(make_network("conv31"), step_px)


def test_other_steps_of_the_encoder_decoder_are_rejected():
    with pytest.raises(SettingsError, match="every 2 pixels only"):
        optimize_for_inference(make_network(ENCODER_DECODER), step_px=1)


def test_processors_are_scored_with_openvino_and_a_network_is_compiled_once():
    network = make_network("conv31")

    dense = optimize_for_inference(network, step_px=2)

    assert isinstance(dense.engine, OpenVinoNetwork)
    assert optimize_for_inference(network, step_px=2) is dense
    assert optimize_for_inference(network, step_px=4) is not dense
    assert optimize_for_inference(make_network("conv31"), step_px=2) is not dense
