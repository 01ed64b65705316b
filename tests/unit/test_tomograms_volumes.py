"""Tomogram files, and their rescaling to working voxels."""

import mrcfile
import numpy as np
import pytest

from cryopick.errors import (
    InputError,
    MicrographError,
    MissingPixelSizeError,
    NotFoundError,
    SettingsError,
    UnmatchedError,
)
from cryopick.tomograms.volumes import find_tomograms, write_volume
from cryopick.tomograms.working_volume import estimate_bytes, load_working_volume


def make(path, volume, voxel_size_ang=10.0):
    path.parent.mkdir(exist_ok=True, parents=True)
    write_volume(path, volume.astype(np.float32), voxel_size_ang=voxel_size_ang)
    return find_tomograms([str(path)])[0]


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_sections_come_back_one_by_one(tmp_path):
    volume = noise((4, 5, 6))
    tomogram = make(tmp_path / "a.mrc", volume)

    sections = np.stack(list(tomogram.read_sections()))

    np.testing.assert_array_equal(sections, volume.astype(np.float32))
    assert (tomogram.name, tomogram.shape, tomogram.voxel_size_ang) == ("a", (4, 5, 6), 10.0)


def test_tomograms_of_bytes_and_big_endian_floats_are_read(tmp_path):
    values = np.arange(24).reshape(2, 3, 4)
    for dtype in (np.int8, ">f4", np.int16):
        with mrcfile.new(tmp_path / "a.mrc", overwrite=True) as file:
            file.set_data(values.astype(dtype))
            file.voxel_size = 3.0

        sections = np.stack(list(find_tomograms([str(tmp_path / "a.mrc")])[0].read_sections()))

        np.testing.assert_array_equal(sections, values)


def test_folders_and_patterns_list_volumes(tmp_path):
    for name in ("b.mrc", "a.rec"):
        make(tmp_path / name, noise((2, 3, 3)))
    (tmp_path / "notes.txt").write_text("")

    names = [one.name for one in find_tomograms([str(tmp_path)])]

    assert names == ["a", "b"]
    assert len(find_tomograms([f"{tmp_path}/*.mrc", str(tmp_path / "b.mrc")])) == 1


def test_unusable_files_are_refused(tmp_path):
    whole = make(tmp_path / "a.mrc", noise((4, 5, 6))).path.read_bytes()
    (tmp_path / "short.mrc").write_bytes(whole[:-8])
    (tmp_path / "empty").mkdir()
    with mrcfile.new(tmp_path / "flat.mrc") as file:
        file.set_data(np.zeros((5, 5), np.float32))
    make(tmp_path / "sub" / "a.mrc", noise((2, 3, 3)))

    for name, error in {
        "short.mrc": MicrographError,
        "flat.mrc": MicrographError,
        "empty": InputError,
        "missing.mrc": NotFoundError,
    }.items():
        with pytest.raises(error):
            find_tomograms([str(tmp_path / name)])
    with pytest.raises(UnmatchedError, match="both named"):
        find_tomograms([str(tmp_path / "a.mrc"), str(tmp_path / "sub" / "a.mrc")])


def test_a_missing_voxel_size_names_the_option(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.zeros((3, 5, 5), np.float32))

    with pytest.raises(MissingPixelSizeError, match="--voxel-size-ang"):
        find_tomograms([str(tmp_path / "a.mrc")])


def test_a_voxel_that_is_not_finite_is_refused(tmp_path):
    tomogram = make(tmp_path / "a.mrc", noise((3, 4, 5)))
    values = bytearray(tomogram.path.read_bytes())
    values[1024 + 4 * 25 : 1024 + 4 * 26] = np.float32(np.nan).tobytes()
    tomogram.path.write_bytes(values)

    with pytest.raises(MicrographError, match="section 1"):
        load_working_volume(tomogram, 10.0, max_gb=1.0)


@pytest.mark.parametrize("factor", [1.0, 2.0, 1.6, 0.8])
def test_working_voxels_lie_at_multiples_of_the_factor(tmp_path, factor):
    # A plane is reproduced exactly by symmetric averages away from the faces.
    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in (20, 22, 24)), indexing="ij")
    plane = 1.0 * x + 2.0 * y - 3.0 * z
    tomogram = make(tmp_path / "a.mrc", plane)

    image = load_working_volume(tomogram, 10.0 * factor, max_gb=1.0).image

    middle = np.median(plane)
    sd = np.diff(np.percentile(image, [15.865, 84.135]))[0] / 2
    k, j, i = (n // 2 for n in image.shape)
    expected = (i * 1.0 + j * 2.0 - k * 3.0) * factor - middle
    step = image[k, j, i + 1] - image[k, j, i]
    assert sd == pytest.approx(1.0, abs=1e-3)
    assert image[k, j + 1, i] - image[k, j, i] == pytest.approx(2 * step, rel=1e-3)
    assert image[k, j, i] / step == pytest.approx(expected / factor, abs=2.0)


def test_averaging_lowers_noise_and_keeps_positions(tmp_path):
    blob = np.exp(-((np.arange(40) - 20.0) ** 2) / 50)
    volume = 3 * blob[:, None, None] * blob[:, None] * blob
    tomogram = make(tmp_path / "a.mrc", volume + noise(volume.shape))

    raw, averaged = (load_working_volume(tomogram, size, max_gb=1.0) for size in (10.0, 20.0))

    z, y, x = np.mgrid[:20, :20, :20]
    weight = np.clip(averaged.image - 2.0, 0, None)
    centre = [float((axis * weight).sum() / weight.sum()) for axis in (z, y, x)]
    assert averaged.image.shape == (20, 20, 20)
    np.testing.assert_allclose(centre, [10.0, 10.0, 10.0], atol=0.5)
    assert averaged.image[8:13, 8:13, 8:13].mean() > 1.5 * raw.image[16:26, 16:26, 16:26].mean()


def test_memory_is_reckoned_before_reading(tmp_path):
    tomogram = make(tmp_path / "a.mrc", noise((4, 5, 6)))

    with pytest.raises(SettingsError, match="--max-memory-gb"):
        load_working_volume(tomogram, 10.0, max_gb=1e-7)
    assert estimate_bytes((300, 1000, 1000), 1.0) < 24e9


def test_a_constant_tomogram_is_refused(tmp_path):
    tomogram = make(tmp_path / "a.mrc", np.ones((4, 5, 6)))

    with pytest.raises(MicrographError, match="equal"):
        load_working_volume(tomogram, 10.0, max_gb=1.0)
