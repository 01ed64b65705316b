"""Pixel sizes that STAR and .cs files state take precedence over headers of micrographs."""

import pickle

import numpy as np
import pytest

from cryopick.errors import FormatError, InputError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.inputs import find_micrographs
from cryopick.runs.ledger import identify_file
from cryopick.runs.listed_path import ListedPath, listed_pixel_size

OPTICS = """# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnMicrographPixelSize #3
{groups}
"""


@pytest.fixture
def folder(tmp_path):
    image = np.random.default_rng(0).normal(size=(32, 48))
    for name, size_ang in [("a.mrc", (1.0, 1.0)), ("b.mrc", None)]:
        write_mrc(tmp_path / name, image, pixel_size_ang=size_ang)
    return tmp_path


def write_star(folder, columns, rows, groups=None, name="mics.star"):
    text = OPTICS.format(groups="\n".join(groups)) if groups else ""
    header = "\n".join(f"_rln{c} #{i}" for i, c in enumerate(columns, 1))
    text += f"\ndata_micrographs\n\nloop_\n{header}\n" + "\n".join(rows) + "\n"
    (folder / name).write_text(text)
    return str(folder / name)


def read_sizes(argument):
    return [read_micrograph(path).pixel_size_ang for path in find_micrographs([argument])]


def test_each_micrograph_gets_the_pixel_size_of_its_optics_group(folder):
    star = write_star(
        folder,
        ["MicrographName", "OpticsGroup"],
        ["a.mrc 2", "b.mrc 1"],
        groups=["1 first 4.0", "2 second 2.5"],
    )

    assert read_sizes(star) == [2.5, 4.0]


def test_the_size_of_the_group_replaces_an_unknown_one(folder):
    star = write_star(
        folder,
        ["MicrographName", "OpticsGroup", "MicrographPixelSize"],
        ["a.mrc 1 0", "b.mrc 1 2.5"],
        groups=["1 first 4.0"],
    )

    assert read_sizes(star) == [4.0, 2.5]


@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [
        (["MicrographName", "MicrographPixelSize"], ["a.mrc 3.5", "b.mrc 2"], [3.5, 2]),
        (  # RELION 3.0: pixel of the detector in µm, and magnification
            ["MicrographName", "DetectorPixelSize", "Magnification"],
            ["a.mrc 14 100000", "b.mrc 5 10000"],
            [1.4, 5],
        ),
        (["MicrographName", "MicrographPixelSize"], ["a.mrc 0", "b.mrc 0"], [1, None]),
        (["MicrographName"], ["a.mrc", "b.mrc"], [1, None]),
    ],
)
def test_pixel_sizes_of_rows_are_read_and_unknown_ones_left_to_the_header(
    folder, columns, rows, expected
):
    assert read_sizes(write_star(folder, columns, rows)) == pytest.approx(expected)


def test_a_list_without_optics_groups_uses_the_only_size_of_the_optics_table(folder):
    one = write_star(folder, ["MicrographName"], ["b.mrc"], groups=["1 first 4.0"])
    two = write_star(
        folder, ["MicrographName"], ["b.mrc"], ["1 first 4.0", "2 second 2.0"], name="two.star"
    )

    assert read_sizes(one) == [4]
    assert read_sizes(two) == [None]


def test_the_option_takes_precedence_over_the_list(folder):
    star = write_star(folder, ["MicrographName", "MicrographPixelSize"], ["a.mrc 3"])

    (path,) = find_micrographs([star])

    assert read_micrograph(path, pixel_size_ang=7.0).pixel_size_ang == 7


def test_a_header_that_differs_is_reported(folder):
    star = write_star(folder, ["MicrographName", "MicrographPixelSize"], ["a.mrc 3"])

    (path,) = find_micrographs([star])

    assert read_micrograph(path).findings == ("The file states 1 Å per pixel; 3 Å is used.",)


@pytest.mark.parametrize(
    ("rows", "groups", "words"),
    [
        (["a.mrc 3"], ["1 first 4.0"], "optics group 3"),
        (["a.mrc 1"], ["1 first four"], "number in the column rlnMicrographPixelSize"),
        (["a.mrc 1", "a.mrc 2"], ["1 x 4.0", "2 y 5.0"], "one pixel size for a.mrc"),
    ],
)
def test_contradictory_optics_are_refused(folder, rows, groups, words):
    star = write_star(folder, ["MicrographName", "OpticsGroup"], rows, groups)

    with pytest.raises(FormatError, match=words):
        find_micrographs([star])


def test_two_lists_must_agree_on_the_pixel_size(folder):
    columns = ["MicrographName", "MicrographPixelSize"]
    first = write_star(folder, columns, ["a.mrc 3"])
    second = write_star(folder, columns, ["a.mrc 4"], name="other.star")

    with pytest.raises(InputError, match="with 3 and with 4 Å"):
        find_micrographs([first, second])
    assert listed_pixel_size(find_micrographs([str(folder / "a.mrc"), first])[0]) == 3


def save_cs(path, names, field="micrograph_blob", sizes=None, uids=(1, 2)):
    kind = [("uid", "u8")]
    kind += [(f"{field}/path", "S20")] if names else []
    kind += [(f"{field}/psize_A", "f4")] if sizes else []
    table = np.zeros(len(uids), kind)
    table["uid"] = uids
    if names:
        table[f"{field}/path"] = names
    if sizes:
        table[f"{field}/psize_A"] = sizes
    with path.open("wb") as file:
        np.save(file, table)
    return str(path)


@pytest.mark.parametrize("field", ["micrograph_blob", "micrograph_blob_non_dw"])
def test_cryosparc_exposures_state_one_pixel_size_each(folder, field):
    exposures = save_cs(folder / "exposures.cs", [b"a.mrc", b"b.mrc"], field, sizes=[2.5, 4])

    assert read_sizes(exposures) == [2.5, 4]


def test_a_passthrough_file_completes_exposures_by_their_uids(folder):
    exposures = save_cs(folder / "exposures.cs", [b"a.mrc", b"b.mrc"])
    save_cs(folder / "J1_passthrough_exposures.cs", None, sizes=[4, 2.5], uids=(2, 1))

    assert read_sizes(exposures) == [2.5, 4]


def test_a_passthrough_file_gives_the_paths_of_exposures(folder):
    exposures = save_cs(folder / "exposures.cs", None, sizes=[4, 2.5], uids=(2, 1))
    save_cs(folder / "J1_passthrough_exposures.cs", [b"a.mrc", b"b.mrc"])

    paths = find_micrographs([exposures])

    assert [(path.name, listed_pixel_size(path)) for path in paths] == [
        ("b.mrc", 4),
        ("a.mrc", 2.5),
    ]


def test_a_listed_path_equals_the_plain_path_and_survives_pickling(folder):
    path = ListedPath.create(folder / "a.mrc", 3.0, folder / "mics.star")

    for copy in (pickle.loads(pickle.dumps(path)), path.absolute()):
        assert copy == folder / "a.mrc"
        assert hash(copy) == hash(folder / "a.mrc")
        assert listed_pixel_size(copy) == 3
    assert listed_pixel_size(path.parent) is None


def test_results_for_another_listed_pixel_size_are_not_reused(folder):
    plain = folder / "a.mrc"

    identities = {
        identify_file(ListedPath.create(plain, size_ang, folder)) for size_ang in (3.0, 4.0, None)
    }

    assert len(identities) == 3
    assert identify_file(plain) in identities
