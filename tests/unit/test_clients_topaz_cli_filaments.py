"""Filaments of the topaz-compatible command line: straight pieces in score maps."""

import numpy as np
import pytest

from cryopick.clients.topaz_cli.detectors import ScoredImage
from cryopick.clients.topaz_cli.picking import trace_straight_pieces
from cryopick.inference.score_map import ScoreMap


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
    seen = ScoredImage(scores, np.ones(on.shape, bool), (1.0, 1.0), on.shape, is_exact=True)
    return trace_straight_pieces(seen, radius_px=radius_px, length_px=length_px, threshold=-3.0)


@pytest.mark.parametrize(
    "ends", [[((10, 20), (140, 40))], [((10, 20), (140, 40)), ((20, 110), (150, 70))]]
)
def test_a_filament_is_one_pair_of_end_points(ends):
    on = np.any([band((128, 160), *pair) for pair in ends], axis=0)

    found = filaments(on, 40.0)

    assert len(found) == len(ends)
    for pair in ends:
        both = np.array([[*pair[0], *pair[1]], [*pair[1], *pair[0]]])
        away = np.abs(found[:, None] - both).max(axis=2).min()
        assert away < 12  # a width


def test_a_bent_filament_is_a_chain_of_straight_pieces():
    y, x = np.mgrid[:160, :160]
    on = abs(np.hypot(x - 20, y - 150) - 100) < 6

    found = filaments(on, 40.0)

    assert len(found) > 1
    np.testing.assert_allclose(found[1:, :2], found[:-1, 2:])
    middles = (found[:, :2] + found[:, 2:]) / 2
    np.testing.assert_allclose(np.hypot(*(middles - [20, 150]).T), 100, atol=6)


def test_filaments_below_the_minimum_length_are_ignored():
    on = band((96, 96), (30, 40), (60, 40))

    assert filaments(on, 80.0).shape == (0, 4)
    assert len(filaments(on, 10.0)) == 1
