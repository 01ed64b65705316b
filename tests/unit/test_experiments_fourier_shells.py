import json
import math
from pathlib import Path

import numpy as np
import pytest

from cryopick.errors import FormatError, MicrographError, SettingsError
from cryopick.experiments.fourier_shells import (
    ShellCorrelation,
    compute_shell_correlation,
    find_resolution,
    mask_sphere,
    measure_anisotropy,
    read_map,
)

SIDE = 24


def noise(seed, side=SIDE):
    return np.random.default_rng(seed).normal(size=(side, side, side))


def slow_correlation(first, second):
    """The correlation of each shell, one coefficient of the whole transform at a time."""
    one, other = np.fft.fftn(first), np.fft.fftn(second)
    side = len(first)
    sums = {}
    for z, y, x in np.ndindex(one.shape):
        k = [value if value <= side // 2 else value - side for value in (x, y, z)]
        shell = round(math.hypot(*k))
        a, b = one[z, y, x], other[z, y, x]
        parts = sums.setdefault(shell, [0.0, 0.0, 0.0])
        parts[0] += (a * b.conjugate()).real
        parts[1] += abs(a) ** 2
        parts[2] += abs(b) ** 2
    return [sums[s][0] / math.sqrt(sums[s][1] * sums[s][2]) for s in range(side // 2 + 1)]


def blur(density, kernel):
    """Multiply the transform by a function of the frequencies (x, y, z) in 1 / side."""
    side = len(density)
    index = np.fft.fftfreq(side, 1 / side)
    z, y, x = np.meshgrid(index, index, index, indexing="ij")
    return np.fft.ifftn(np.fft.fftn(density) * kernel(x, y, z)).real


def test_the_correlation_is_near_that_of_a_slow_twin():
    first, second = noise(0, 10), noise(0, 10) + noise(1, 10)

    curve = compute_shell_correlation(first, second, 2.0)

    np.testing.assert_allclose(curve.correlation, slow_correlation(first, second), atol=1e-10)
    np.testing.assert_allclose(curve.frequency, np.arange(6) / 20)


def test_equal_maps_are_resolved_to_nyquist_and_noise_not_at_all():
    same = compute_shell_correlation(noise(0), noise(0), 3.0)
    different = compute_shell_correlation(noise(0), noise(1), 3.0)

    np.testing.assert_allclose(same.correlation, 1)
    assert find_resolution(same) == pytest.approx(6.0)
    assert np.abs(different.correlation[3:]).max() < 0.25


def test_the_resolution_is_interpolated_where_the_correlation_falls():
    curve = ShellCorrelation(np.arange(5) / 100, np.array([1, 1, 0.9, 0.1, 0.5]))

    assert find_resolution(curve, 0.5) == pytest.approx(1 / 0.025)
    assert math.isnan(find_resolution(ShellCorrelation(curve.frequency, np.zeros(5))))


def test_a_map_that_is_blurred_along_one_axis_is_less_spherical():
    signal = blur(noise(0), lambda x, y, z: np.hypot(np.hypot(x, y), z) < 9)
    noise1, noise2 = 0.05 * noise(1), 0.05 * noise(2)
    blurred = blur(signal, lambda x, y, z: np.abs(z) < 4)

    isotropic = measure_anisotropy(signal + noise1, signal + noise2, 1.0)
    anisotropic = measure_anisotropy(blurred + noise1, blurred + noise2, 1.0)

    assert isotropic.sphericity > 0.97
    assert anisotropic.sphericity < isotropic.sphericity - 0.02
    along_z = anisotropic.direction[:, 2] > 0.9
    across = anisotropic.direction[:, 2] < 0.3
    worst, best = (anisotropic.resolution_ang[rows].mean() for rows in (along_z, across))
    assert worst > 1.5 * best


def test_the_mask_keeps_the_centre_and_removes_the_corners():
    masked = mask_sphere(np.ones((SIDE, SIDE, SIDE)), 6.0)

    assert masked[12, 12, 12] == masked[12, 12, 17] == 1
    assert masked[0, 0, 0] == masked[12, 12, 23] == 0


def write_map(path, density, voxel_ang=2.0):
    header = np.zeros(256, "<i4")
    header[:4] = *density.shape[::-1], 2
    header[7:10] = density.shape[::-1]
    header.view("<f4")[10:13] = voxel_ang * len(density)
    Path(path).write_bytes(header.tobytes() + density.astype("<f4").tobytes())


def test_maps_of_other_sizes_and_files_that_are_no_maps_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="cubes of the same size"):
        compute_shell_correlation(noise(0), noise(0, 8), 1.0)
    (tmp_path / "zeros.mrc").write_bytes(b"\0" * 3000)
    with pytest.raises(MicrographError, match="expected a volume"):
        read_map(tmp_path / "zeros.mrc")
    write_map(tmp_path / "flat.mrc", noise(0, 8)[:3])
    with pytest.raises(FormatError, match="found 8 x 8 x 3 voxels"):
        read_map(tmp_path / "flat.mrc")
    write_map(tmp_path / "holes.mrc", np.full((8, 8, 8), np.nan))
    with pytest.raises(FormatError, match="not finite"):
        read_map(tmp_path / "holes.mrc")
    write_map(tmp_path / "unitless.mrc", noise(0, 8), voxel_ang=0.0)
    with pytest.raises(FormatError, match="states no voxel size"):
        read_map(tmp_path / "unitless.mrc")


def test_validate_fsc_prints_resolution_and_anisotropy_and_plots_them(run_words):
    signal = blur(noise(0), lambda x, y, z: np.hypot(np.hypot(x, y), z) < 9)
    write_map("half1.mrc", signal + 0.05 * noise(1))
    write_map("half2.mrc", signal + 0.05 * noise(2))

    text = run_words("validate fsc half1.mrc half2.mrc -o fsc.png --diameter-ang 46").stdout
    values = json.loads(run_words("validate fsc half1.mrc half2.mrc --json").stdout)

    assert text.startswith("resolution at FSC 0.143")
    assert values["resolution_ang"] == pytest.approx(48 / 9.5, rel=0.1)
    assert 0.9 < values["sphericity"] <= 1
    assert Path("fsc.png").stat().st_size > 5000
