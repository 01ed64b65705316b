"""Tests that a wrong unit of the diameter or the pixel size is refused before any computation."""

import numpy as np
import pytest

from cryopick.errors import MicrographError
from cryopick.io.images.mrc import write_mrc
from cryopick.preprocess.pipeline import rescale_micrograph
from cryopick.preprocess.working_size import check_pick_count, check_working_size

DIAMETER_PX = 17  # working pixels


def check(particle_px: float, side: int) -> None:
    factor = particle_px / DIAMETER_PX
    check_working_size(factor, (side, side), (round(side / factor), round(side / factor)))


@pytest.mark.parametrize("particle_px", [0.01, 1, 1.5, 5.9])
@pytest.mark.parametrize("side", [64, 4096])
def test_a_particle_below_six_pixels_is_refused(particle_px, side):
    with pytest.raises(MicrographError, match="check --diameter-ang and the pixel size"):
        check(particle_px, side)


@pytest.mark.parametrize("particle_px", [8.5, 10])
def test_an_image_is_not_enlarged_beyond_memory(particle_px):
    with pytest.raises(MicrographError, match="enlarged to"):
        check(particle_px, 4096)


@pytest.mark.parametrize("particle_px", [6e3, 1e5, 1e12])
def test_a_particle_larger_than_the_micrograph_is_refused(particle_px):
    with pytest.raises(MicrographError, match="exceeds the micrograph of 1024 x 1024"):
        check_working_size(particle_px / DIAMETER_PX, (1024, 1024), (1, 1))


@pytest.mark.parametrize(
    ("particle_px", "side"), [(6.1, 1024), (13, 4096), (17, 12_000), (300, 8192), (400, 512)]
)
def test_usual_sizes_are_accepted(particle_px, side):
    check(particle_px, side)


@pytest.mark.parametrize("factor", [1e-3, 0.3, 1e4])
def test_rescaling_checks_before_it_allocates(factor):
    image = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)

    with pytest.raises(MicrographError):
        rescale_micrograph(image, factor)


@pytest.mark.parametrize("distance_px", [0.0, 1e-9, 0.5, 3.0, 9.0])
def test_a_distance_that_allows_far_too_many_picks_is_refused(distance_px):
    with pytest.raises(MicrographError, match=r"check --radius-ang, --diameter-ang and the pixel"):
        check_pick_count((4096, 4096), distance_px)


@pytest.mark.parametrize(
    ("side", "distance_px"), [(4096, 10.0), (512, 1.25), (11520, 28.0), (64, 0.0)]
)
def test_dense_particles_are_not_refused(side, distance_px):
    check_pick_count((side, side), distance_px)


@pytest.mark.parametrize("command", ["pick", "propose"])
def test_a_distance_in_a_wrong_unit_is_the_error_of_its_micrograph(command, run_words, tmp_path):
    write_mrc(tmp_path / "a.mrc", np.eye(512, dtype=np.float32), pixel_size_ang=(5.0, 5.0))

    result = run_words(f"{command} a.mrc --diameter-ang 100 --radius-ang 2 -o a.star", status=1)

    assert "a.mrc: a distance of 0.4 pixels between picks allows" in result.stderr
