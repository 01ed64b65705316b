"""Rectangles of a micrograph."""

import numpy as np
import pytest

from cryopick.io.images.micrograph_region import MicrographRegions
from cryopick.io.images.mrc import write_mrc


@pytest.mark.parametrize("corner", [(-2, 0), (6, 0), (0, -2), (0, -5), (0, 10)])
def test_a_rectangle_outside_the_micrograph_has_no_pixels(corner, tmp_path):
    image = np.arange(60, dtype=np.float32).reshape(6, 10)
    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=(1.0, 1.0))

    part = MicrographRegions.open(tmp_path / "a.mrc").read(*corner, 2, 2)

    assert part.size == 0
