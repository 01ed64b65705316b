"""Tables of particles in tomograms in the formats of other programs."""

import json
import struct

import numpy as np
import pytest

from cryopick.errors import (
    FormatError,
    MissingPixelSizeError,
    NotATableError,
    SettingsError,
    UnmatchedError,
)
from cryopick.picks import concatenate
from cryopick.tomograms.coordinates import get_xyz, make_table
from cryopick.tomograms.tables.formats import read_points_table, write_points_table
from cryopick.tomograms.volumes import find_tomograms, write_volume

XYZ = np.array([[1.0, 2.0, 3.0], [10.5, 7.25, 4.5]])


@pytest.fixture
def tomogram(tmp_path):
    """Return a tomogram of 20 x 16 x 10 voxels of 8 Å, binned four times."""
    path = tmp_path / "rec_TS_01.mrc"
    write_volume(path, np.zeros((10, 16, 20), np.float32), voxel_size_ang=8.0)
    return find_tomograms([str(path)], unbinned_ang=2.0)[0]


def write(path, text):
    path.write_text(text)
    return path


def read(path, tomogram):
    picks = read_points_table(path, [tomogram])
    assert picks.micrographs == (tomogram.name,)
    return get_xyz(picks)


@pytest.mark.parametrize("name", ["p.tsv", "p.csv", "p.star", "rec_TS_01_info.json", "TS_01.txt"])
def test_coordinates_come_back_in_voxels(tmp_path, tomogram, name):
    picks = make_table(tomogram.name, XYZ, np.array([2.0, -1.0]), {"class": np.array([1, 2])})

    write_points_table(picks, str(tmp_path / name), [tomogram])
    back = read_points_table(tmp_path / name, [tomogram])

    np.testing.assert_allclose(get_xyz(back), XYZ, atol=1e-3)
    assert back.extra["class"].tolist() == [1, 2]
    if not name.endswith(".txt"):
        np.testing.assert_allclose(back.score, picks.score)


def test_a_folder_gets_one_table_per_tomogram(tmp_path, tomogram):
    other = tmp_path / "TS_02.mrc"
    write_volume(other, np.zeros((10, 16, 20), np.float32), voxel_size_ang=8.0)
    tomograms = [tomogram, *find_tomograms([str(other)])]
    picks = concatenate([make_table(one.name, XYZ, np.zeros(2)) for one in tomograms])

    paths = write_points_table(picks, f"{tmp_path}/out/", tomograms, table_format="eman")

    assert [path.name for path in paths] == ["rec_TS_01_info.json", "TS_02_info.json"]
    with pytest.raises(SettingsError, match="holds one tomogram"):
        write_points_table(picks, str(tmp_path / "both.json"), tomograms)


def test_relion_counts_pixels_of_the_tilt_series(tmp_path, tomogram):
    columns = "".join(f"_rlnCoordinate{axis}\n" for axis in "XYZ")
    table = write(
        tmp_path / "p.star", f"data_particles\n\nloop_\n_rlnTomoName\n{columns}TS_01 4 8 12\n"
    )

    np.testing.assert_allclose(read(table, tomogram), [[1.0, 2.0, 3.0]])


def test_relion_5_counts_ångströms_from_the_centre(tmp_path, tomogram):
    columns = "".join(f"_rlnCenteredCoordinate{axis}Angst\n" for axis in "XYZ")
    table = write(
        tmp_path / "p.star", f"data_particles\n\nloop_\n_rlnTomoName\n{columns}TS_01 0 8 -16\n"
    )

    np.testing.assert_allclose(read(table, tomogram), [[10.0, 9.0, 3.0]])


def test_an_unknown_pixel_size_is_not_guessed(tmp_path, tomogram):
    plain = find_tomograms([str(tomogram.path)])[0]
    columns = "".join(f"_rlnCoordinate{axis}\n" for axis in "XYZ")
    table = write(
        tmp_path / "p.star", f"data_particles\n\nloop_\n_rlnTomoName\n{columns}TS_01 4 8 12\n"
    )

    with pytest.raises(MissingPixelSizeError, match="--unbinned-ang"):
        read(table, plain)


def test_relions_list_gives_names_and_pixel_sizes(tmp_path, tomogram):
    table = write(
        tmp_path / "tomograms.star",
        "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n"
        "_rlnTomoTomogramBinning\n_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ\n"
        "_rlnTomoReconstructedTomogram\nTS_01 2.0 4.0 80 64 42 rec_TS_01.mrc\n",
    )

    listed = find_tomograms([str(table)])[0]

    assert (listed.name, listed.voxel_size_ang, listed.unbinned_ang) == ("TS_01", 8.0, 2.0)
    np.testing.assert_allclose(listed.centre_px, [10.0, 8.0, 5.25])


def test_eman_files_before_2018_count_voxels_from_the_corner(tmp_path, tomogram):
    boxes = [[1.0, 2.0, 3, "manual", 0.0, 0], [10.5, 7.25, 4.5, "manual", 0.0, 1]]
    table = write(tmp_path / "TS_01_info.json", json.dumps({"boxes_3d": boxes}))

    np.testing.assert_allclose(read(table, tomogram), XYZ)


def test_eman_files_since_2018_count_unbinned_pixels_from_the_middle(tmp_path, tomogram):
    content = {"boxes_3d": [[0, 4, -8, "tm", 1.5, 0]], "apix_unbin": 4.0}
    table = write(tmp_path / "TS_01_info.json", json.dumps(content))

    np.testing.assert_allclose(read(table, tomogram), [[10.0, 8.0 + 2, 5.0 - 4]])


def make_model(points_by_object):
    """Build a binary IMOD model with one contour per object, a material and a mesh."""
    parts = [b"IMODV1.2", bytes(232)]
    for points in points_by_object:
        parts += [b"OBJT", bytes(176), b"CONT", struct.pack(">4i", len(points), 0, 0, 0)]
        parts += [np.array(points, ">f4").tobytes(), b"SIZE", struct.pack(">i", 4), bytes(4)]
        parts += [b"MESH", struct.pack(">2i", 1, 2), bytes(8), bytes(12), bytes(8)]
    return b"".join([*parts, b"IEOF"])


def test_imod_counts_from_the_edge_of_a_voxel_in_the_plane(tmp_path, tomogram):
    table = tmp_path / "TS_01.mod"
    table.write_bytes(make_model([[(1.5, 2.5, 3.0)], [(11.0, 7.75, 4.5)]]))

    np.testing.assert_allclose(read(table, tomogram), XYZ)
    assert read_points_table(table, [tomogram]).extra["class"].tolist() == [1, 2]


@pytest.mark.parametrize("length", [100, 300, 430, 437, 450, 464, 480])
def test_a_truncated_model_is_refused(tmp_path, tomogram, length):
    table = tmp_path / "TS_01.mod"
    table.write_bytes(make_model([[(1.0, 2.0, 3.0)] * 2])[:length])

    with pytest.raises(FormatError, match="cut short"):
        read(table, tomogram)


def test_dynamo_tables_name_tomograms_by_number(tmp_path, tomogram):
    row = np.zeros(35)
    row[[3, 4, 5, 9, 19, 21, 23, 24, 25]] = [0.5, -0.5, 1.0, 0.3, 1, 2, 1.0, 2.0, 3.0]
    table = write(tmp_path / "t.tbl", " ".join(f"{value:g}" for value in row) + "\n")

    picks = read_points_table(table, [tomogram])

    np.testing.assert_allclose(get_xyz(picks), [[1.5, 1.5, 4.0]])
    assert (picks.score[0], picks.extra["class"][0]) == (0.3, 2)


def test_cbox_has_corners_in_the_plane(tmp_path, tomogram):
    tags = ["_CoordinateX", "_CoordinateY", "_CoordinateZ", "_Width", "_Height", "_Depth"]
    table = write(
        tmp_path / "TS_01.cbox",
        "data_global\n\n_cbox_format_version 1.0\n\ndata_cryolo\n\nloop_\n"
        + "\n".join(tags)
        + "\n-3 -2 3 8 8 8\n",
    )

    np.testing.assert_allclose(read(table, tomogram), [[1.0, 2.0, 3.0]])


@pytest.mark.parametrize("name", ["p.star", "p.json", "p.txt", "p.tbl", "p.mod", "p.cbox"])
def test_other_content_is_refused_in_one_line(tmp_path, tomogram, name):
    table = write(tmp_path / name, "data_x\n_a 1\n" if name[2:] in ("star", "cbox") else "{}")

    with pytest.raises(FormatError):
        read(table, tomogram)


def test_two_dimensional_tables_are_refused(tmp_path, tomogram):
    table = write(tmp_path / "p.tsv", "image_name\tx_coord\ty_coord\nTS_01\t1\t2\n")

    with pytest.raises(FormatError, match="z_coord"):
        read(table, tomogram)


def test_a_table_of_other_tomograms_is_refused(tmp_path, tomogram):
    table = write(tmp_path / "p.tsv", "image_name\tx_coord\ty_coord\tz_coord\nTS_9\t1\t2\t3\n")

    with pytest.raises(UnmatchedError, match="TS_9"):
        read(table, tomogram)


def test_unknown_suffixes_are_refused(tmp_path, tomogram):
    with pytest.raises(SettingsError, match="suffix"):
        read_points_table(tmp_path / "p.xyz", [tomogram])
    assert issubclass(NotATableError, FormatError)
