"""The topaz-compatible command line on images: preparation, picking, filaments, training."""

import io
import json
import math

import mrcfile
import numpy as np
import pytest
import torch
from tests import tiny
from tests.unit.test_clients_sav import network

from cryopick.clients.topaz.app import run_words
from cryopick.clients.topaz.detectors import Seen
from cryopick.clients.topaz.filaments import straight_pieces
from cryopick.io import read_micrograph, read_picks, write_mrc
from cryopick.learn import load_model
from cryopick.pick import Picker, PickSettings, ScoreMap

MODEL_OPTIONS = "--model conv31 --units 2 --epoch-size 33 -d -1"


@pytest.fixture
def topaz(monkeypatch, tmp_path, capsys):
    """Run a command line in a folder of its own, check its status, and give stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYOPICK_WORKER", "0")
    monkeypatch.delenv("CRYOPICK_DEBUG", raising=False)

    def run(line, status=0):
        found = run_words(line.split(), "topaz")
        told = capsys.readouterr()
        assert found == status, told.err
        return told

    return run


@pytest.fixture
def mics(tmp_path):
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 3)
    return tmp_path / "mics"


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


def test_preparing_gives_background_0_and_1_and_the_new_pixel_size(topaz, mics, tmp_path):
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


def test_affine_preparation_is_mean_0_and_deviation_1(topaz, mics, tmp_path):
    topaz("normalize mics/*.mrc --affine --destdir=pre")

    for path in (tmp_path / "pre").glob("*.mrc"):
        pixels = read_micrograph(path).pixels
        assert pixels.mean() == pytest.approx(0, abs=0.02)
        assert pixels.std() == pytest.approx(1, abs=0.02)


def test_a_broken_micrograph_is_told_and_the_others_are_prepared(topaz, mics, tmp_path):
    (mics / "mic_1.mrc").write_bytes(b"nothing")

    told = topaz("preprocess mics -o pre", 1)

    assert "mic_1.mrc" in told.err
    assert sorted(path.name for path in (tmp_path / "pre").iterdir()) == ["mic_0.mrc", "mic_2.mrc"]


def test_a_micrograph_is_not_written_over_itself_nor_another(topaz, mics, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mic_0.mrc").write_bytes((mics / "mic_0.mrc").read_bytes())

    assert "over itself" in topaz("preprocess mics/mic_0.mrc -o mics", 1).err
    assert "both be written" in topaz("preprocess mics/mic_0.mrc more/mic_0.mrc -o pre", 1).err


def test_shrinking_one_keeps_its_mean_and_says_its_pixel_size(topaz, mics, tmp_path):
    topaz("downsample mics/mic_0.mrc -s 4 -o small.mrc")

    raw, small = (read_micrograph(p) for p in (mics / "mic_0.mrc", tmp_path / "small.mrc"))
    assert small.pixels.shape == (24, 28)
    assert small.pixels.mean() == pytest.approx(raw.pixels.mean(), rel=1e-4)
    assert small.pixel_size_ang == pytest.approx(4 * tiny.PIXEL_ANG)


def test_particles_are_peaks_by_descending_score_none_within_the_radius(topaz, tmp_path):
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
def test_each_micrograph_can_have_a_table_of_its_own_beside_it(kind, topaz, mics, tmp_path):
    for name in "ab":
        score_map(mics, f"{name}.mrc", [(15, 20, 1 if name == "a" else -8)])

    topaz(f"extract mics/a.mrc mics/b.mrc -m none -r 3 --per-micrograph --format {kind}")

    endings = {"coord": ".txt", "csv": ".csv", "json": "_info.json"}
    made = mics / f"a{endings.get(kind, f'.{kind}')}"
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
        ("extract a.mrc -m none", 2, "--radius is needed"),
        ("extract a.mrc -m none -r 0", 2, "--radius must be above 0"),
        ("extract a.mrc -m none -r 3 --dims 3", 2, "tomograms are not offered"),
        ("extract a.mrc -r 3 -m none.sav", 1, "no such model file"),
        ("extract no*.mrc -r 3 -m none", 1, "no file matches"),
        ("extract a.mrc -m none -r 3 -x 0", 1, "scales must be above 0"),
        ("segment a.mrc -o maps", 1, "has to know how large"),
        ("extract --targets t.txt a.mrc", 1, "has to know how large"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(line, status, text, topaz, tmp_path):
    score_map(tmp_path, "a.mrc", [(5, 20, 1)])

    told = topaz(line, status)

    assert text in told.err
    assert told.out == ""


def test_a_detector_of_topaz_finds_in_its_map_what_it_finds_at_once(topaz, mics, tmp_path):
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
    picker = Picker.ready(
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


@pytest.fixture
def prepared(topaz, mics, tmp_path):
    """Micrographs as a client prepares them, with labels and a list."""
    topaz("preprocess mics -o pre")
    topaz("convert labels.tsv -o labels.txt")
    lines = [f"mic_{i}\tpre/mic_{i}.mrc" for i in range(3)]
    (tmp_path / "list.txt").write_text("\n".join(["image_name\tpath", *lines, ""]))
    return tmp_path


def train(topaz, options, status=0):
    data = "--train-images list.txt --train-targets labels.txt"
    return topaz(f"train {data} {MODEL_OPTIONS} {options}", status)


def test_what_is_learnt_does_not_depend_on_the_units_of_intensity(topaz, prepared):
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
def test_detectors_are_numbered_as_wide_as_topaz_does(epochs, names, topaz, prepared):
    train(topaz, f"-n 8 --num-epochs {epochs} --save-prefix out/m -o out/c.txt")

    saved = sorted(path.name for path in (prepared / "out").glob("*.sav"))
    assert len(saved) == epochs
    assert (saved[0], saved[-1]) == tuple(f"m_epoch{name}.sav" for name in names)
    assert math.ceil(math.log10(epochs)) == len(names[0])


def test_fewer_particles_expected_than_labelled_is_mended_and_told(topaz, prepared):
    told = train(topaz, "-n 2 --num-epochs 1")

    assert f"taking {1.05 * tiny.PER_MICROGRAPH:g}" in told.err
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
def test_every_way_to_learn_is_taken(options, topaz, prepared):
    rows = train(topaz, f"{options} --num-epochs 1 -k 3 --fold 1").out.splitlines()

    assert [row.split("\t")[2] for row in rows[1:]] == ["train", "test"]
    assert all(math.isfinite(float(cell)) for cell in rows[2].split("\t")[5:])


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ("--num-epochs 1", 2, "--num-particles is needed"),
        ("-n 8 --num-epochs 0", 2, "must be at least 1"),
        ("-n 8 -k 9", 1, "--k-fold 9"),
        ("-n 8 -m nonet", 1, "no network of"),
        ("-n 8 --train-targets none.txt", 1, "no such file"),
        ("-n 8 --train-images labels.txt", 1, "image_name and path"),
    ],
)
def test_training_that_cannot_be_is_said_in_one_line(options, status, text, topaz, prepared):
    assert text in train(topaz, options, status).err


def test_a_network_can_be_described_without_data(topaz):
    told = topaz("train --describe -m resnet8 --units 4 --bn off")

    assert "receptive field 71 px" in told.out
    assert "--bn off" in told.err


def band(shape, start, end, half_width=5):
    """Pixels within a distance of a line."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    step = np.subtract(end, start) / np.hypot(*np.subtract(end, start))
    along = (x - start[0]) * step[0] + (y - start[1]) * step[1]
    aside = abs((y - start[1]) * step[0] - (x - start[0]) * step[1])
    length = np.hypot(*np.subtract(end, start))
    return (aside <= half_width) & (along >= 0) & (along <= length)


def filaments(on, length_px, radius_px=6.0):
    """Straight pieces in a map of two scores and a little noise."""
    noise = np.random.default_rng(0).normal(0, 0.3, on.shape)
    scores = ScoreMap((np.where(on, 3.0, -8.0) + noise).astype(np.float32), 1)
    seen = Seen(scores, np.ones(on.shape, bool), (1.0, 1.0), on.shape, is_exact=True)
    return straight_pieces(seen, radius_px=radius_px, length_px=length_px, threshold=-3.0)


@pytest.mark.parametrize(
    "ends", [[((10, 20), (140, 40))], [((10, 20), (140, 40)), ((20, 110), (150, 70))]]
)
def test_a_filament_is_one_pair_of_ends_close_to_its_own(ends):
    on = np.any([band((128, 160), *pair) for pair in ends], axis=0)

    found = filaments(on, 40.0)

    assert len(found) == len(ends)
    for pair in ends:
        both = np.array([[*pair[0], *pair[1]], [*pair[1], *pair[0]]])
        away = np.abs(found[:, None] - both).max(axis=2).min()
        assert away < 12  # a width


def test_a_bent_filament_is_a_chain_of_pieces_that_stay_on_it():
    y, x = np.mgrid[:160, :160]
    on = abs(np.hypot(x - 20, y - 150) - 100) < 6

    found = filaments(on, 40.0)

    assert len(found) > 1
    np.testing.assert_allclose(found[1:, :2], found[:-1, 2:])
    middles = (found[:, :2] + found[:, 2:]) / 2
    np.testing.assert_allclose(np.hypot(*(middles - [20, 150]).T), 100, atol=6)


def test_a_filament_shorter_than_asked_is_none():
    on = band((96, 96), (30, 40), (60, 40))

    assert filaments(on, 80.0).shape == (0, 4)
    assert len(filaments(on, 10.0)) == 1
