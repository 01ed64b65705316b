"""Suppression, evaluation and the commands for tomograms."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.errors import FormatError, SettingsError
from cryopick.evaluate.matching import match_points
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, concatenate
from cryopick.tomograms.coordinates import get_xyz, make_table
from cryopick.tomograms.evaluation import evaluate_table
from cryopick.tomograms.suppression import find_peaks, suppress_neighbours


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 6.0))
def test_suppression_equals_the_greedy_definition(seed, radius):
    positions = np.random.default_rng(seed).uniform(0, 10, (25, 3))

    keep = suppress_neighbours(positions, radius)

    selected = []
    for position in positions:
        if all(np.linalg.norm(position - other) > radius for other in selected):
            selected.append(position)
    np.testing.assert_array_equal(positions[keep], np.array(selected))


def test_a_peak_is_refined_to_the_maximum_of_a_parabola():
    z, y, x = np.mgrid[:9, :9, :9]
    scores = 5.0 - (x - 4.3) ** 2 - (y - 3.8) ** 2 - 2 * (z - 5.1) ** 2

    positions, values = find_peaks(scores, radius=2.0, threshold=0.0)

    np.testing.assert_allclose(positions, [[4.3, 3.8, 5.1]])
    assert values[0] == scores.max()


def test_peaks_are_in_descending_order_above_the_threshold_and_apart():
    scores = np.random.default_rng(0).normal(size=(14, 15, 16))

    positions, values = find_peaks(scores, radius=3.0, threshold=1.0)

    distance = np.linalg.norm(positions[:, None] - positions, axis=2) + 9 * np.eye(len(positions))
    assert (np.diff(values) <= 0).all()
    assert values.min() >= 1.0
    assert distance.min() > 3.0


def test_matching_in_three_dimensions_uses_the_distance_along_the_beam():
    truth = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 8.0]])
    picks = np.array([[0.0, 0.0, 7.0], [0.0, 0.0, 4.0]])

    assert match_points(picks, np.array([1.0, 2.0]), truth, 3.0).tolist() == [1, -1]


def test_evaluation_of_a_table_counts_by_hand():
    truth = concatenate(
        [
            make_table("a", np.array([[0.0, 0, 0], [9, 9, 9]]), extra={"class": np.array([1, 2])}),
            make_table("b", np.array([[5.0, 5, 5]]), extra={"class": np.array([1])}),
        ]
    )
    picks = concatenate(
        [
            make_table(
                "a",
                np.array([[0.0, 1, 0], [9, 9, 4]]),
                np.array([3.0, 2.0]),
                {"class": np.array([1, 2])},
            ),
            make_table("b", np.array([[5.0, 5, 6]]), np.array([-1.0]), {"class": np.array([2])}),
            make_table("c", np.array([[5.0, 5, 6]]), np.array([9.0]), {"class": np.array([2])}),
        ]
    )

    result = evaluate_table(picks, truth, 2.0)

    assert (result.n_picks, result.n_truth, result.n_matched) == (3, 3, 2)
    assert result.average_precision == pytest.approx(1 / 3 + (2 / 3) / 3)
    assert result.at_zero.f1 == pytest.approx(2 * 1 / (2 + 3))
    assert result.class_accuracy == 0.5


def test_tables_without_scores_or_depth_are_refused():
    flat = Picks.for_micrograph("a", np.zeros((1, 2)), np.zeros(1))
    unscored = make_table("a", np.zeros((1, 3)))

    with pytest.raises(FormatError, match="z_coord"):
        get_xyz(flat)
    with pytest.raises(SettingsError, match="no scores"):
        evaluate_table(unscored, unscored, 1.0)


def run(*words, status=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("tomograms") / "data"
    size = ("--width-px", 40, "--height-px", 40, "--depth-px", 24, "--count", 2)
    few = ("--particles", 4, "--crowders", 0, "--membranes", 0, "--gold", 0)
    run("tomo", "simulate", out, *size, *few, "--molecule", "ring", "--molecule", "compact")
    return out


def test_the_simulation_writes_tomograms_and_a_table_for_each_molecule(data):
    particles, rings = read_picks(data / "particles.tsv"), read_picks(data / "ring.tsv")

    assert sorted(path.name for path in (data / "tomograms").iterdir()) == [
        "tomo_000.mrc",
        "tomo_001.mrc",
    ]
    assert set(particles.extra) == {"z_coord", "class", "rot_deg", "tilt_deg", "psi_deg"}
    assert 0 < len(rings) < len(particles)
    assert "depth_px = 24" in (data / "settings.toml").read_text()


def test_commands_train_pick_convert_and_evaluate(data, tmp_path):
    volumes, model = data / "tomograms", tmp_path / "m.safetensors"
    tables = [tmp_path / "rings.csv", tmp_path / "balls.star"]
    run("tomo", "convert", data / "ring.tsv", "-t", volumes, "-o", tables[0])
    run("tomo", "convert", data / "compact.tsv", "-t", volumes, "-o", tables[1])

    run(
        *("tomo", "train", "-t", volumes, "-p", tables[0], "-p", tables[1], "--classes"),
        *("-o", model, "--diameter-ang", 150, "--particles-per-tomogram", 6, "--steps", 2),
        *("--unlabelled-windows", 1, "--positive-windows", 1),
    )
    run(
        *("tomo", "pick", volumes, "--model", model, "-o", tmp_path / "picks.star"),
        *("--threshold", -9, "--views", 1),
    )
    words = (tmp_path / "picks.star", data / "particles.tsv", "-t", volumes, "--diameter-ang", 150)
    printed = run("tomo", "evaluate", *words).output
    values = json.loads(run("tomo", "evaluate", *words, "--json").stdout)

    text = (tmp_path / "picks.star").read_text()
    assert all(f"_rln{name}" in text for name in ("TomoName", "CoordinateZ", "ClassNumber"))
    assert "_cryopick_score_2" in text
    assert values["n_truth"] == len(read_picks(data / "particles.tsv"))
    assert "average precision" in printed
    assert "views = 1" in (tmp_path / "picks.settings.toml").read_text()
    assert (tmp_path / "picks.run.json").exists()


@pytest.mark.parametrize("command", ["pick", "train"])
def test_commands_for_micrographs_name_those_for_tomograms(data, tmp_path, command):
    volume = data / "tomograms" / "tomo_000.mrc"
    words = {
        "pick": (volume, "-o", tmp_path / "p.star"),
        "train": (
            *("-m", volume, "-p", data / "ring.tsv", "-o", tmp_path / "m.safetensors"),
            *("--diameter-ang", 150),
        ),
    }

    result = run(command, *words[command], status=1)

    assert f"cryopick tomo {command}" in result.output


def test_labels_in_a_wrong_unit_are_refused(data, tmp_path):
    picks = read_picks(data / "ring.tsv").scale(8.0)
    table = tmp_path / "labels.tsv"
    rows = [
        f"{picks.micrographs[i]}\t{x}\t{y}\t5"
        for i, (x, y) in zip(picks.index, picks.xy_px, strict=True)
    ]
    table.write_text("\n".join(["image_name\tx_coord\ty_coord\tz_coord", *rows, ""]))

    result = run(
        *("tomo", "train", "-t", data / "tomograms", "-p", table, "-o", tmp_path / "m.safetensors"),
        *("--diameter-ang", 150, "--particles-per-tomogram", 9),
        status=1,
    )

    assert "check the unit" in result.output
