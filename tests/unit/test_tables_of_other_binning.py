"""Tables of differently binned micrographs are recognized by every command that compares them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryopick.evaluate.scale_check import find_scale_factor
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate

RADIUS_PX = 10.0


def scatter(seed, count=40):
    rng = np.random.default_rng(seed)
    return concatenate(
        [
            Picks.for_micrograph(name, rng.uniform(0, 2000, (count, 2)), rng.normal(size=count))
            for name in ("a", "b")
        ]
    )


def rescale(picks, factor):
    return replace(picks, xy_px=picks.xy_px * factor)


@pytest.mark.parametrize("factor", [1.25, 1.5, 2.0, 4.0, 8.0, 0.5, 1 / 3])
def test_the_factor_of_another_binning_is_found(factor):
    truth = scatter(0)

    assert find_scale_factor(rescale(truth, 1 / factor), truth, RADIUS_PX) == pytest.approx(factor)


def test_some_false_picks_do_not_hide_the_factor():
    truth = scatter(0)
    picks = concatenate([rescale(truth, 0.5), scatter(1, count=15)])

    assert find_scale_factor(picks, truth, RADIUS_PX) == 2.0


@pytest.mark.parametrize("seed", range(5))
def test_unrelated_tables_have_no_factor(seed):
    assert find_scale_factor(scatter(seed), scatter(seed + 100), RADIUS_PX) is None
    assert find_scale_factor(scatter(seed, 600), scatter(seed + 100), RADIUS_PX) is None


def test_tables_that_match_or_are_small_have_no_factor():
    truth = scatter(0)

    assert find_scale_factor(truth, truth, RADIUS_PX) is None
    assert find_scale_factor(rescale(scatter(0, 4), 0.5), scatter(0, 4), RADIUS_PX) is None
    assert find_scale_factor(truth.rename({"a": "c", "b": "d"}), truth, RADIUS_PX) is None


@pytest.fixture
def tables(run_words):
    write_picks(scatter(0), Path("truth.tsv"))
    write_picks(rescale(scatter(0), 0.25), Path("binned.tsv"))
    return run_words


def test_evaluate_warns_of_picks_at_another_scale(tables):
    warned = tables(f"evaluate binned.tsv truth.tsv --radius-px {RADIUS_PX}").stderr

    assert "binned.tsv: its picks match the others only if they are multiplied by 4" in warned
    assert (
        "multiplied" not in tables(f"evaluate truth.tsv truth.tsv --radius-px {RADIUS_PX}").stderr
    )


@pytest.mark.parametrize("operation", ["union", "intersect", "subtract", "consensus"])
def test_combine_refuses_tables_at_another_scale(tables, operation):
    line = f"combine {operation} truth.tsv binned.tsv -o out.tsv --radius-px {RADIUS_PX}"

    assert "`cryopick convert --scale 4`" in tables(line, status=1).stderr
    assert not Path("out.tsv").exists()


@pytest.mark.parametrize("option", ["--labels", "--asked"])
def test_suggest_refuses_picks_outside_the_micrographs(run_with_model, option):
    write_picks(rescale(read_picks(Path("labels.tsv")), 4.0), Path("fine.tsv"))

    line = f"suggest mics --model m.safetensors {option} fine.tsv --count 3 -o s.tsv"

    assert "they fit micrographs 4 times larger" in run_with_model(line, status=1).stderr


def test_train_refuses_negative_labels_outside_the_micrographs(run_with_model):
    write_picks(rescale(read_picks(Path("labels.tsv")), 4.0), Path("fine.tsv"))
    line = "train -m mics -p labels.tsv --negatives fine.tsv -o a.safetensors --diameter-ang 135"

    told = run_with_model(f"{line} --init random --steps 2", status=1).stderr

    assert "negative labels lie outside their micrographs" in told


@pytest.mark.parametrize("scale", ["0", "-2"])
def test_a_scale_that_is_not_positive_is_a_usage_error(tables, scale):
    assert (
        "--scale must be above 0"
        in tables(f"convert truth.tsv -o out.tsv --scale={scale}", status=2).stderr
    )
    assert not Path("out.tsv").exists()
