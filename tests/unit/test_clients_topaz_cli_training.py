"""Topaz-compatible command line: training."""

import math

import numpy as np
import pytest
from tests import tiny
from tests.unit.test_clients_topaz_cli_picking import table

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc

MODEL_OPTIONS = "--model conv31 --units 2 --epoch-size 33 -d -1"


@pytest.fixture
def prepared(topaz, mics, tmp_path):
    """Micrographs preprocessed by a client, with labels and a list."""
    topaz("preprocess mics -o pre")
    topaz("convert labels.tsv -o labels.txt")
    lines = [f"mic_{i}\tpre/mic_{i}.mrc" for i in range(3)]
    (tmp_path / "list.txt").write_text("\n".join(["image_name\tpath", *lines, ""]))
    return tmp_path


def train(topaz, options, status=0):
    data = "--train-images list.txt --train-targets labels.txt"
    return topaz(f"train {data} {MODEL_OPTIONS} {options}", status)


def test_training_does_not_depend_on_the_intensity_units(topaz, prepared):
    train(topaz, "-n 8 --num-epochs 1 --save-prefix m")
    image = read_micrograph(prepared / "pre" / "mic_0.mrc").pixels
    write_mrc(prepared / "other.mrc", 37 * image + 900, pixel_size_ang=None)

    found, other = (
        table(topaz(f"extract {name} -m m_epoch1.sav -r 6 -t -99 -d -1").out)
        for name in ("pre/mic_0.mrc", "other.mrc")
    )

    scores = [[row[3] for row in rows] for rows in (found, other)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    assert len(found) > 5


@pytest.mark.parametrize(("epochs", "names"), [(2, ["1", "2"]), (12, ["01", "12"])])
def test_detector_numbers_have_the_digits_of_topaz(epochs, names, topaz, prepared):
    train(topaz, f"-n 8 --num-epochs {epochs} --save-prefix out/m -o out/c.txt")

    saved = sorted(path.name for path in (prepared / "out").glob("*.sav"))
    assert len(saved) == epochs
    assert (saved[0], saved[-1]) == tuple(f"m_epoch{name}.sav" for name in names)
    assert math.ceil(math.log10(epochs)) == len(names[0])


def test_too_few_expected_particles_are_corrected_and_reported(topaz, prepared):
    told = train(topaz, "-n 2 --num-epochs 1")

    assert f"using {1.05 * tiny.PER_MICROGRAPH:g}" in told.err
    assert told.out.startswith("epoch\titer\tsplit\t")  # the curve, as there is no file for it


@pytest.mark.parametrize(
    "options",
    [
        "--pi 0.02",
        "--method PN",
        "--method PU -n 9",
        "-r 0 -n 9",
        "--method GE-KL -n 9 --slack 5 --autoencoder 0.1",
    ],
)
def test_every_training_method_is_accepted(options, topaz, prepared):
    rows = train(topaz, f"{options} --num-epochs 1 -k 3 --fold 1").out.splitlines()

    assert [row.split("\t")[2] for row in rows[1:]] == ["train", "test"]
    assert all(math.isfinite(float(cell)) for cell in rows[2].split("\t")[5:])


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ("--num-epochs 1", 2, "--num-particles is required"),
        ("-n 8 --num-epochs 0", 2, "must be at least 1"),
        ("-n 8 -k 9", 1, "--k-fold 9"),
        ("-n 8 -m nonet", 1, "networks are"),
        ("-n 8 --train-targets none.txt", 1, "no such file"),
        ("-n 8 --train-images labels.txt", 1, "image_name and path"),
    ],
)
def test_invalid_training_options_are_reported_in_one_line(options, status, text, topaz, prepared):
    assert text in train(topaz, options, status).err


def test_a_network_can_be_described_without_data(topaz):
    told = topaz("train --describe -m resnet8 --units 4 --bn off")

    assert "receptive field 71 px" in told.out
    assert "--bn off" in told.err
