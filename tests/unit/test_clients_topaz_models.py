"""Detectors of Topaz: read by their numbers, with the same scores.

The files are made here in the layout that PyTorch saves, by the stand-ins of
tests/topaz_networks.py, without the program itself. Detectors that it trained lie in golden/ with
the score maps that it wrote; where it is installed, those that it ships are compared as well.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from tests.topaz_networks import KINDS, network

from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.inference.engine import optimize_for_inference
from cryopick.inference.score_map import compute_score_map
from cryopick.model.model_file import load_model
from cryopick.model.networks import build_scorer

GOLDEN = Path(__file__).parents[1] / "golden"
PEER = Path(__file__).parents[2] / ".peer" / "bin" / "topaz"


@pytest.mark.parametrize("bn", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_scores_like_the_saved_network(kind, bn, saved_whole, tmp_path):
    original = network(kind, bn=bn)
    path = saved_whole(original, tmp_path / "a.sav")

    ours = build_scorer(read_topaz_model(path))

    side = KINDS[kind][1] + 17
    pixels = torch.randn(1, 1, side, side)
    with torch.inference_mode():
        expected = original(pixels)[:, 0]
        torch.testing.assert_close(ours(pixels), expected, rtol=1e-4, atol=1e-5)
    assert ours.receptive_field_px == KINDS[kind][1]
    assert expected.std() > 1e-4


@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_alone_and_the_older_layout_are_read_too(is_zip, tmp_path):
    original = network("resnet8", bn=False)
    torch.save(original.state_dict(), tmp_path / "a.sav", _use_new_zipfile_serialization=is_zip)
    pixels = torch.randn(1, 1, 80, 80)

    ours = build_scorer(read_topaz_model(tmp_path / "a.sav"))

    with torch.inference_mode():
        torch.testing.assert_close(ours(pixels), original(pixels)[:, 0], rtol=1e-4, atol=1e-5)


def test_an_imported_model_picks(run_words, tmp_path):
    from tests import tiny

    torch.save(network("resnet8", bn=False).state_dict(), tmp_path / "a.sav")
    tiny.micrographs(tmp_path / "mics", 1)

    told = run_words(
        "models import a.sav -o a.safetensors --factor 2 --pixel-size-ang 10 --diameter-ang 135"
    ).output
    run_words("pick mics --model a.safetensors -o picks.star --threshold -100")

    assert "resnet71 of width 3, for a pixel size of 20 Å" in told
    model = load_model(tmp_path / "a.safetensors")
    assert model.normalization.kind == "micrograph"
    assert model.working_pixel_size_ang == 20
    assert (tmp_path / "picks.star").stat().st_size > 0


@pytest.mark.parametrize("missing", ["factor", "pixel-size-ang", "diameter-ang"])
def test_settings_that_the_file_does_not_record_are_required(missing, run_words, tmp_path):
    torch.save(network("conv31").state_dict(), tmp_path / "a.sav")
    words = {"factor": "8", "pixel-size-ang": "1.1", "diameter-ang": "100"}
    options = " ".join(f"--{name} {value}" for name, value in words.items() if name != missing)

    told = run_words(f"models import a.sav -o a.safetensors {options}", status=2).output

    assert f"--{missing}" in told
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("name", ["conv31", "conv63", "conv127", "resnet8", "resnet16"])
def test_a_detector_trained_by_topaz_scores_like_topaz(name):
    image = np.random.default_rng(0).normal(size=(48, 56)).astype(np.float32)
    theirs = tifffile.imread(GOLDEN / f"topaz_{name}.tiff")

    network = read_topaz_model(GOLDEN / f"topaz_{name}.sav")
    ours = compute_score_map(optimize_for_inference(network, step_px=1), image).logits

    # Logits of so short a training differ by some thousandths.
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert theirs.std() > 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8_u32", "resnet16_u32"])
def test_scores_equal_those_that_topaz_writes(name, tmp_path):
    if not PEER.exists():
        pytest.skip("Topaz is not installed here: `make bench-peer` installs it")
    from cryopick.io.images.mrc import write_mrc

    image = np.random.default_rng(0).normal(size=(128, 144)).astype(np.float32)
    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=(8.0, 8.0))
    command = [PEER, "segment", "-m", name, "-d", "-1", "-o", tmp_path / "maps", tmp_path / "a.mrc"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    theirs = tifffile.imread(next((tmp_path / "maps").glob("a.*")))
    (detector,) = PEER.parents[1].glob(f"lib/*/site-packages/topaz/pretrained/detector/{name}.sav")
    network = optimize_for_inference(read_topaz_model(detector), step_px=1)
    ours = compute_score_map(network, image).logits

    assert theirs.std() > 1  # logits of tens
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
