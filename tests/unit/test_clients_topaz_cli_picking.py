"""Topaz-compatible command line on images: preprocessing and picking."""

import io
import json
import re
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
import torch
from tests import tiny
from tests.topaz_networks import network

from cryopick.clients.topaz_cli import detectors
from cryopick.clients.topaz_cli.particle_size import choose_pick_settings
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.device import CPU
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings


def table(text):
    """The rows of a table as name, x, y, score."""
    header, *rows = text.splitlines()
    assert header.split("\t") == ["image_name", "x_coord", "y_coord", "score"]
    cells = [row.split("\t") for row in rows]
    return [(name, int(x), int(y), float(score)) for name, x, y, score in cells]


def simulate(path, number, **options):
    """Write a micrograph of ten particles, and return their centres (x, y)."""
    image, xy_px = tiny.particles(number, **options)
    write_mrc(path, image, pixel_size_ang=None, overwrite=True)
    return xy_px


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
        ("extract a.mrc -m none -r 3 --dims 3", 2, "use `cryopick tomo pick`"),
        ("extract a.mrc -r 3 -m none.sav", 1, "no such model file"),
        ("extract no*.mrc -r 3 -m none", 1, "no file matches"),
        ("extract a.mrc -m none -r 3 -x 0", 1, "scales must be above 0"),
        ("extract a.mrc -r 3 --particle-diameter 0", 2, "must be above 0"),
        ("extract a.mrc -m none --targets t.txt --step-radius 0", 2, "must be above 0"),
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


def test_a_model_of_cryopick_picks_at_the_given_size_whatever_the_header_says(topaz, tmp_path):
    model = tiny.model(tmp_path / "m.safetensors")
    image, _ = tiny.blobs(3, (192, 224))
    write_mrc(tmp_path / "raw.mrc", image, pixel_size_ang=(77.0, 77.0))
    size_px = 2 * model.diameter_px  # so the image is brought to half its size

    options = f"-m m.safetensors --particle-diameter {size_px} -r {size_px} -t -99 -d -1"
    found = table(topaz(f"extract raw.mrc {options}").out)
    picker = Picker.create(
        load_model(tmp_path / "m.safetensors"),
        PickSettings(
            threshold=-99.0,
            pixel_size_ang=tiny.DIAMETER_ANG / size_px,
            radius_ang=tiny.DIAMETER_ANG,
        ),
        torch.device("cpu"),
    )

    expected = picker.pick(tmp_path / "raw.mrc")
    np.testing.assert_allclose([row[1:3] for row in found], expected.xy_px, atol=0.51)


def reported_size(text):
    """The particle diameter that the program reports."""
    return float(re.search(r"particles of (\S+) pixels", text).group(1))


@pytest.mark.parametrize("zoom", [1, 2])
def test_the_general_model_finds_the_size_that_the_minimum_distance_does_not_change(
    zoom, topaz, tmp_path
):
    for number in range(2):
        simulate(tmp_path / f"m{number}.mrc", number, zoom=zoom)

    runs = [topaz(f"extract m0.mrc m1.mrc -m resnet16_u64 -r {r} -d -1 -t -6") for r in (2, 30)]

    sizes = [reported_size(told.err) for told in runs]
    assert sizes[0] == sizes[1]
    assert 21 * zoom / 1.3 < sizes[0] < 21 * zoom * 1.3
    near, far = (table(told.out) for told in runs)
    assert 0 < len(far) < len(near)
    assert far[0] == near[0]  # the same scores


def test_images_that_come_one_by_one_are_scored_at_one_size(topaz, tmp_path, monkeypatch):
    monkeypatch.setattr("cryopick.clients.topaz_cli.particle_size._EARLIER", defaultdict(list))
    sizes = []
    for number, diameter_px in enumerate([26.0, 15.0, 20.0, 15.0, 26.0]):
        simulate(tmp_path / "rank0.mrc", number, diameter_px=diameter_px)
        sizes.append(reported_size(topaz("extract rank0.mrc -r 2 -t 0 -d -1").err))

    assert sizes[1] < sizes[2] < sizes[0]
    assert sizes[3] == sizes[4] == sizes[2]  # the median of the first three


def test_every_pixel_is_scored_if_an_earlier_call_has_found_the_size(tmp_path, monkeypatch):
    monkeypatch.setattr("cryopick.clients.topaz_cli.particle_size._EARLIER", defaultdict(list))
    simulate(tmp_path / "a.mrc", 0)
    options = ("resnet16", load_model(GENERAL_MODEL), torch.device("cpu"), [tmp_path / "a.mrc"])

    first, dense = (choose_pick_settings(*options, step_px=step) for step in (None, 1))

    assert dense == replace(first, step_px=1)


def test_the_size_is_found_again_for_a_model_that_was_replaced_under_its_name(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("cryopick.clients.topaz_cli.particle_size._EARLIER", defaultdict(list))
    model, cpu, image = load_model(GENERAL_MODEL), torch.device("cpu"), tmp_path / "rank0.mrc"
    name = tmp_path / "m.safetensors"
    sizes = []
    for number, (content, diameter_px) in enumerate([("a", 15.0), ("a", 26.0), ("bb", 26.0)]):
        if not name.exists() or name.read_text() != content:
            name.write_text(content)
        simulate(image, number, diameter_px=diameter_px)
        sizes.append(choose_pick_settings(str(name), model, cpu, [image]).scale_ang)

    assert sizes[0] == sizes[1] < sizes[2]  # the lower median of two; then the new model's own


def test_a_model_is_read_and_compiled_again_only_if_its_file_has_changed(tmp_path, monkeypatch):
    created = []

    def create(model, *_):
        created.append(model)
        return Picker.create(model, *_)

    monkeypatch.setattr(detectors, "Picker", SimpleNamespace(create=create))
    model, image = tmp_path / "m.safetensors", tmp_path / "mic_0.mrc"
    tiny.model(model)
    tiny.micrographs(tmp_path, 1)
    for diameter_px in (12.0, 14.0):
        detectors.open_detector(str(model), [image], CPU, diameter_px=diameter_px)
    model.write_bytes(model.read_bytes())
    detectors.open_detector(str(model), [image], CPU, diameter_px=12.0)

    first, second, third = created
    assert first.network is second.network is not third.network


@pytest.mark.parametrize(("radius", "side"), [(2, 21), (40, 80)])
def test_boxes_have_the_side_of_the_particle_not_of_the_distance(topaz, tmp_path, radius, side):
    simulate(tmp_path / "a.mrc", 0)

    topaz(f"extract a.mrc -r {radius} --particle-diameter 21 -d -1 -t -6 --format box -o a.box")

    _, _, width, height = (tmp_path / "a.box").read_text().splitlines()[0].split()[:4]
    assert int(width) == int(height) == side


def test_filaments_are_as_wide_as_the_particles_not_as_the_distance(topaz, tmp_path, monkeypatch):
    widths = []

    def trace(_scored, *, radius_px, length_px, threshold):
        widths.append((radius_px, length_px, threshold))
        return np.zeros((0, 4))

    monkeypatch.setattr("cryopick.clients.topaz_cli.picking.trace_straight_pieces", trace)
    simulate(tmp_path / "a.mrc", 0)

    topaz("extract a.mrc -r 2 --particle-diameter 21 -d -1 -t -3 --filaments")

    assert widths == [(10.5, 21.0, -3.0)]


def test_an_image_without_particles_is_picked_all_the_same(topaz, tmp_path):
    noise = np.random.default_rng(0).normal(size=(96, 112)).astype(np.float32)
    write_mrc(tmp_path / "empty.mrc", noise, pixel_size_ang=None)

    told = topaz("extract empty.mrc -r 5 -t 3 -d -1")

    assert table(told.out) == []


def test_targets_choose_the_size_and_the_distance(topaz, tmp_path, monkeypatch):
    scored, score = [], Picker.score

    def record(self, path):
        scored.append((path.name, self.scale_ang))
        return score(self, path)

    monkeypatch.setattr(Picker, "score", record)
    xy_px = simulate(tmp_path / "a.mrc", 0)
    lines = [f"a\t{round(x)}\t{round(y)}" for x, y in xy_px]
    (tmp_path / "t.txt").write_text("\n".join(["image_name\tx_coord\ty_coord", *lines, ""]))

    told = topaz("extract a.mrc --targets t.txt -t 0 -d -1 --assignment-radius 8")

    assert "targets are ranked best" in told.err
    assert len(scored) == len(set(scored))  # nothing is scored twice
    assert 21 / 2 < reported_size(told.err) < 21 * 2
    best = np.array([row[1:3] for row in table(told.out)[: len(xy_px)]])
    distances = np.hypot(*(best[:, None] - xy_px).transpose(2, 0, 1)).min(axis=1)
    assert (distances < 8).sum() >= len(xy_px) - 1


@pytest.mark.parametrize("distance", ["", "-r 3", "-r 3 --targets t.txt"])
def test_particles_are_at_least_the_distance_of_the_model_apart(distance, topaz, mics, tmp_path):
    (tmp_path / "t.txt").write_text("image_name\tx_coord\ty_coord\nmic_0\t50\t50\n")

    told = topaz(f"extract mics/mic_0.mrc --particle-diameter 17 -t -6 -d -1 {distance}")

    xy_px = np.array([row[1:3] for row in table(told.out)])
    distances = np.hypot(*(xy_px[:, None] - xy_px).transpose(2, 0, 1))
    nearest = (distances + 1e9 * np.eye(len(xy_px))).min()
    assert nearest >= 0.6 * reported_size(told.err) - 1.5  # rounded to integers


def test_a_topaz_detector_needs_a_distance(topaz, mics, tmp_path):
    torch.save(network("conv31").state_dict(), tmp_path / "a.sav")

    assert "--radius is required" in topaz("extract mics/mic_0.mrc -m a.sav -d -1", 1).err
