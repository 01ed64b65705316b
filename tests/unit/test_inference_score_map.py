import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_learn as oracles

from cryopick.errors import SettingsError
from cryopick.inference.score_map import (
    compute_ensemble_score_map,
    compute_score_map,
    optimize_for_inference,
    resolve_precision,
)
from cryopick.model.architectures import NETWORKS, NetworkSettings
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import Scorer


def scorer(name="conv31"):
    """Make a narrow network with random batch statistics and slopes."""
    torch.manual_seed(1)
    network = Scorer(NetworkSettings(name=name, width=2))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.3, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
        if isinstance(module, torch.nn.PReLU):
            torch.nn.init.uniform_(module.weight, 0.05, 0.5)
    return network.eval()


SCORERS = {name: scorer(name) for name in ("conv31", "conv63", "resnet41")}


def image(height, width, seed=0):
    return np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)


@pytest.mark.parametrize("name", SCORERS)
@settings(deadline=None, max_examples=12)
@given(st.integers(1, 23), st.integers(1, 23), st.sampled_from([1, 2, 4]), st.integers(1, 40))
def test_each_score_equals_that_of_the_crop_around_it(name, height, width, step_px, tile_px):
    pixels = image(height, width)

    scores = compute_score_map(SCORERS[name], pixels, step_px=step_px, tile_px=tile_px)

    alone = oracles.crop_scores(SCORERS[name], pixels, step_px)
    assert scores.step_px == step_px
    # two orders of summation in single precision
    np.testing.assert_allclose(scores.logits, alone, rtol=1e-5, atol=1e-5)


def test_an_image_of_many_tiles_is_scored_like_its_crops():
    pixels = image(75, 90)

    scores = compute_score_map(SCORERS["conv31"], pixels, step_px=4, tile_px=24)

    alone = oracles.crop_scores(SCORERS["conv31"], pixels, 4)
    np.testing.assert_allclose(scores.logits, alone, rtol=1e-5, atol=1e-5)
    assert scores.logits.std() > 1e-3


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 2, 4]), st.integers(1, 99))
def test_scores_do_not_depend_on_the_tiling(height, width, step_px, tile_px):
    pixels = image(height, width)

    whole = compute_score_map(SCORERS["conv31"], pixels, step_px=step_px)
    tiled = compute_score_map(SCORERS["conv31"], pixels, step_px=step_px, tile_px=tile_px)

    np.testing.assert_allclose(tiled.logits, whole.logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [2, 3])
def test_scores_do_not_depend_on_the_number_of_threads(threads):
    pixels, before = image(70, 50), torch.get_num_threads()
    alone = compute_score_map(SCORERS["conv31"], pixels, step_px=2, tile_px=24)
    try:
        torch.set_num_threads(threads)
        shared = compute_score_map(SCORERS["conv31"], pixels, step_px=2, tile_px=24)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)

    np.testing.assert_allclose(shared.logits, alone.logits, rtol=1e-5, atol=1e-5)


def test_a_coarse_map_is_every_nth_score_of_the_finest():
    pixels = image(41, 38)
    finest = compute_score_map(SCORERS["conv31"], pixels, step_px=1).logits

    for step_px in (2, 4):
        coarse = compute_score_map(SCORERS["conv31"], pixels, step_px=step_px).logits
        np.testing.assert_allclose(coarse, finest[::step_px, ::step_px], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step_px", [0, -1, 3, 8])
def test_a_step_that_does_not_divide_the_stride_is_rejected(step_px):
    with pytest.raises(SettingsError, match=f"stride of 4 pixels; got {step_px}"):
        compute_score_map(SCORERS["conv31"], image(9, 9), step_px=step_px)


def test_the_tile_size_limits_the_input_of_the_network():
    seen = []
    network = scorer()
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))

    compute_score_map(network, image(100, 130), step_px=2, tile_px=32)

    assert max(max(shape) for shape in seen) <= 32 + network.receptive_field_px
    assert len(seen) == 4 * 5


def test_a_nan_pixel_affects_only_scores_whose_field_contains_it():
    pixels = image(60, 60)
    clean = compute_score_map(SCORERS["conv31"], pixels, step_px=1).logits
    pixels[20, 40] = np.nan

    scores = compute_score_map(SCORERS["conv31"], pixels, step_px=1).logits

    y, x = np.mgrid[:60, :60]
    sees = (abs(y - 20) <= 15) & (abs(x - 40) <= 15)
    assert not np.isfinite(scores[sees]).any()
    np.testing.assert_allclose(scores[~sees], clean[~sees], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_batch_normalisation_preserves_the_scores(name):
    network = scorer(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    side = network.receptive_field_px + 9
    pixels = torch.from_numpy(image(side, side))[None, None]

    copy = optimize_for_inference(network)

    with torch.inference_mode():
        torch.testing.assert_close(copy(pixels), network(pixels), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in copy.modules())
    assert not copy.training
    assert not copy.dropout.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_bfloat16_scores_are_close_to_float32_scores(name):
    pixels, plain = image(60, 70), SCORERS[name]

    exact = compute_score_map(optimize_for_inference(plain), pixels, step_px=2).logits
    rounded = compute_score_map(
        optimize_for_inference(plain, torch.bfloat16), pixels, step_px=2
    ).logits

    # each of a few layers rounds to 8 bits, one part in 256
    assert 0 < np.abs(rounded - exact).max() < np.abs(exact).max() / 64
    assert rounded.dtype == np.float32
    # bfloat16 has 8 bits: logits rounded to it would have few values
    assert len(np.unique(rounded)) > 0.9 * rounded.size


def test_the_first_layer_and_the_head_stay_float32():
    kinds = {
        name: weight.dtype
        for name, weight in optimize_for_inference(
            SCORERS["conv31"], torch.bfloat16
        ).named_parameters()
    }

    assert {kinds["encoder.0.0.weight"], kinds["head.weight"]} == {torch.float32}
    assert sum(kind == torch.bfloat16 for kind in kinds.values()) == 2 * 3  # weight, bias, slope


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "avx512_f": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_selects_bfloat16_if_the_cpu_supports_it(monkeypatch, capabilities, expected):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert resolve_precision("auto", cpu) == expected
    assert resolve_precision("float32", cpu) == torch.float32
    assert resolve_precision("bfloat16", cpu) == torch.bfloat16


def test_auto_selects_float32_if_cpu_features_are_unknown(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)

    assert resolve_precision("auto", torch.device("cpu")) == torch.float32
    assert resolve_precision("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("step_px", "own", "other"),
    [(2, "conv31", "dilated101"), (4, "conv31", "dilated101"), (2, "dilated101", "conv31")],
)
def test_ensemble_logits_are_the_weighted_mean(step_px, own, other):
    torch.manual_seed(1)
    scorer, guiding = (Scorer(NetworkSettings(name=name, width=2)).eval() for name in (own, other))
    for network in (scorer, guiding):
        torch.nn.init.normal_(network.head.weight)
    image = np.random.default_rng(0).standard_normal((130, 141), dtype=np.float32)

    both = compute_ensemble_score_map(
        scorer, EnsemblePartner(guiding, 0.5), image, step_px=step_px
    ).logits

    alone = compute_score_map(scorer, image, step_px=step_px).logits
    fine = compute_score_map(guiding, image, step_px=2).logits
    there = fine[:: step_px // 2, :: step_px // 2]
    np.testing.assert_allclose(both, (alone + 0.5 * there) / 1.5, atol=1e-4)
