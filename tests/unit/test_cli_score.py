"""`cryopick score`: score maps with their pixel size."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.io.images.mrc import write_mrc
from cryopick.model.device import require_device
from cryopick.model.model_file import load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", pixel_size_ang=(7.0, 7.0))
    tiny.model("m.safetensors")
    return run_words


@pytest.mark.parametrize("step_px", [1, 4])
def test_a_map_holds_the_scores_and_the_distance_between_them(run, step_px):
    run(f"score mics --model m.safetensors -o scores --step-px {step_px}")

    settings = PickSettings(step_px=step_px)
    picker = Picker.create(load_model(Path("m.safetensors")), settings, require_device("cpu"))
    for number in range(3):
        name = f"mic_{number}.mrc"
        pixels, size_yx = read(Path("scores") / name)
        assert np.array_equal(pixels, picker.score(Path("mics") / name).scores.logits)
        # the last scored place lies within a step of the raw micrograph's far corner
        raw_shape = np.array(tiny.blobs(number)[0].shape)
        last = (np.array(pixels.shape) - 1) * size_yx / 7.0
        assert (last < raw_shape).all()
        assert (last + size_yx / 7.0 >= raw_shape - 1e-3).all()


def read(path):
    import mrcfile

    with mrcfile.open(path) as mrc:
        return np.array(mrc.data), np.array([mrc.voxel_size.y, mrc.voxel_size.x], float)


def test_two_micrographs_with_the_same_stem_are_refused(run):
    Path("more").mkdir()
    write_mrc(Path("more/mic_1.mrc"), tiny.blobs(9)[0], pixel_size_ang=(7.0, 7.0))

    result = run("score mics more --model m.safetensors -o scores", status=1)

    assert "mics/mic_1.mrc and more/mic_1.mrc would both be written to scores/" in result.stderr
    assert not Path("scores").exists()


def test_a_micrograph_is_never_overwritten_by_itself(run):
    result = run("score mics --model m.safetensors -o mics --force", status=1)

    assert "mics/mic_0.mrc: would overwrite itself" in result.stderr


def test_maps_are_overwritten_only_with_force_and_bad_files_are_skipped(run):
    run("score mics --model m.safetensors -o scores")
    before = Path("scores/mic_0.mrc").read_bytes()

    result = run("score mics --model m.safetensors -o scores --step-px 4", status=1)
    assert "scores/mic_0.mrc: already exists; overwrite it with --force" in result.stderr

    Path("mics/mic_1.mrc").write_bytes(b"")
    result = run("score mics --model m.safetensors -o scores --force", status=1)
    assert "2 score maps written to scores" in result.stderr
    assert "skipped mics/mic_1.mrc: the file is empty" in result.stderr
    assert Path("scores/mic_0.mrc").read_bytes() == before


def test_the_size_is_estimated_for_the_general_model(run):
    result = run("score mics -o scores --device cpu")

    [size_ang] = re.findall(r"size not given: estimated (\d+) Å", result.stderr)
    stored = tomllib.loads(Path("scores/settings.toml").read_text())
    assert stored["diameter_ang"] == pytest.approx(float(size_ang), abs=0.5)
