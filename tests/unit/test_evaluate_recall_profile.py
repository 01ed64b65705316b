import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.errors import SettingsError
from cryopick.evaluate.recall_profile import find_angles, profile_recall
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks
from cryopick.report.recall_profile import plot_recall_profile


def particles(count, seed=0, **columns):
    """Particles on a wide grid, so that neighbours are far unless moved."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    xy = np.stack(np.divmod(np.arange(count), side), axis=1) * 100.0 + 50.0
    height = rng.uniform(-1, 1, count)
    extra = {
        "rot_deg": rng.uniform(-180, 180, count),
        "tilt_deg": np.degrees(np.arccos(height)),
    }
    return Picks.from_columns(["a"] * count, xy, None, extra | columns)


def scored(truth, is_found):
    return Picks.from_columns(
        ["a"] * int(is_found.sum()), truth.xy_px[is_found], np.ones(int(is_found.sum()))
    )


def profile(picks, truth, **options):
    return profile_recall(picks, truth, 5.0, **{"diameter_px": 20.0, **options})


def test_views_that_a_picker_misses_have_no_recall():
    truth = particles(900)
    is_top = truth.extra["tilt_deg"] < 60
    result = profile(scored(truth, ~is_top), truth)

    by_label = {one.label: one for one in result.bins["view"]}
    assert len(by_label) == 18
    for label, one in by_label.items():
        assert one.recall == (0.0 if label.startswith("tilt 0-60") else 1.0)
        assert one.low - 1e-9 <= one.recall <= one.high + 1e-9
    assert result.p_value["view"] < 1e-100
    assert result.recall == pytest.approx(1 - is_top.mean())


def test_a_picker_that_is_fair_to_all_views_shows_no_significant_difference():
    truth = particles(900)
    is_found = np.random.default_rng(1).random(900) < 0.7

    result = profile(scored(truth, is_found), truth)

    assert result.p_value["view"] > 0.01
    assert sum(one.n_truth for one in result.bins["view"]) == 900
    assert sum(one.n_found for one in result.bins["view"]) == is_found.sum()


def test_bins_of_views_have_about_equal_areas():
    result = profile(scored(particles(9000), np.ones(9000, bool)), particles(9000))

    counts = [one.n_truth for one in result.bins["view"]]
    # bands of equal area with 3 or 6 sectors: a quarter of 9000 particles by 3 or by 6
    for count in counts:
        assert min(abs(count - 750) / 27, abs(count - 375) / 19) < 5  # standard deviations


@given(st.floats(-720, 720), st.floats(-360, 360))
def test_angles_of_any_range_give_the_same_direction(rot, tilt):
    table = Picks.from_columns(
        ["a"],
        np.zeros((1, 2)),
        None,
        {"rlnAngleRot": np.array([rot]), "rlnAngleTilt": np.array([tilt])},
    )

    (azimuth, polar) = np.radians(find_angles(table)[0])

    a, t = np.radians((rot, tilt))
    expected = [np.sin(t) * np.cos(a), np.sin(t) * np.sin(a), np.cos(t)]
    direction = [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)]
    assert 0 <= polar <= np.pi
    np.testing.assert_allclose(direction, expected, atol=1e-7)


def test_close_neighbours_and_edges_are_bins_of_their_own():
    xy = np.array([[100.0, 100.0], [115.0, 100.0], [300.0, 300.0], [2.0, 500.0], [990.0, 990.0]])
    truth = Picks.from_columns(["a"] * 5, xy)
    picks = scored(truth, np.array([True, False, True, False, True]))

    result = profile(picks, truth)

    neighbours = {one.label: one for one in result.bins["distance to neighbour, diameters"]}
    edges = {one.label: one for one in result.bins["distance to edge, diameters"]}
    assert (neighbours["0 to 1"].n_truth, neighbours["0 to 1"].recall) == (2, 0.5)
    assert (neighbours["2 and more"].n_truth, neighbours["2 and more"].n_found) == (3, 2)
    assert edges["0 to 0.5"].n_truth == 2  # the box of all positions ends at 990
    assert "view" not in result.bins
    assert result.view is None


def test_columns_of_the_truth_are_divided_into_quartiles_and_the_threshold_counts():
    truth = particles(40, defocus_um=np.repeat([1.0, 2.0, 3.0, 4.0], 10))
    score = np.where(truth.extra["defocus_um"] > 2.5, -1.0, 1.0)
    picks = Picks.from_columns(["a"] * 40, truth.xy_px, score)

    result = profile(picks, truth, threshold=0.0)

    assert [one.recall for one in result.bins["defocus, µm"]] == [1.0, 1.0, 0.0, 0.0]
    assert profile(picks, truth).recall == 1.0


def test_tables_without_particles_or_with_text_for_a_number_are_refused():
    with pytest.raises(SettingsError, match="contains no particle"):
        profile(particles(1), particles(4).select(np.zeros(4, bool)))
    with pytest.raises(SettingsError, match="column ice_frac of the truth is not numeric"):
        profile(particles(1), particles(2, ice_frac=np.array(["thin", "thick"])))


def test_the_plot_draws_the_sphere_and_the_other_bins(tmp_path):
    truth = particles(100)

    plot_recall_profile(profile(scored(truth, np.arange(100) < 60), truth), tmp_path / "v.png")

    assert (tmp_path / "v.png").read_bytes()[:4] == b"\x89PNG"


def test_evaluate_prints_recall_by_view_as_text_json_and_a_plot(run_words):
    truth = particles(60)
    write_picks(truth, Path("truth.tsv"))
    write_picks(scored(truth, truth.extra["tilt_deg"] < 90), Path("picks.tsv"))
    line = "evaluate picks.tsv truth.tsv --radius-px 5 --by-view"

    text = run_words(f"{line} --plot views.png").stdout
    values = json.loads(run_words(f"{line} --json").stdout)["recall_profile"]

    assert "by view (equal recall in all bins: P" in text
    assert Path("views.png").exists()
    assert {one["recall"] for one in values["bins"]["view"]} == {0.0, 1.0}
