"""Topaz-compatible command line on images: preprocessing and picking."""

import io
import json

import mrcfile
import numpy as np
import pytest
import torch
from tests import tiny
from tests.topaz_networks import network

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.model_file import load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings


def table(text):
    """The rows of a table as name, x, y, score."""
    header, *rows = text.splitlines()
    assert header.split("\t") == ["image_name", "x_coord", "y_coord", "score"]
    cells = [row.split("\t") for row in rows]
    return [(name, int(x), int(y), float(score)) for name, x, y, score in cells]


def score_map(folder, name, peaks, shape=(40, 50)):
    scores = np.full(shape, -9.0, np.float32)
    for x, y, score in peaks:
        scores[y, x] = score
    write_mrc(folder / name, scores, pixel_size_ang=None, overwrite=True)


def test_preprocessing_normalizes_the_background_and_updates_the_pixel_size(topaz, mics, tmp_path):
    topaz("preprocess mics/mic_0.mrc mics/mic_1.mrc -s 2 -o pre --metadata --format mrc,png,tif")

    made = read_micrograph(tmp_path / "pre" / "mic_0.mrc")
    assert made.pixel_size_ang == pytest.approx(2 * tiny.PIXEL_ANG)
    assert made.pixels.shape == (48, 56)
    assert abs(float(np.median(made.pixels))) < 0.5
    assert 0.5 < float(made.pixels.std()) < 2
    with mrcfile.open(tmp_path / "pre" / "mic_0.mrc", header_only=True) as file:
        assert (file.header.mx, file.header.my) == (56, 48)
    names = {path.name for path in (tmp_path / "pre").iterdir()}
    assert names == {
        f"mic_{i}.{end}" for i in range(2) for end in ("mrc", "png", "tiff", "metadata.json")
    }
    assert json.loads((tmp_path / "pre" / "mic_0.metadata.json").read_text())["scale"] == 2


def test_affine_preprocessing_gives_mean_0_and_standard_deviation_1(topaz, mics, tmp_path):
    topaz("normalize mics/*.mrc --affine --destdir=pre")

    for path in (tmp_path / "pre").glob("*.mrc"):
        pixels = read_micrograph(path).pixels
        assert pixels.mean() == pytest.approx(0, abs=0.02)
        assert pixels.std() == pytest.approx(1, abs=0.02)


def test_a_broken_micrograph_is_reported_and_the_others_are_processed(topaz, mics, tmp_path):
    (mics / "mic_1.mrc").write_bytes(b"nothing")

    told = topaz("preprocess mics -o pre", 1)

    assert "mic_1.mrc" in told.err
    assert sorted(path.name for path in (tmp_path / "pre").iterdir()) == ["mic_0.mrc", "mic_2.mrc"]


def test_a_micrograph_overwrites_neither_itself_nor_another(topaz, mics, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mic_0.mrc").write_bytes((mics / "mic_0.mrc").read_bytes())

    assert "overwrite itself" in topaz("preprocess mics/mic_0.mrc -o mics", 1).err
    assert "both be written" in topaz("preprocess mics/mic_0.mrc more/mic_0.mrc -o pre", 1).err


def test_downsampling_keeps_the_mean_and_updates_the_pixel_size(topaz, mics, tmp_path):
    topaz("downsample mics/mic_0.mrc -s 4 -o small.mrc")

    raw, small = (read_micrograph(p) for p in (mics / "mic_0.mrc", tmp_path / "small.mrc"))
    assert small.pixels.shape == (24, 28)
    assert small.pixels.mean() == pytest.approx(raw.pixels.mean(), rel=1e-4)
    assert small.pixel_size_ang == pytest.approx(4 * tiny.PIXEL_ANG)


def test_particles_are_peaks_by_descending_score_at_least_a_radius_apart(topaz, tmp_path):
    score_map(tmp_path, "a.mrc", [(10, 10, 3), (13, 14, 2), (14, 13, 1), (40, 30, 2.5)])

    found = table(topaz("extract a.mrc -m none -r 5 -t -6").out)

    assert found == [("a", 10, 10, 3), ("a", 40, 30, 2.5)]  # (3, 4) is 5 away: suppressed
    assert len(table(topaz("extract a.mrc -m none -r 4.9").out)) == 3


@pytest.mark.parametrize(("scales", "x"), [("-x 3", 15), ("-s 2", 2), ("-x 3 -s 2", 8)])
def test_coordinates_are_scaled_and_rounded_to_even(scales, x, topaz, tmp_path):
    score_map(tmp_path, "a.mrc", [(5, 20, 1)])

    assert table(topaz(f"extract a.mrc -m none -r 3 {scales}").out)[0][1] == x


def test_names_may_come_from_stdin(topaz, tmp_path, monkeypatch):
    for name in "ab":
        score_map(tmp_path, f"{name}.mrc", [(5, 20, 1)])
    monkeypatch.setattr("sys.stdin", io.StringIO("a.mrc\n\nb.mrc\n"))

    found = table(topaz("extract -m none -r 3").out)

    assert [row[0] for row in found] == ["a", "b"]


@pytest.mark.parametrize("kind", ["coord", "csv", "star", "json", "box"])
def test_each_micrograph_can_have_its_own_table_beside_it(kind, topaz, mics, tmp_path):
    for name in "ab":
        score_map(mics, f"{name}.mrc", [(15, 20, 1 if name == "a" else -8)])

    topaz(f"extract mics/a.mrc mics/b.mrc -m none -r 3 --per-micrograph --format {kind}")

    made = mics / f"a.{kind}"  # as Topaz names them
    np.testing.assert_allclose(read_picks(made).xy_px, [[15, 20]])
    assert made.with_name(made.name.replace("a", "b", 1)).exists()


def test_a_folder_as_output_gets_the_table(topaz, tmp_path):
    score_map(tmp_path, "a.mrc", [(5, 20, 1)])
    (tmp_path / "out").mkdir()

    topaz("extract a.mrc -m none -r 3 -o out")

    assert len(table((tmp_path / "out" / "extracted.txt").read_text())) == 1


def test_the_radius_is_the_one_that_ranks_the_targets_best(topaz, tmp_path):
    score_map(tmp_path, "a.mrc", [(10, 10, 3), (16, 10, 2.9), (40, 30, 1)])
    (tmp_path / "t.txt").write_text("image_name\tx_coord\ty_coord\na\t10\t10\na\t40\t30\n")
    options = "-m none --targets t.txt --min-radius 5 --max-radius 9 --step-radius 2 -t -1"

    told = topaz(f"extract a.mrc {options} --assignment-radius 3")
    judged = topaz(f"extract a.mrc {options} --assignment-radius 3 --only-validate")

    assert [row[1:3] for row in table(told.out)] == [(10, 10), (40, 30)]
    assert told.err.splitlines()[0].split("\t") == ["radius", "auprc", "recall", "predicted"]
    areas = {row.split("\t")[0]: row.split("\t")[1] for row in judged.out.splitlines()[1:]}
    assert areas == {"5": "0.833333", "7": "1", "9": "1"}


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("extract a.mrc -m none", 2, "--radius is required"),
        ("extract a.mrc -m none -r 0", 2, "--radius must be above 0"),
        ("extract a.mrc -m none -r 3 --dims 3", 2, "picking in tomograms is not supported"),
        ("extract a.mrc -r 3 -m none.sav", 1, "no such model file"),
        ("extract no*.mrc -r 3 -m none", 1, "no file matches"),
        ("extract a.mrc -m none -r 3 -x 0", 1, "scales must be above 0"),
        ("segment a.mrc -o maps", 1, "needs the size of the particles"),
        ("extract --targets t.txt a.mrc", 1, "needs the size of the particles"),
    ],
)
def test_invalid_requests_are_reported_in_one_line(line, status, text, topaz, tmp_path):
    score_map(tmp_path, "a.mrc", [(5, 20, 1)])

    told = topaz(line, status)

    assert text in told.err
    assert told.out == ""


def test_picks_of_a_topaz_detector_equal_those_of_its_score_map(topaz, mics, tmp_path):
    torch.save(network("conv31").state_dict(), tmp_path / "a.sav")

    direct = topaz("extract mics/mic_0.mrc -m a.sav -r 6 -t -99 -d -1").out
    topaz("segment mics/mic_0.mrc -m a.sav -o maps -d -1")
    by_map = topaz("extract maps/mic_0.tiff -m none -r 6 -t -99").out

    assert direct == by_map
    assert len(table(direct)) > 20


def test_a_model_of_cryopick_picks_at_its_own_scale_whatever_the_header_says(topaz, tmp_path):
    model = tiny.model(tmp_path / "m.safetensors")
    image, _ = tiny.blobs(3, (192, 224))
    write_mrc(tmp_path / "raw.mrc", image, pixel_size_ang=(77.0, 77.0))
    radius_px = model.diameter_px  # so the image is brought to half its size

    found = table(topaz(f"extract raw.mrc -m m.safetensors -r {radius_px} -t -99 -d -1").out)
    picker = Picker.create(
        load_model(tmp_path / "m.safetensors"),
        PickSettings(
            threshold=-99.0,
            pixel_size_ang=tiny.DIAMETER_ANG / (2 * radius_px),
            radius_ang=tiny.DIAMETER_ANG / 2,
        ),
        torch.device("cpu"),
    )

    expected = picker.pick(tmp_path / "raw.mrc")
    np.testing.assert_allclose([row[1:3] for row in found], expected.xy_px, atol=0.51)
