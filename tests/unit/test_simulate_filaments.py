"""Simulated filaments: smooth curves and ground truth."""

import numpy as np
import pytest

from cryopick.simulate.micrograph import simulate_micrograph
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.settings import SimulationSettings

SETTINGS = SimulationSettings(
    width_px=320, height_px=256, pixel_size_ang=5.0, filaments=3, diameter_ang=60.0, seed=4
).without_junk()


@pytest.fixture(scope="module")
def made():
    return simulate_micrograph(SETTINGS, load_molecule("compact", 60.0), 0)


def test_positions_follow_smooth_curves(made):
    tube, direction = made.truth["filament"], np.radians(made.truth["direction_deg"])

    assert set(tube) == {1.0, 2.0, 3.0}
    for number in set(tube):
        own = tube == number
        steps = np.diff(made.xy_px[own], axis=0)
        assert np.hypot(*steps.T) == pytest.approx(np.full(len(steps), 3.0), abs=1.5)
        along = np.sum(steps * np.column_stack([np.cos(direction), np.sin(direction)])[own][1:], 1)
        assert (along > 0.95 * np.hypot(*steps.T)).all()


def test_the_filaments_are_darker_than_the_ice(made):
    inner = ((made.xy_px > 4) & (made.xy_px < np.array([315, 251]))).all(axis=1)
    column, row = np.rint(made.xy_px[inner]).astype(int).T
    around = [made.image[row + dy, column + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]

    spread = made.image.std() / np.sqrt(len(row) * 9)
    assert np.mean(around) < made.image.mean() - 5 * spread
