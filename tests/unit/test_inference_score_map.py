import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_learn as oracles
from tests.trained_networks import image, make_network

from cryopick.inference import openvino_engine
from cryopick.inference.engine import (
    optimize_ensemble,
    optimize_for_inference,
    resolve_precision,
)
from cryopick.inference.score_map import compute_ensemble_score_map, compute_score_map
from cryopick.model import torch_device
from cryopick.model.device import CPU, Device
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import build_scorer

NETWORKS = {name: make_network(name) for name in ("conv31", "conv63", "resnet41")}


def compute_logits(name, pixels, step_px, tile_px=None):
    dense = optimize_for_inference(NETWORKS[name], step_px=step_px)
    return compute_score_map(dense, pixels, tile_px=tile_px).logits


@pytest.mark.parametrize("name", NETWORKS)
@settings(deadline=None, max_examples=12)
@given(st.integers(1, 23), st.integers(1, 23), st.sampled_from([1, 2, 4]), st.integers(1, 40))
def test_each_score_equals_that_of_the_crop_around_it(name, height, width, step_px, tile_px):
    pixels = image(height, width)

    logits = compute_logits(name, pixels, step_px, tile_px)

    alone = np.array(oracles.crop_scores(build_scorer(NETWORKS[name]), pixels, step_px))
    # two orders of summation in single precision
    np.testing.assert_allclose(logits, alone, rtol=1e-4, atol=1e-5 + 1e-5 * np.abs(alone).max())


def test_an_image_of_many_tiles_is_scored_like_its_crops():
    pixels = image(75, 90)

    logits = compute_logits("conv31", pixels, 4, 24)

    alone = oracles.crop_scores(build_scorer(NETWORKS["conv31"]), pixels, 4)
    np.testing.assert_allclose(logits, alone, rtol=1e-4, atol=1e-5)
    assert logits.std() > 1e-3


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 2, 4]), st.integers(1, 99))
def test_scores_do_not_depend_on_the_tiling(height, width, step_px, tile_px):
    pixels = image(height, width)

    whole = compute_logits("conv31", pixels, step_px)
    tiled = compute_logits("conv31", pixels, step_px, tile_px)

    np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=1e-5)


def test_a_coarse_map_is_every_nth_score_of_the_finest():
    pixels = image(41, 38)
    finest = compute_logits("conv31", pixels, 1)

    for step_px in (2, 4):
        coarse = compute_logits("conv31", pixels, step_px)
        np.testing.assert_allclose(coarse, finest[::step_px, ::step_px], rtol=1e-4, atol=1e-5)


def test_the_tile_size_limits_the_input_of_the_network(monkeypatch):
    dense = optimize_for_inference(make_network("conv31"), step_px=2)
    seen, score = [], type(dense.engine).score

    def record(engine, pixels):
        seen.append(pixels.shape)
        return score(engine, pixels)

    monkeypatch.setattr(type(dense.engine), "score", record)

    compute_score_map(dense, image(100, 130), tile_px=32)

    assert max(max(shape) for shape in seen) <= 32 + dense.receptive_field_px
    assert len(seen) == 4 * 5


def test_a_nan_pixel_affects_only_scores_whose_field_contains_it():
    pixels = image(60, 60)
    clean = compute_logits("conv31", pixels, 1)
    pixels[20, 40] = np.nan

    logits = compute_logits("conv31", pixels, 1)

    y, x = np.mgrid[:60, :60]
    sees = (abs(y - 20) <= 15) & (abs(x - 40) <= 15)
    assert not np.isfinite(logits[sees]).any()
    np.testing.assert_allclose(logits[~sees], clean[~sees], rtol=1e-4, atol=1e-5)


def test_optimizing_does_not_modify_the_network():
    network = make_network("resnet41")
    before = {name: values.copy() for name, values in network.weights.items()}

    compute_score_map(optimize_for_inference(network, step_px=1), image(30, 30))

    for name, values in network.weights.items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("has_bfloat16", [False, True])
def test_auto_selects_bfloat16_if_it_is_fast(monkeypatch, has_bfloat16):
    monkeypatch.setattr(openvino_engine, "has_fast_bfloat16", lambda: has_bfloat16)

    assert resolve_precision("auto", CPU) == ("bfloat16" if has_bfloat16 else "float32")
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize("has_bfloat16", [False, True])
def test_auto_asks_torch_about_other_devices(monkeypatch, has_bfloat16):
    monkeypatch.setattr(torch_device, "has_fast_bfloat16", lambda _: has_bfloat16)

    expected = "bfloat16" if has_bfloat16 else "float32"
    assert resolve_precision("auto", Device("mps")) == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"avx512_bf16": False, "avx512_f": True}, False),
        ({}, False),
    ],
)
def test_training_uses_bfloat16_if_the_cpu_supports_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert torch_device.has_fast_bfloat16(torch.device("cpu")) == expected


def test_training_uses_float32_if_cpu_features_are_unknown(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)

    assert not torch_device.has_fast_bfloat16(torch.device("cpu"))
    assert not torch_device.has_fast_bfloat16(torch.device("mps"))


@pytest.mark.parametrize(
    ("step_px", "own", "other"),
    [(2, "conv31", "dilated101"), (4, "conv31", "dilated101"), (2, "dilated101", "conv31")],
)
def test_ensemble_logits_are_the_weighted_mean(step_px, own, other):
    network, guiding = make_network(own), make_network(other)
    pixels = image(130, 141)
    partner = EnsemblePartner(guiding, 0.5)

    ensemble = optimize_ensemble(network, partner, "float32", CPU, step_px=step_px)
    both = compute_ensemble_score_map(ensemble, pixels).logits

    alone = compute_score_map(optimize_for_inference(network, step_px=step_px), pixels).logits
    fine = compute_score_map(optimize_for_inference(guiding, step_px=2), pixels).logits
    there = fine[:: step_px // 2, :: step_px // 2]
    np.testing.assert_allclose(both, (alone + 0.5 * there) / 1.5, atol=1e-4)
