"""`cryopick preprocess`: files equal the images of training and picking."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.model.model_file import load_model
from cryopick.preprocess.histogram import histogram
from cryopick.preprocess.normalize import fit_normalization
from cryopick.preprocess.pipeline import prepare_micrograph, rescale_micrograph
from cryopick.preprocess.settings import DIAMETER_PX

SIZE_ANG = 5.0


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", pixel_size_ang=(SIZE_ANG, SIZE_ANG))
    return run_words


def read(path):
    import mrcfile

    with mrcfile.open(path) as mrc:
        return np.array(mrc.data), np.array([mrc.voxel_size.y, mrc.voxel_size.x], float)


def shrunk(number, factor):
    pixels = read_micrograph(Path(f"mics/mic_{number}.mrc")).pixels
    return rescale_micrograph(pixels, factor)


@pytest.mark.parametrize("kind", ["dataset", "micrograph", "affine", "white"])
def test_files_hold_the_normalized_micrographs_and_their_pixel_size(run, kind):
    run(f"preprocess mics -o small --factor 2.5 --normalization {kind}")

    small = [shrunk(number, 2.5) for number in range(3)]
    fitted = fit_normalization(kind, [histogram(s.image, s.usable) for s in small])
    for number, one in enumerate(small):
        pixels, size_yx = read(Path(f"small/mic_{number}.mrc"))
        assert np.array_equal(pixels, fitted.apply(one.image, one.usable))
        assert size_yx == pytest.approx(SIZE_ANG * np.array(one.scale_yx))
    assert not list(Path().glob(".*.parts"))


def test_a_diameter_gives_the_scale_of_training_and_a_model_its_own(run):
    tiny.model("m.safetensors")
    run("preprocess mics -o by-diameter --diameter-ang 170")
    run("preprocess mics -o by-model --model m.safetensors")
    run("preprocess mics -o larger --model m.safetensors --diameter-ang 270")

    _, by_diameter = read(Path("by-diameter/mic_0.mrc"))
    pixels, by_model = read(Path("by-model/mic_0.mrc"))
    _, larger = read(Path("larger/mic_0.mrc"))
    assert by_diameter == pytest.approx(170 / DIAMETER_PX, rel=0.02)
    assert by_model == pytest.approx(tiny.PIXEL_ANG, rel=0.02)
    assert larger == pytest.approx(2 * tiny.PIXEL_ANG, rel=0.03)
    raw = read_micrograph(Path("mics/mic_0.mrc")).pixels
    factor = tiny.PIXEL_ANG / SIZE_ANG
    normalization = load_model(Path("m.safetensors")).normalization
    assert np.array_equal(pixels, prepare_micrograph(raw, factor, normalization).image)


def test_a_factor_needs_no_pixel_size_and_invents_none(run):
    write_mrc(Path("bare.mrc"), tiny.blobs(0)[0], pixel_size_ang=None)

    run("preprocess bare.mrc -o small --factor 2")
    run("preprocess bare.mrc -o sized --factor 2 --pixel-size-ang 3")

    assert read(Path("small/bare.mrc"))[1].tolist() == [0, 0]
    assert read(Path("sized/bare.mrc"))[1].tolist() == [6, 6]


def test_bad_micrographs_are_reported_and_the_others_are_written(run):
    wrong = tiny.bad_micrographs("mics")

    result = run("preprocess mics/* -o small --factor 2", status=1)

    for name, words in wrong.items():
        assert f"skipped mics/{name}: " in result.stderr
        assert words in result.stderr
    assert "3 micrographs written to small" in result.stderr
    assert len(list(Path("small").glob("*.mrc"))) == 3


def test_no_files_remain_if_no_micrograph_can_be_used(run):
    Path("mics/mic_0.mrc").write_bytes(b"")

    result = run("preprocess mics/mic_0.mrc -o small --factor 2", status=1)

    assert "none of the micrographs can be used" in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["labels.tsv", "mics"]


def test_an_interrupted_run_is_resumed(run, monkeypatch):
    run("preprocess mics -o whole --factor 2")
    module, written = importlib.import_module("cryopick.preprocess.export"), []

    def write_one(path, *args, **options):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write_mrc(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_mrc", write_one)
        run("preprocess mics -o cut --factor 2", status=130)

    assert "resuming from the unfinished batch" in run("preprocess mics -o cut --factor 2").stderr
    for path in Path("whole").iterdir():
        assert path.read_bytes() == (Path("cut") / path.name).read_bytes()


@pytest.mark.usefixtures("run")
def test_preprocessing_without_a_model_does_not_import_torch():
    line = "preprocess mics -o small --factor 2 --force"
    code = (
        "import sys; from cryopick.cli import app; "
        f"app({line.split()}, standalone_mode=False); "
        "heavy = ('jaxtyping', 'torch', 'matplotlib', 'gemmi', 'tifffile', 'PIL', 'rich'); "
        "print([m for m in heavy if m in sys.modules], len(sys.modules) < 800)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[] True"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "give one of --factor, --diameter-ang and --model"),
        ("--factor 2 --diameter-ang 100", "give one of --factor, --diameter-ang and --model"),
        ("--factor 2 --model m.safetensors", "a model defines its pixel size"),
        ("--factor 0", "factor must be above 0"),
    ],
)
def test_contradictory_options_fail_before_any_work(run, words, message):
    tiny.model("m.safetensors")

    assert message in run(f"preprocess mics -o small {words}", status=1).stderr
    assert not Path("small").exists()
    assert not list(Path().glob(".*.parts"))
