"""Filaments are found whole, in order, with the angles that RELION means."""

import numpy as np
import pytest

from cryopick.errors import SettingsError
from cryopick.pick.filaments.lines import line_scores
from cryopick.pick.filaments.segments import ends, segments
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import Path2D, trace

WIDTH = 8.0


def ridge(shape, *lines, seed=0, noise=0.7):
    """Scores of -5 and noise, with ridges of -2 along lines from (x, y) to (x, y)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    logits = -5 + noise * rng.standard_normal(shape)
    for (x0, y0), (x1, y1) in lines:
        length = np.hypot(x1 - x0, y1 - y0)
        way = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length**2, 0, 1)
        away = np.hypot(x - x0 - way * (x1 - x0), y - y0 - way * (y1 - y0))
        logits = np.maximum(logits, -5 + 3 * np.exp(-0.5 * (away / (WIDTH / 4)) ** 2))
    return logits


def traced(logits, usable=None, contrast=5.0):
    usable = np.ones(logits.shape, bool) if usable is None else usable
    lines = line_scores(logits, usable, WIDTH)
    return trace(lines, WIDTH, contrast=contrast, min_length=4 * WIDTH)


def distance(points, line):
    (x0, y0), (x1, y1) = line
    length = np.hypot(x1 - x0, y1 - y0)
    return np.abs((points[:, 0] - x0) * (y1 - y0) - (points[:, 1] - y0) * (x1 - x0)) / length


@pytest.mark.parametrize("angle", np.linspace(0, np.pi, 6, endpoint=False) + 0.02)
def test_a_straight_filament_is_found_from_end_to_end(angle):
    reach = 45 * np.array([np.cos(angle), np.sin(angle)])
    line = ((80 - reach[0], 70 - reach[1]), (80 + reach[0], 70 + reach[1]))

    (found,) = traced(ridge((140, 160), line, noise=0.5))

    assert distance(found.xy, line).max() < 0.2 * WIDTH
    assert found.length == pytest.approx(90, abs=1.5 * WIDTH)
    assert np.median(found.score) > -4.2


def test_filaments_that_cross_are_followed_straight_on():
    lines = (((15, 20), (140, 110)), ((20, 115), (145, 25)))

    found = traced(ridge((140, 160), *lines))

    assert len(found) == 2
    for path in found:
        assert min(distance(path.xy, line).max() for line in lines) < 0.3 * WIDTH
        assert path.length > 120


def test_background_holds_no_filament():
    assert not any(traced(ridge((140, 160), seed=seed)) for seed in range(5))


def test_neither_a_clump_nor_the_edge_of_a_foil_is_a_filament():
    y, x = np.mgrid[:140, :160]
    clump = ridge((140, 160)) + 3 * (np.hypot(x - 60, y - 70) < 25)
    foil = ridge((140, 160)) + 3 * (x + 0.3 * y > 100)

    assert traced(clump) == []
    assert traced(foil) == []


def test_nothing_is_found_where_nothing_may_be():
    line = ((15, 20), (140, 110))
    usable = np.ones((140, 160), bool)
    usable[:, 70:] = False

    (found,) = traced(ridge((140, 160), line), usable)

    assert found.xy[:, 0].max() <= 70
    assert traced(ridge((140, 160), line), np.zeros((140, 160), bool)) == []


def path(*points):
    """A path in steps of some two pixels."""
    xy = np.array(points, float)
    way = np.linspace(0, len(xy) - 1, 100 * (len(xy) - 1) + 1)
    xy = np.column_stack([np.interp(way, np.arange(len(xy)), axis) for axis in xy.T])
    return Path2D(xy, np.linspace(0, 1, len(xy)))


# What relion_preprocess 3.1.3 --helix gives for these ends.
@pytest.mark.parametrize(
    ("start", "end", "psi"),
    [((100, 100), (300, 200), -26.56505), ((100, 300), (400, 300), 0), ((250, 350), (250, 60), 90)],
)
def test_psi_is_what_relion_makes_of_start_and_end(start, end, psi):
    made = segments("a.mrc", [path(start, end)], 20.0, 2.5)

    assert made.extra["rlnAnglePsiPrior"] == pytest.approx(np.full(len(made), psi), abs=1e-3)


def test_segments_stand_in_order_at_even_distances():
    made = segments(
        "a.mrc", [path((10, 10), (110, 10), (110, 90)), path((0, 50), (60, 50))], 9.0, 2.0
    )

    for tube, count in ((1, 21), (2, 7)):
        own = made.extra["rlnHelicalTubeID"] == tube
        assert own.sum() == count
        track = made.extra["rlnHelicalTrackLengthAngst"][own]
        assert track == pytest.approx(18.0 * np.arange(count))
    assert made.xy_px[0] == pytest.approx([10, 10])
    assert made.xy_px[12] == pytest.approx([110, 18])
    assert (made.extra["rlnAngleTiltPrior"] == 90).all()


def test_ends_come_in_pairs():
    made = ends("a.mrc", [path((10, 10), (110, 10), (110, 90)), path((0, 50), (60, 50))])

    assert made.xy_px.tolist() == [[10, 10], [110, 90], [0, 50], [60, 50]]
    assert made.score == pytest.approx(np.full(4, 0.5))


def test_a_micrograph_without_filaments_has_the_same_columns():
    empty, full = segments("a", [], 9.0, 2.0), segments("a", [path((0, 0), (50, 0))], 9.0, 2.0)

    assert len(empty) == len(ends("a", [])) == 0
    assert empty.extra.keys() == full.extra.keys()


@pytest.mark.parametrize("name", ["spacing_ang", "min_length_ang", "contrast"])
def test_a_length_of_nothing_is_refused(name):
    with pytest.raises(SettingsError, match=f"{name} must be above 0"):
        FilamentSettings(**{name: 0.0})
