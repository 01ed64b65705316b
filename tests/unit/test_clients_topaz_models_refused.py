"""Files that are not Topaz detectors are refused, and no code in them is executed."""

import io
import zipfile

import numpy as np
import pytest
import torch
from tests.topaz_networks import network
from torch import nn

from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import FormatError, InputError


def refused(path, match):
    with pytest.raises(FormatError, match=match) as caught:
        read_topaz_model(path)
    assert "\n" not in str(caught.value)


class Hostile:
    def __reduce__(self):
        return (print, ("this must never run",))


class Shell:
    def __reduce__(self):
        import os

        return (os.system, ("touch broken_into",))


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("thing", [Hostile(), Shell(), {"a": Shell()}])
def test_a_file_that_calls_a_program_is_refused_and_not_executed(
    thing, is_zip, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    torch.save(thing, tmp_path / "a.sav", _use_new_zipfile_serialization=is_zip)

    refused(tmp_path / "a.sav", r"it contains (builtins.print|__builtin__.print|posix.system)")

    assert not (tmp_path / "broken_into").exists()
    assert capsys.readouterr().out == ""


def archive(path, pickled, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as made:
        made.writestr("a/data.pkl", pickled)
    return path


@pytest.mark.parametrize(
    ("pickled", "match"),
    [
        (b"", "found something else"),
        (b"\x80\x02", "found something else"),
        (b"not a pickle", "found something else"),
        (b"\x80\x02" + b"(" * 100_000 + b".", "more than 100000 instructions"),
        (b"\x80\x05\x96" + (1 << 60).to_bytes(8, "little") + b".", "found something else"),
        (b"\x80\x02" + b"K\x00r\xff\xff\xff\xff" + b".", "no linear classifier"),
        (b"\x80\x02K\x00" + b"\x85" * 60_000 + b"}" + b".", "no linear classifier"),
        (b"\x80\x02}K\x00" + b"\x85" * 60_000 + b"K\x01s.", "neither text nor a number"),
        (b"\x80\x02" + b"}q\x00X\x01\x00\x00\x00ah\x00s.", "too deeply nested"),
        (b"\x80\x02h\x07.", "found something else"),
        (b"\x80\x02K\x01K\x02R.", "a call without a name"),
    ],
)
def test_a_pickle_that_would_exhaust_or_break_the_reader_is_refused(pickled, match, tmp_path):
    refused(archive(tmp_path / "a.sav", pickled), match)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    bomb = archive(tmp_path / "a.sav", b"\0" * (1 << 24), zipfile.ZIP_DEFLATED)

    refused(bomb, "compressed")


def test_a_tensor_that_claims_more_than_the_file_has_is_refused(tmp_path):
    def grown(data):
        return data.replace(b"K\x03K\x01K\x07K\x07", b"K\x03M\xff\xffM\xff\xffK\x07")

    torch.save(network("resnet8", bn=False).state_dict(), tmp_path / "whole.sav")
    with zipfile.ZipFile(tmp_path / "whole.sav") as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(tmp_path / "a.sav", "w") as made:
        for name, data in members.items():
            made.writestr(name, grown(data) if name.endswith("data.pkl") else data)

    refused(tmp_path / "a.sav", "larger than its storage")


@pytest.mark.parametrize("spoil", ["stride", "pooling", "nan", "depth", "units"])
def test_another_network_is_refused(spoil, saved_whole, tmp_path):
    made = network("conv31")
    body = made.features.features
    if spoil == "stride":
        body[0].stride = (1, 1)
    elif spoil == "pooling":
        body[2] = nn.Sequential(body[2], nn.MaxPool2d(3))
    elif spoil == "nan":
        body[0].weight.data[0, 0, 0, 0] = np.nan
    elif spoil == "depth":
        made.features.features = nn.Sequential(*body[:3])
    else:
        body[6] = nn.Conv2d(4, 9, 5, bias=False)

    refused(saved_whole(made, tmp_path / "a.sav"), "expected a Topaz detector")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"hello", b"\x80\x02]q\x00.", b"\xff" * 99]
)
def test_a_file_that_is_not_a_detector_is_refused(content, tmp_path):
    (tmp_path / "a.sav").write_bytes(content)

    refused(tmp_path / "a.sav", "expected a detector that Topaz saved")


def test_every_truncated_detector_is_refused(tmp_path):
    stream = io.BytesIO()
    torch.save(network("conv31").state_dict(), stream, _use_new_zipfile_serialization=False)
    data = stream.getvalue()
    path = tmp_path / "a.sav"
    for end in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:end])
        refused(path, "a.sav")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.sav"):
        read_topaz_model(tmp_path / "none.sav")
