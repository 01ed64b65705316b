"""Decisions on contrast, size and scale by the scores of the first micrographs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.errors import InputError, SettingsError
from cryopick.io.images.mrc import write_mrc
from cryopick.model.calibration import Calibration
from cryopick.model.model_file import Model
from cryopick.model.networks import extract_network
from cryopick.pick.decisions import resolve_settings
from cryopick.pick.elongated import ScoresAlong
from cryopick.pick.evidence import (
    Evidence,
    measure_evidence,
    measure_size_evidence,
    prefer_given_size,
)
from cryopick.pick.picker import Picker
from cryopick.pick.probe import Probe, ProbePlan, probe_micrographs
from cryopick.pick.settings import PickSettings
from cryopick.preprocess.normalize import Normalization
from cryopick.workflows.table_output import TableOutput

CPU = torch.device("cpu")
PIXEL_ANG, DIAMETER_ANG = 2.0, 108.0
CENTRES = np.array([[100.0, 90.0], [400.5, 120.25], [240.3, 370.9], [449.5, 380.0]])
# The network answers to bright blobs of a standard deviation of 10 pixels, 108 Å across.
MODEL = Model(
    network=extract_network(oracles.blob_scorer()),
    diameter_ang=DIAMETER_ANG,
    working_pixel_size_ang=4 * PIXEL_ANG,
    normalization=Normalization("affine"),
    label_radius_px=2.0,
    calibration=Calibration(1.0, -5.0),  # above the noise
    detects_contrast=True,
)


def micrograph(folder, *, zoom=1.0, sign=1, name="a.mrc"):
    """Write blobs of `zoom` times 108 Å."""
    image = oracles.blobs((509, 577), CENTRES, sigma=10.0 * zoom)
    path = folder / name
    write_mrc(path, sign * np.asarray(image), pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))
    return path


def resolve(paths, **settings):
    return resolve_settings(MODEL, PickSettings(**settings), CPU, paths)


@pytest.fixture
def probe_scale(monkeypatch):
    """Replace the network by one whose scores fall off from those at a size of 108 Å."""

    def probe(model, settings, device, paths, plan):
        logits = {
            (contrast, size): np.full(12, height - 4 * abs(np.log(size / DIAMETER_ANG)))
            for size in plan.sizes_ang
            for contrast, height in (("dark", 4.0), ("bright", 0.5))
        }
        along = {
            (contrast, size, length): ScoresAlong(np.full(5, 0.4), np.ones(20))
            for contrast, size in logits
            for length in plan.lengths_ang
        }
        return Probe(logits, {}, dict.fromkeys(plan.sizes_ang, 1e6), 1, along)

    monkeypatch.setattr("cryopick.pick.decisions.probe_micrographs", probe)


@pytest.mark.usefixtures("probe_scale")
def test_the_size_of_the_particles_is_estimated():
    settings, decisions = resolve([])

    assert DIAMETER_ANG / 1.15 < settings.diameter_ang < DIAMETER_ANG * 1.15
    assert settings.scale_ang == settings.diameter_ang
    (told,) = decisions
    assert told.subject == "size"
    assert told.message.startswith(f"size not given: estimated {settings.diameter_ang:.0f} Å")
    assert f"{settings.diameter_ang:.0f} Å 1.00" in told.message


@pytest.mark.parametrize(("n_peaks", "is_told"), [(4, True), (40, False)])
def test_a_size_that_rests_on_few_peaks_is_reported_as_unsure(monkeypatch, n_peaks, is_told):
    def probe(model, settings, device, paths, plan):
        logits = {("dark", size): np.full(n_peaks, 2.0) for size in plan.sizes_ang}
        along = {
            (*key, length): ScoresAlong(np.full(5, 0.4), np.ones(20))
            for key in logits
            for length in plan.lengths_ang
        }
        return Probe(logits, {}, dict.fromkeys(plan.sizes_ang, 1e9), 8, along)

    monkeypatch.setattr("cryopick.pick.decisions.probe_micrographs", probe)

    _, (told,) = resolve([], contrast="dark")

    assert ("few particles are clear" in told.message) == is_told


@pytest.mark.usefixtures("probe_scale")
@pytest.mark.parametrize("factor", [0.55, 0.67, 1.5, 1.9])
def test_a_wrong_diameter_is_made_up_for_by_the_scale(factor):
    given_ang = factor * DIAMETER_ANG

    settings, decisions = resolve([], diameter_ang=given_ang)

    assert settings.diameter_ang == given_ang
    assert DIAMETER_ANG / 1.25 < settings.scale_ang < DIAMETER_ANG * 1.25
    picker = Picker.create(MODEL, settings, CPU)
    assert picker.radius_ang == pytest.approx(0.6 * min(settings.scale_ang, given_ang))
    assert [decision.subject for decision in decisions] == ["size"]


@pytest.mark.usefixtures("probe_scale")
def test_a_diameter_that_is_nearly_right_is_kept_quietly():
    settings, decisions = resolve([], diameter_ang=DIAMETER_ANG)

    assert (settings.scale_ang, decisions) == (DIAMETER_ANG, [])


@pytest.mark.usefixtures("probe_scale")
def test_the_scale_of_elongated_particles_may_be_much_finer():
    settings, _ = resolve([], diameter_ang=3 * DIAMETER_ANG, width_ang=30.0)

    assert DIAMETER_ANG / 1.15 < settings.scale_ang < DIAMETER_ANG * 1.15


@pytest.mark.usefixtures("probe_scale")
def test_a_size_outside_a_range_is_not_chosen():
    settings, _ = resolve([], diameter_range_ang=(150.0, 300.0))

    assert settings.diameter_ang == pytest.approx(150.0)
    assert settings.diameter_range_ang is None


@pytest.mark.parametrize(("sign", "contrast"), [(1, "dark"), (-1, "bright")])
def test_the_contrast_of_the_particles_is_detected(tmp_path, sign, contrast):
    settings, decisions = resolve([micrograph(tmp_path, sign=sign)], diameter_ang=DIAMETER_ANG)

    assert settings.contrast == contrast
    assert any("particles are bright" in one.message for one in decisions) == (sign < 0)


def test_what_is_given_is_kept_without_reading_micrographs(tmp_path):
    given = PickSettings(diameter_ang=200.0, scale_ang=150.0, contrast="bright")

    assert resolve_settings(MODEL, given, CPU, [tmp_path / "missing.mrc"]) == (given, [])


def test_models_trained_on_labels_keep_their_size_and_contrast(tmp_path):
    trained = replace(MODEL, detects_contrast=False)

    settings, decisions = resolve_settings(
        trained, PickSettings(), CPU, [micrograph(tmp_path, zoom=2.0, sign=-1)]
    )

    assert (settings, decisions) == (PickSettings(), [])


def test_a_size_cannot_be_estimated_without_particles(tmp_path):
    with pytest.raises(InputError, match="add --diameter-ang"):
        resolve([tmp_path / "missing.mrc"])


def test_scores_are_probed_at_all_sizes_and_both_contrasts(tmp_path):
    paths = [tmp_path / "missing.mrc", micrograph(tmp_path)]

    plan = ProbePlan([4.0, 80.0, 108.0, 5000.0])

    probe = probe_micrographs(MODEL, PickSettings(), CPU, paths, plan)

    assert probe.micrographs == 1
    assert probe.sizes_ang == [80.0, 108.0]  # the others do not fit the micrograph
    one, other = (probe.logits["dark", size] for size in probe.sizes_ang)
    assert len(other) >= len(CENTRES)
    assert sorted(one)[-4] > sorted(other)[-4]  # less blurred, less noise
    assert len(probe.logits["bright", 108.0]) == 0


def test_evidence_is_that_of_strong_peaks_per_area():
    logits = {("dark", 100.0): np.array([3.0, 1.0]), ("bright", 100.0): np.array([1.0])}
    once = measure_evidence(Probe(logits, {}, {100.0: 1e6}, 1))
    twice = measure_evidence(Probe(logits, {}, {100.0: 2e6}, 1))

    dark, bright = ("dark", 100.0), ("bright", 100.0)
    assert once.values[dark] / once.values[bright] == pytest.approx(10.0)
    assert once.values[dark] == pytest.approx(2 * twice.values[dark])


def test_what_noise_alone_would_show_at_a_size_is_no_evidence_of_it():
    sizes_ang, side_ang = (50.0, 100.0, 200.0), 5000.0
    noise = {size: np.full(round(0.004 * (side_ang / size) ** 2), 0.5) for size in sizes_ang}
    logits = {("dark", size): peaks for size, peaks in noise.items()}
    logits["dark", 200.0] = np.append(noise[200.0], [1.0] * 9)

    measured = measure_size_evidence(Probe(logits, {}, dict.fromkeys(sizes_ang, 25e6), 1), "dark")
    evidence = prefer_given_size(measured, None)

    assert noise[50.0].sum() > logits["dark", 200.0].sum()
    assert evidence[50.0] == evidence[100.0] == 0 < evidence[200.0]


@pytest.mark.parametrize(
    ("other", "best_ang"), [(3.0, 160.0), (4.0, 160.0), (6.0, 60.0)], ids=["equal", "near", "clear"]
)
def test_a_given_size_is_preferred_to_sizes_without_clearly_more_evidence(other, best_ang):
    logits = {60.0: np.full(100, other), 100.0: np.full(100, 1.0), 160.0: np.full(100, 3.0)}
    probe = Probe(
        {("dark", size): peaks for size, peaks in logits.items()},
        {},
        dict.fromkeys(logits, 1e6),
        1,
    )

    evidence = prefer_given_size(measure_size_evidence(probe, "dark"), 150.0)

    assert max(evidence, key=evidence.__getitem__) == best_ang


def test_bright_needs_more_evidence_than_dark():
    def contrast(bright):
        return Evidence({("dark", 90.0): 1.0, ("bright", 120.0): bright}, 1).contrast

    assert [contrast(value) for value in (0.5, 1.1, 1.3)] == ["dark", "dark", "bright"]


def test_a_few_bright_peaks_of_noise_do_not_make_the_particles_bright():
    def measure(dark, bright):
        logits = {("dark", 100.0): np.array(dark), ("bright", 120.0): np.array(bright)}
        return measure_evidence(Probe(logits, {}, {100.0: 1e6, 120.0: 1e6}, 1))

    few, many = measure([1.0] * 3, [1.0] * 5), measure([1.0] * 30, [1.0] * 50)

    assert [few.contrast, many.contrast] == ["dark", "bright"]
    assert few.is_contrast_doubtful
    assert many.is_contrast_doubtful  # worth another look
    assert few.best_sizes == [100.0, 120.0]
    clear, dark = measure([0.5] * 10, [3.0] * 30), measure([1.0] * 5, [1.0] * 5)
    assert [clear.contrast, clear.is_contrast_doubtful] == ["bright", False]
    assert [dark.contrast, dark.is_contrast_doubtful] == ["dark", False]


def test_bright_noise_at_a_fine_size_is_no_evidence_against_dark_particles_at_a_coarse_one():
    sizes_ang, area_ang2 = (50.0, 150.0), 25e6
    noise = {size: np.full(round(0.007 * area_ang2 / size**2), 0.5) for size in sizes_ang}
    logits = {("bright", size): peaks for size, peaks in noise.items()}
    logits |= {("dark", size): peaks for size, peaks in noise.items()}
    logits["dark", 150.0] = np.append(noise[150.0], [1.2] * 5)

    evidence = measure_evidence(Probe(logits, {}, dict.fromkeys(sizes_ang, area_ang2), 1))

    assert evidence.values["bright", 50.0] > evidence.values["dark", 150.0]
    assert evidence.best("bright") < evidence.best("dark")
    assert evidence.contrast == "dark"


def test_a_doubtful_contrast_is_decided_on_more_micrographs(monkeypatch):
    seen = []

    def probe(model, settings, device, paths, plan):
        seen.append(list(plan.sizes_ang))
        bright = 5 if len(seen) == 1 else 30  # of which the second look sees more, beside more dark
        logits = {}
        for size in plan.sizes_ang:
            logits["dark", size] = np.ones(3 if len(seen) == 1 else 60)
            logits["bright", size] = np.ones(bright)
        area_ang2 = 1e6 * (1 if len(seen) == 1 else 8)
        return Probe(logits, {}, dict.fromkeys(plan.sizes_ang, area_ang2), 1)

    monkeypatch.setattr("cryopick.pick.decisions.probe_micrographs", probe)
    settings = PickSettings(diameter_ang=100.0, scale_ang=100.0, contrast="auto")

    resolved, _ = resolve_settings(MODEL, settings, CPU, [Path("a.mrc")])

    assert seen == [[100.0], [100.0]]
    assert resolved.contrast == "dark"


def test_all_shards_decide_on_the_same_micrographs(tmp_path):
    paths = [tmp_path / f"{number}.mrc" for number in range(6)]

    shards = [
        TableOutput.plan(paths, str(tmp_path / "out.tsv"), f"{number}/3", table_format=None)
        for number in (1, 2, 3)
    ]

    assert [shard.first_micrographs for shard in shards] == [tuple(paths)] * 3
    assert shards[0].micrographs != shards[1].micrographs


@pytest.mark.parametrize("sizes", [(0.0, 100.0), (120.0, 100.0), (100.0,)])
def test_an_impossible_range_is_refused(sizes):
    with pytest.raises(SettingsError, match="diameter_range_ang must be two sizes"):
        PickSettings(diameter_range_ang=sizes)
