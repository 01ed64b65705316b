"""Checks of labels against the picks of the general model."""

from dataclasses import replace

import numpy as np
import pytest

from cryopick.picks import Picks, concatenate
from cryopick.train.label_checks import check_labels

SHAPES = {"a": (900, 1200), "b": (900, 1200)}
DIAMETER_PX = 40.0
PIXEL_SIZE_ANG = 1.7


def particles(rng):
    """Particles on a jittered grid, a diameter apart, half of its positions empty."""
    x, y = np.meshgrid(np.arange(60, 1140, 70.0), np.arange(60, 840, 70.0))
    grid = np.column_stack([x.ravel(), y.ravel()])
    return (grid + rng.uniform(-25, 25, grid.shape))[rng.random(len(grid)) < 0.5]


def make_data(labels_per_micrograph=20, seed=0):
    """Picks on most particles and on other positions, and labels on some particles."""
    rng = np.random.default_rng(seed)
    picks, labels = [], []
    for name, (height, width) in SHAPES.items():
        centres = particles(rng)
        others = rng.uniform(0, 1, (80, 2)) * (width, height)
        xy_px = np.concatenate([centres + rng.normal(0, 2, centres.shape), others])
        score = np.concatenate([rng.normal(1, 1.5, len(centres)), rng.normal(-3, 1.5, 80)])
        picks.append(Picks.for_micrograph(name, xy_px, score))
        chosen = rng.choice(len(centres), labels_per_micrograph, replace=False)
        labels.append(Picks.for_micrograph(name, centres[chosen]))
    return concatenate(picks), concatenate(labels)


def check(picks, labels):
    return check_labels(picks, labels, SHAPES, DIAMETER_PX, PIXEL_SIZE_ANG)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("number", [1, 4, 20])
def test_correct_labels_are_accepted(number, seed):
    result = check(*make_data(number, seed))

    assert (result.objection, result.doubt) == ("", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda xy: np.column_stack([xy[:, 0], 899 - xy[:, 1]]), "--invert-y"),
        (lambda xy: np.column_stack([1199 - xy[:, 0], xy[:, 1]]), "mirrored in x"),
        (lambda xy: xy[:, ::-1], "x and y swapped"),
        (lambda xy: xy / 2, "--scale 2"),
        (lambda xy: xy * 4, "--scale 0.25"),
        (lambda xy: xy * PIXEL_SIZE_ANG, "ångströms"),
        (lambda xy: xy - 30, "shifted by about (30, 30)"),
    ],
)
def test_a_mistake_of_the_convention_is_named_with_its_fix(change, message):
    picks, labels = make_data()

    result = check(picks, replace(labels, xy_px=change(labels.xy_px)))

    assert result.alternative_hits > 2 * result.hits
    assert message in result.objection


def test_labels_of_particles_that_the_model_does_not_know_are_doubtful_but_accepted():
    picks, labels = make_data()
    rng = np.random.default_rng(3)
    elsewhere = rng.uniform(0, 1, labels.xy_px.shape) * (1200, 900)

    result = check(picks, replace(labels, xy_px=elsewhere))

    assert result.objection == ""
    assert "no more often than points beside them" in result.doubt


def test_repeated_labels_count_once():
    picks, labels = make_data(3)
    flipped = labels.invert_y(900)

    assert check(picks, concatenate([flipped] * 9)) == check(picks, flipped)


def test_the_region_of_the_picks_alone_is_no_evidence_for_a_mirror_image():
    """Picks on carbon in the right half, unknown particles in the left half."""
    rng = np.random.default_rng(0)
    right = rng.uniform(0, 1, (150, 2)) * (600, 900) + (600, 0)
    left = rng.uniform(0, 1, (60, 2)) * (600, 900)

    result = check(
        Picks.for_micrograph("a", right, rng.normal(0, 1, 150)), Picks.for_micrograph("a", left)
    )

    assert result.objection == ""
