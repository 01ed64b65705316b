"""RELION reconstructs the simulated molecule from the recorded orientations.

Skipped where RELION is not installed; with REQUIRE_RELION=1 in the environment that is a failure.
"""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryopick.experiments.fourier_shells import (
    compute_shell_correlation,
    find_resolution,
    mask_sphere,
    read_map,
)
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.simulate.molecule_files import load_molecule

pytestmark = pytest.mark.slow

PIXEL_ANG, BOX_PX, DIAMETER_ANG = 4.0, 48, 150.0
TAGS = {"rot_deg": "rlnAngleRot", "tilt_deg": "rlnAngleTilt", "psi_deg": "rlnAnglePsi"}


def agreement_ang(density, flip=(1, 1, 1)):
    """Resolution at which a map agrees with the molecule, some of its axes inverted."""
    molecule, side = load_molecule("y-shaped"), len(density)
    grains = np.rint(molecule.xyz_ang * np.array(flip) / PIXEL_ANG).astype(int) + side // 2
    expected = np.zeros((side,) * 3)
    np.add.at(expected, tuple(grains.T[::-1]), molecule.mass_da)
    masked = mask_sphere(density.astype(float), 0.6 * DIAMETER_ANG / PIXEL_ANG)
    return find_resolution(compute_shell_correlation(masked, expected, PIXEL_ANG), 0.5)


def test_relion_reconstructs_the_molecule_from_the_recorded_orientations(run_words):
    if not shutil.which("relion_reconstruct"):
        if os.environ.get("REQUIRE_RELION"):
            pytest.fail("relion_reconstruct is required but not installed")
        pytest.skip("RELION is not installed")
    run_words(
        "simulate data --count 3 --molecule y-shaped --particles 20 --width-px 512 --height-px 512 "
        f"--pixel-size-ang {PIXEL_ANG:g} --clean --seed 4"
    )
    truth = read_picks(Path("data/particles.tsv"))
    extra = {tag: truth.extra[name].astype(float) for name, tag in TAGS.items()}
    defocus_ang = 1e4 * truth.extra["defocus_um"].astype(float)
    extra |= {"rlnDefocusU": defocus_ang, "rlnDefocusV": defocus_ang}
    extra |= {"rlnDefocusAngle": np.zeros(len(truth))}
    write_picks(replace(truth, extra=extra), Path("oriented.star"))
    run_words(
        f"stack oriented.star -m data/micrographs -o stacks --box-px {BOX_PX} --invert "
        f"--diameter-ang {DIAMETER_ANG:g} --voltage-kv 300 --cs-mm 2.7 --amplitude-contrast 0.1"
    )

    words = "relion_reconstruct --i stacks/particles.star --o map.mrc --ctf --pad 1"
    subprocess.run(words.split(), check=True, capture_output=True)

    density, voxel_ang = read_map(Path("map.mrc"))
    assert voxel_ang == pytest.approx(PIXEL_ANG)
    assert agreement_ang(density) < 45
    # another handedness or direction of an axis would show: only low frequencies would agree
    for flip in ((1, 1, -1), (1, -1, 1), (-1, 1, 1), (-1, -1, -1)):
        assert not agreement_ang(density, flip) < 50
