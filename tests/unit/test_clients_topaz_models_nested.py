"""Tests that nested data in a file of PyTorch is refused quickly: doubled tuples never end."""

import pickle
import zipfile

import pytest

from cryopick.clients.topaz_models.archive import read_tensors
from cryopick.errors import FormatError


def doubled_tuple(times: int) -> bytes:
    """Return pickle code of a tuple that holds itself twice, `times` times."""
    code = b"K\x01q\x00"  # BINPUT 0
    for _ in range(times):
        code += b"h\x00\x86q\x00"  # BINGET 0, TUPLE2, BINPUT 0
    return code


def write_archive(path, code: bytes):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.PROTO + b"\x02" + code + b".")
    return path


@pytest.mark.parametrize(
    "code",
    [
        doubled_tuple(40) + doubled_tuple(40) + b"\x93",  # both parts of a name
        b"}" + doubled_tuple(60) + b"K\x01s",  # key of a mapping
        doubled_tuple(60) + b"Q",  # persistent id
        doubled_tuple(60),  # the network itself
        b"ctopaz.model\nPart\n)\x81}U\x01a" + doubled_tuple(60) + b"sb",  # attribute of a part
    ],
    ids=["name", "key", "id", "network", "attribute"],
)
def test_doubled_tuples_are_refused_or_ignored_at_once(tmp_path, code):
    path = write_archive(tmp_path / "a.sav", code)

    message, saved = "", None
    try:
        saved = read_tensors(path)
    except FormatError as error:
        message = str(error)

    assert len(message) < 1000
    if saved is not None:
        assert not saved.tensors
        assert all(not attributes for _, attributes in saved.parts.values())


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [((3, 3), True), ([1, 2.5, "a", True], True), (((1,),), False), ([[1]], False)],
)
def test_only_flat_attributes_are_kept(tmp_path, value, is_kept):
    code = b"ctopaz.model\nPart\n)\x81}" + pickle.dumps("size", 2)[2:-1]
    code += pickle.dumps(value, 2)[2:-1] + b"sb"

    saved = read_tensors(write_archive(tmp_path / "a.sav", code))

    assert [("size" in attributes) for _, attributes in saved.parts.values()] == [is_kept]
