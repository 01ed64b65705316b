import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.errors import MicrographError
from cryopick.inference import engine
from cryopick.inference.engine import optimize_for_inference
from cryopick.inference.score_map import ScoreMap, compute_score_map
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.model_file import Model, load_kept_model, save_model
from cryopick.model.networks import extract_network
from cryopick.pick.centring import measure_centre_offset
from cryopick.pick.picker import Picker, find_peaks, start_compiling, start_loading
from cryopick.pick.settings import PickSettings
from cryopick.preprocess.normalize import Normalization

CPU = torch.device("cpu")
PIXEL_ANG, DIAMETER_ANG = 2.0, 108.0
FACTOR = 4  # raw pixels per working pixel, or nearly: 4 divides neither side
SHAPE = (409, 577)
# as (x, y), some of them near the far corner where a wrong scale drifts most
CENTRES = np.array([[60.0, 50.0], [300.5, 120.25], [540.0, 60.0], [80.3, 370.9], [549.5, 380.0]])

MODEL = Model(
    network=extract_network(oracles.blob_scorer()),
    diameter_ang=DIAMETER_ANG,
    working_pixel_size_ang=PIXEL_ANG * FACTOR,
    normalization=Normalization("affine"),
    label_radius_px=2.0,
)


def micrograph(folder, *, shape=SHAPE, centres=CENTRES, zoom=1.0, size_ang=PIXEL_ANG):
    image = oracles.blobs(shape, centres, sigma=10.0 * zoom)
    path = folder / "a.mrc"
    write_mrc(path, image, pixel_size_ang=size_ang and (size_ang, size_ang))
    return path


def in_order(xy, middle=220.0):
    """Sort positions above the middle before those below, each from left to right."""
    return xy[np.lexsort((xy[:, 0], xy[:, 1] > middle))]


def picker(**values):
    return Picker.create(MODEL, PickSettings(threshold=-np.inf, **values), CPU)


def test_picks_match_the_particles_in_raw_pixels(tmp_path):
    path = micrograph(tmp_path)

    picks = picker().pick(path)

    np.testing.assert_allclose(
        in_order(picks.xy_px[:5]), in_order(CENTRES), atol=1.0
    )  # a quarter working pixel
    assert picks.micrographs == (str(path),)
    assert (np.diff(picks.score) <= 0).all()


@pytest.mark.parametrize("step_px", [1, 2, 4])
def test_any_step_finds_the_same_particles(tmp_path, step_px):
    picks = picker(step_px=step_px).pick(micrograph(tmp_path))

    np.testing.assert_allclose(in_order(picks.xy_px[:5]), in_order(CENTRES), atol=2.0)


def test_the_default_radius_is_six_tenths_of_the_diameter(tmp_path):
    path = micrograph(tmp_path)

    by_default = picker().pick(path)
    as_given = picker(radius_ang=0.6 * DIAMETER_ANG).pick(path)
    wider = picker(radius_ang=DIAMETER_ANG).pick(path)

    np.testing.assert_array_equal(by_default.xy_px, as_given.xy_px)
    assert len(wider) < len(by_default)
    gaps = np.linalg.norm(wider.xy_px[:, None] - wider.xy_px, axis=-1)
    # sub-pixel peaks may come nearer, by half a step each and along both axes
    slack = 2 * FACTOR * np.sqrt(2)
    least, radius_px = gaps[~np.eye(len(wider), dtype=bool)].min(), DIAMETER_ANG / PIXEL_ANG
    assert radius_px - slack < least < 1.3 * radius_px


def test_another_diameter_rescales_the_image(tmp_path):
    # everything twice as large, looked for at twice the diameter: the same working image
    small = picker()
    large = picker(diameter_ang=2 * DIAMETER_ANG)
    zoomed = micrograph(tmp_path, shape=(2 * SHAPE[0], 2 * SHAPE[1]), centres=2 * CENTRES, zoom=2.0)

    prepared, pixel_size_ang = large.prepare(zoomed)
    picks = large.pick(zoomed)

    result = in_order(picks.xy_px[:5], middle=440.0)
    assert prepared.image.shape == small.prepare(micrograph(tmp_path / "b"))[0].image.shape
    assert pixel_size_ang == PIXEL_ANG
    np.testing.assert_allclose(result, 2 * in_order(CENTRES), atol=2.0)
    assert large.diameter_ang == 2 * DIAMETER_ANG


def test_no_pick_is_within_the_margin(tmp_path):
    path = micrograph(tmp_path)
    margin_px = 60.0

    everywhere = picker().pick(path).xy_px
    inside = picker(margin_ang=margin_px * PIXEL_ANG).pick(path).xy_px

    far = ((everywhere >= margin_px) & (everywhere <= np.array(SHAPE[::-1]) - 1 - margin_px)).all(1)
    assert 0 < far.sum() < len(everywhere)
    np.testing.assert_array_equal(inside, everywhere[far])


def test_the_threshold_only_removes_picks(tmp_path):
    path = micrograph(tmp_path)
    everything = picker().pick(path)

    cut = Picker.create(MODEL, PickSettings(threshold=0.5), CPU).pick(path)

    assert 0 < len(cut) < len(everything)
    np.testing.assert_array_equal(cut.score, everything.score[everything.score >= 0.5])


def test_a_missing_pixel_size_raises_an_error(tmp_path):
    path = micrograph(tmp_path, size_ang=None)

    with pytest.raises(MicrographError, match=r"a\.mrc: .*pixel size; add --pixel-size-ang$"):
        picker().pick(path)

    np.testing.assert_allclose(
        picker(pixel_size_ang=PIXEL_ANG).pick(path).xy_px,
        picker().pick(micrograph(tmp_path / "b")).xy_px,
    )


def test_nothing_is_picked_on_a_dark_border_or_a_flat_patch(tmp_path):
    image = oracles.blobs(SHAPE, CENTRES, sigma=10.0)
    image[:, :40] = 0.0
    image[150:260, 380:500] = 30.0  # brighter than any particle
    write_mrc(tmp_path / "b.mrc", image, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))

    x, y = picker().pick(tmp_path / "b.mrc").xy_px.T

    half = FACTOR / 2  # sub-pixel peaks reach half a step beyond the usable area
    assert (x >= 40 - half).all()
    on_patch = (x > 380 + half) & (x < 500 - half) & (y > 150 + half) & (y < 260 - half)
    assert not on_patch.any()


def test_no_pick_is_on_an_unusable_or_non_finite_pixel():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(70, 90)).astype(np.float32)
    image[30, 50] = np.nan
    usable = rng.random((70, 90)) > 0.5
    scores = compute_score_map(optimize_for_inference(MODEL.network, step_px=1), image)

    xy, score = find_peaks(scores, usable, radius=3.0, threshold=-np.inf)

    assert len(xy) > 20
    assert np.isfinite(xy).all()
    assert np.isfinite(score).all()
    x, y = xy.T
    assert not ((abs(x - 50) < 15) & (abs(y - 30) < 15)).any()
    # each pick belongs to a usable pixel at most half a pixel away
    rows, columns = np.nonzero(usable)
    gaps = np.maximum(abs(x[:, None] - columns), abs(y[:, None] - rows)).min(axis=1)
    assert (gaps <= 0.5).all()


def test_an_unusable_peak_does_not_suppress_its_neighbours():
    logits = np.zeros((9, 9), np.float32)
    logits[4, 4], logits[4, 5] = 9.0, 5.0
    usable = np.ones((9, 9), bool)
    usable[4, 4] = False

    xy, score = find_peaks(ScoreMap(logits, 1), usable, radius=1.0, threshold=1.0)

    np.testing.assert_array_equal(xy, [[5.0, 4.0]])
    assert score.tolist() == [5.0]


@pytest.mark.parametrize("step_px", [2, 4])
def test_the_score_does_not_depend_on_the_position_relative_to_the_grid(step_px):
    y, x = np.mgrid[: 20 * step_px, : 20 * step_px]
    centres = step_px * np.array(
        [[5.0, 5.0], [14.5, 5.0], [5.5, 14.5]]
    )  # on the grid and between its points
    logits = sum(
        np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (1.2 * step_px) ** 2)) for cx, cy in centres
    ).astype(np.float32)

    xy, score = find_peaks(
        ScoreMap(logits[::step_px, ::step_px], step_px),
        np.ones(logits.shape, bool),
        radius=4.0 * step_px,
        threshold=0.5,
    )

    order = np.lexsort(xy.T)
    np.testing.assert_allclose(xy[order], centres[np.lexsort(centres.T)], atol=0.05 * step_px)
    np.testing.assert_allclose(score, 1.0, atol=0.03)


def test_anisotropic_scales_are_handled_per_axis():
    logits = np.zeros((9, 9), np.float32)
    logits[2, 2], logits[2, 6], logits[6, 2] = 9.0, 8.0, 7.0
    usable = np.ones((9, 9), bool)

    # along y 4 rows are 8 raw pixels and within the radius, along x 12 and beyond it
    xy, _ = find_peaks(ScoreMap(logits, 1), usable, radius=10.0, threshold=1.0, scale_yx=(2.0, 3.0))

    np.testing.assert_array_equal(xy, [[6.0, 4.0], [18.0, 4.0]])


def test_the_network_of_the_model_is_not_modified():
    before = {key: values.copy() for key, values in MODEL.network.weights.items()}

    ready = picker()

    assert ready.model == MODEL
    assert all(np.array_equal(before[k], v) for k, v in MODEL.network.weights.items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_prefetching_does_not_change_the_picks(tmp_path, precision):
    paths = []
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        paths.append(micrograph(tmp_path / str(number), centres=CENTRES[number % 3 :]))
    settings = PickSettings(threshold=-np.inf, precision=precision)
    alone = Picker.create(MODEL, settings, CPU)
    together = replace(alone, order=paths)

    for path in paths:
        one, other = alone.pick(path), together.pick(path)
        np.testing.assert_array_equal(one.xy_px, other.xy_px)
        np.testing.assert_array_equal(one.score, other.score)
        np.testing.assert_array_equal(
            alone.score(path).scores.logits, together.score(path).scores.logits
        )


def test_bfloat16_finds_the_same_particles(tmp_path):
    picks = picker(precision="bfloat16").pick(micrograph(tmp_path))

    np.testing.assert_allclose(in_order(picks.xy_px[:5]), in_order(CENTRES), atol=1.0)


def test_bright_particles_are_picked_after_inversion(tmp_path):
    path = micrograph(tmp_path)
    dark = picker().pick(path)
    image = read_micrograph(path).pixels
    write_mrc(path, -np.asarray(image), pixel_size_ang=(PIXEL_ANG,) * 2, overwrite=True)

    bright = picker(contrast="bright").pick(path)

    np.testing.assert_allclose(bright.xy_px[:5], dark.xy_px[:5], atol=0.01)
    np.testing.assert_allclose(bright.score[:5], dark.score[:5], atol=0.01)


def test_the_width_of_elongated_particles_sets_the_spacing():
    assert picker(diameter_ang=160.0).radius_ang == pytest.approx(96.0)
    assert picker(diameter_ang=160.0, width_ang=120.0).radius_ang == pytest.approx(60.0)
    assert picker(diameter_ang=160.0, width_ang=20.0).radius_ang == pytest.approx(80.0)  # a rod
    assert picker(diameter_ang=160.0, scale_ang=100.0).radius_ang == pytest.approx(60.0)
    assert picker(diameter_ang=160.0, radius_ang=7.0).radius_ang == 7.0


def test_the_scale_may_differ_from_the_diameter(tmp_path):
    path = micrograph(tmp_path)

    finer, usual = (picker(scale_ang=size).prepare(path)[0] for size in (DIAMETER_ANG / 2, None))

    assert finer.image.shape[0] == pytest.approx(2 * usual.image.shape[0], abs=1)


def test_the_centre_offset_of_the_model_is_subtracted(tmp_path):
    path = micrograph(tmp_path)
    shifted = replace(MODEL, centre_offset_px=(0.5, -0.25))
    settings = PickSettings(threshold=-np.inf)

    moved = (
        Picker.create(shifted, settings, CPU).pick(path).xy_px[:5] - picker().pick(path).xy_px[:5]
    )

    # times the 4 raw pixels of a working pixel, or nearly
    np.testing.assert_allclose(moved, np.tile([-2.0, 1.0], (5, 1)), atol=0.05)


def test_a_displacement_of_the_network_is_measured_on_turned_micrographs(tmp_path, monkeypatch):
    path = micrograph(tmp_path)
    moved = picker()
    compute = Picker.compute_scores

    def displace(self, image):
        scores = compute(self, image)
        shifted = np.roll(scores.logits, 2 // scores.step_px, axis=1)
        return replace(scores, logits=shifted - 5.5)  # only the blobs are above 0

    monkeypatch.setattr(Picker, "compute_scores", displace)
    monkeypatch.setattr("cryopick.pick.centring._MIN_PAIRS", len(CENTRES))

    offset_px = measure_centre_offset(moved, [tmp_path / "missing.mrc", path])

    np.testing.assert_allclose(offset_px, (2.0, 0.0), atol=0.15)
    assert measure_centre_offset(moved, [tmp_path / "missing.mrc"]) is None


def test_the_measured_displacement_replaces_that_of_the_model(tmp_path):
    path = micrograph(tmp_path)

    moved = (
        picker(centre_offset_px=(0.5, -0.25)).pick(path).xy_px[:5] - picker().pick(path).xy_px[:5]
    )

    np.testing.assert_allclose(moved, np.tile([-2.0, 1.0], (5, 1)), atol=0.05)


def test_a_model_brings_the_sides_and_the_scale_of_its_particles():
    rods = replace(MODEL, diameter_ang=300.0, width_ang=30.0, scale_ang=96.0)

    own = Picker.create(rods, PickSettings(), CPU)
    larger = Picker.create(rods, PickSettings(diameter_ang=600.0), CPU)

    assert (own.width_ang, own.scale_ang, own.radius_ang) == (30.0, 96.0, 150.0)
    assert (larger.width_ang, larger.scale_ang, larger.radius_ang) == (60.0, 192.0, 300.0)
    assert rods.diameter_px == 96.0 / (PIXEL_ANG * FACTOR)


def test_a_model_of_elongated_particles_filters_its_scores(tmp_path):
    path = micrograph(tmp_path)
    rods = replace(MODEL, width_ang=DIAMETER_ANG / 8)

    plain = picker().score(path).scores.logits
    filtered = Picker.create(rods, PickSettings(), CPU).score(path).scores.logits

    assert filtered.shape == plain.shape
    assert filtered.max() < plain.max()
    assert np.std(np.diff(filtered)) < np.std(np.diff(plain))


def test_a_picker_waits_for_the_network_that_is_compiled_in_the_background(monkeypatch):
    first, second = (extract_network(oracles.blob_scorer()) for _ in range(2))
    model = replace(MODEL, network=first, partner=EnsemblePartner(second, 1.0))
    is_compiling, may_finish = threading.Event(), threading.Event()
    compiled, create_engine = [], engine._create_engine

    def create_slowly(network, *options):
        compiled.append(network)
        is_compiling.set()
        assert may_finish.wait(10)
        return create_engine(network, *options)

    monkeypatch.setattr(engine, "_create_engine", create_slowly)
    start_compiling(model, PickSettings(), CPU)
    assert is_compiling.wait(10)
    pickers = []
    waiting = threading.Thread(
        target=lambda: pickers.append(Picker.create(model, PickSettings(), CPU))
    )
    waiting.start()
    may_finish.set()
    waiting.join(10)

    assert len(pickers) == 1
    assert compiled == [first, second]  # each once, in this order


def test_a_model_that_is_loaded_in_the_background_is_that_of_later_pickers(tmp_path, monkeypatch):
    compiled, create_engine = [], engine._create_engine

    def create(network, *options):
        compiled.append(network)
        return create_engine(network, *options)

    monkeypatch.setattr(engine, "_create_engine", create)
    save_model(MODEL, tmp_path / "m.safetensors")
    start_loading(tmp_path / "missing.safetensors", PickSettings(), "cpu")  # raises nothing
    start_loading(tmp_path / "m.safetensors", PickSettings(), "cpu")
    model = load_kept_model(tmp_path / "m.safetensors")
    Picker.create(model, PickSettings(), CPU)

    assert compiled == [model.network]
