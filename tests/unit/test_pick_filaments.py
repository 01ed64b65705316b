"""Tracing of filaments, and tables of segments with the angles of RELION."""

import numpy as np
import pytest

from cryopick.errors import SettingsError
from cryopick.pick.filaments.lines import compute_line_scores
from cryopick.pick.filaments.segments import make_endpoints, make_segments
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import FilamentPath, trace_filaments

WIDTH = 8.0


def ridge(shape, *lines, seed=0, noise=0.7):
    """Make scores of -5 with noise, and ridges of -2 along lines from (x, y) to (x, y)."""
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
    lines = compute_line_scores(logits, usable, WIDTH)
    return trace_filaments(lines, WIDTH, contrast=contrast, min_length=4 * WIDTH)


def distance(points, line):
    (x0, y0), (x1, y1) = line
    length = np.hypot(x1 - x0, y1 - y0)
    return np.abs((points[:, 0] - x0) * (y1 - y0) - (points[:, 1] - y0) * (x1 - x0)) / length


@pytest.mark.parametrize("angle", np.linspace(0, np.pi, 6, endpoint=False) + 0.02)
def test_a_straight_filament_is_traced_from_end_to_end(angle):
    reach = 45 * np.array([np.cos(angle), np.sin(angle)])
    line = ((80 - reach[0], 70 - reach[1]), (80 + reach[0], 70 + reach[1]))

    (result,) = traced(ridge((140, 160), line, noise=0.5))

    assert distance(result.xy, line).max() < 0.2 * WIDTH
    assert result.length == pytest.approx(90, abs=1.5 * WIDTH)
    assert np.median(result.score) > -4.2


def test_crossing_filaments_are_traced_straight():
    lines = (((15, 20), (140, 110)), ((20, 115), (145, 25)))

    result = traced(ridge((140, 160), *lines))

    assert len(result) == 2
    for path in result:
        assert min(distance(path.xy, line).max() for line in lines) < 0.3 * WIDTH
        assert path.length > 120


def test_no_filament_is_found_in_background():
    assert not any(traced(ridge((140, 160), seed=seed)) for seed in range(5))


def test_aggregates_and_foil_edges_are_not_filaments():
    y, x = np.mgrid[:140, :160]
    clump = ridge((140, 160)) + 3 * (np.hypot(x - 60, y - 70) < 25)
    foil = ridge((140, 160)) + 3 * (x + 0.3 * y > 100)

    assert traced(clump) == []
    assert traced(foil) == []


def test_no_filament_is_found_in_unusable_areas():
    line = ((15, 20), (140, 110))
    usable = np.ones((140, 160), bool)
    usable[:, 70:] = False

    (result,) = traced(ridge((140, 160), line), usable)

    assert result.xy[:, 0].max() <= 70
    assert traced(ridge((140, 160), line), np.zeros((140, 160), bool)) == []


def path(*points):
    """Make a path with steps of about two pixels."""
    xy = np.array(points, float)
    way = np.linspace(0, len(xy) - 1, 100 * (len(xy) - 1) + 1)
    xy = np.column_stack([np.interp(way, np.arange(len(xy)), axis) for axis in xy.T])
    return FilamentPath(xy, np.linspace(0, 1, len(xy)))


# What relion_preprocess 3.1.3 --helix gives for these ends.
@pytest.mark.parametrize(
    ("start", "end", "psi"),
    [((100, 100), (300, 200), -26.56505), ((100, 300), (400, 300), 0), ((250, 350), (250, 60), 90)],
)
def test_psi_equals_that_of_relion_for_start_and_end(start, end, psi):
    made = make_segments("a.mrc", [path(start, end)], 20.0, 2.5)

    assert made.extra["rlnAnglePsiPrior"] == pytest.approx(np.full(len(made), psi), abs=1e-3)


def test_segments_are_ordered_and_evenly_spaced():
    made = make_segments(
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
    made = make_endpoints("a.mrc", [path((10, 10), (110, 10), (110, 90)), path((0, 50), (60, 50))])

    assert made.xy_px.tolist() == [[10, 10], [110, 90], [0, 50], [60, 50]]
    assert made.score == pytest.approx(np.full(4, 0.5))


def test_a_micrograph_without_filaments_has_the_same_columns():
    empty, full = (
        make_segments("a", [], 9.0, 2.0),
        make_segments("a", [path((0, 0), (50, 0))], 9.0, 2.0),
    )

    assert len(empty) == len(make_endpoints("a", [])) == 0
    assert empty.extra.keys() == full.extra.keys()


@pytest.mark.parametrize("name", ["spacing_ang", "min_length_ang", "contrast"])
def test_a_length_of_zero_is_rejected(name):
    with pytest.raises(SettingsError, match=f"{name} must be above 0"):
        FilamentSettings(**{name: 0.0})
