"""Scores of the general model do not depend on how many particles lie elsewhere."""

import numpy as np
import pytest
import torch

from cryopick.io.images.mrc import write_mrc
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.simulate.micrograph import simulate_micrograph
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.settings import SimulationSettings

SIDE_PX, PIXEL_ANG, DIAMETER_ANG = 1024, 3.0, 160.0
FAR_PX = 450  # from the particles elsewhere


def simulate(particles, seed):
    settings = SimulationSettings(
        particles=particles,
        seed=seed,
        width_px=SIDE_PX,
        height_px=SIDE_PX,
        pixel_size_ang=PIXEL_ANG,
        diameter_ang=DIAMETER_ANG,
    )
    return simulate_micrograph(settings, load_molecule(settings.molecule, DIAMETER_ANG), 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_change_little_when_particles_are_added_elsewhere(tmp_path, seed):
    left = simulate(12, seed)
    picker = Picker.create(
        load_model(GENERAL_MODEL),
        PickSettings(diameter_ang=DIAMETER_ANG, scale_ang=DIAMETER_ANG, contrast="dark"),
        torch.device("cpu"),
    )
    scores = []
    for particles in (12, 100):
        image = np.concatenate([left.image, simulate(particles, seed + 50).image], axis=1)
        path = tmp_path / f"{particles}.mrc"
        write_mrc(path, image.astype(np.float32), pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))
        scored = picker.score(path)
        far = left.xy_px[left.xy_px[:, 0] < SIDE_PX - FAR_PX]
        step_px = scored.scores.step_px * scored.prepared.scale_yx[0]
        column, row = np.rint(far / step_px).astype(int).T
        scores.append(scored.scores.logits[row, column])

    change = np.abs(np.subtract(*scores))
    assert len(change) >= 4
    assert change.mean() < 0.3
    assert change.max() < 0.6
