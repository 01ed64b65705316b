"""Detectors of Topaz: read by their numbers, with the same scores; whatever else is refused.

The files are made here in the layout that PyTorch saves, by stand-ins of the same module and
class names, in memory and without the program itself. Detectors that it trained lie in golden/ with
the score maps that it wrote; where it is installed, those that it ships are compared as well.
"""

import io
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from cryopick.clients.sav import read_topaz_model
from cryopick.errors import FormatError, InputError
from cryopick.learn import load_model
from cryopick.pick.score import folded, score_map

GOLDEN = Path(__file__).parents[1] / "golden"
PEER = Path(__file__).parents[2] / ".peer" / "bin" / "topaz"


class Features(nn.Module):
    """What stands before the linear layer."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, x):
        return self.features(x)


class Scored(nn.Module):
    """A classifier in the layout of the original: features, then a linear layer."""

    def __init__(self, features, channels):
        super().__init__()
        self.features = Features(features)
        self.classifier = nn.Conv2d(channels, 1, 1)

    def forward(self, x):
        return self.classifier(self.features(x))


class Block(nn.Module):
    """A convolution of a residual network."""

    def __init__(self, before, after, kernel, stride=1, bn=True):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride=stride, bias=not bn)
        if bn:
            self.bn = nn.BatchNorm2d(after)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        return self.act(self.bn(x) if hasattr(self, "bn") else x)


class Pair(nn.Module):
    """Two convolutions with a shortcut; written from what the score maps show."""

    def __init__(self, before, after, stride=1, dilation=1, bn=True):
        super().__init__()
        if before != after:
            self.proj = nn.Conv2d(before, after, 1, stride=stride, bias=False)
        self.conv0 = nn.Conv2d(before, before, 3, bias=not bn)
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, dilation=dilation, bias=not bn)
        if bn:
            self.bn0, self.bn1 = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.act0, self.act1 = nn.ReLU(), nn.ReLU()
        self.edge, self.step = 1 + dilation, stride

    def forward(self, x):
        inner = x[..., self.edge : -self.edge, self.edge : -self.edge]
        short = (
            self.proj(inner) if hasattr(self, "proj") else inner[..., :: self.step, :: self.step]
        )
        y = self.conv0(x)
        y = self.conv1(self.act0(self.bn0(y) if hasattr(self, "bn0") else y)) + short
        return self.act1(self.bn1(y) if hasattr(self, "bn1") else y)


def resnet8(units=3, bn=True):
    return Scored(
        nn.Sequential(
            Block(1, units, 7, stride=2, bn=bn),
            Pair(units, units, dilation=2, bn=bn),
            Pair(units, 2 * units, stride=2, dilation=2, bn=bn),
            Pair(2 * units, 2 * units, dilation=2, bn=bn),
            Block(2 * units, 4 * units, 5, bn=bn),
        ),
        4 * units,
    )


def resnet16(units=2, bn=True):
    return Scored(
        nn.Sequential(
            Block(1, units, 7, bn=bn),
            Pair(units, units, stride=2, bn=bn),
            *[Pair(units, units, bn=bn) for _ in range(3)],
            Pair(units, 2 * units, stride=2, bn=bn),
            *[Pair(2 * units, 2 * units, bn=bn) for _ in range(2)],
            Block(2 * units, 4 * units, 5, bn=bn),
        ),
        4 * units,
    )


def conv(depth, units=2, bn=True):
    layers, before = [], 1
    for number in range(depth):
        after = units * 2**number
        stride = 2 if number + 1 < depth else 1
        layers.append(nn.Conv2d(before, after, 5 if number else 7, stride=stride, bias=not bn))
        layers += [nn.BatchNorm2d(after)] if bn else []
        layers.append(nn.PReLU())
        before = after
    return Scored(nn.Sequential(*layers), before)


KINDS = {
    "resnet8": (resnet8, 71),
    "resnet16": (resnet16, 91),
    "conv31": (lambda **options: conv(3, **options), 31),
    "conv63": (lambda **options: conv(4, **options), 63),
    "conv127": (lambda **options: conv(5, **options), 127),
}


def network(kind, seed=0, **options):
    """A network with batch statistics and slopes unlike those of a fresh one."""
    torch.manual_seed(seed)
    made = KINDS[kind][0](**options)
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    return made.eval()


@pytest.fixture
def saved_whole(monkeypatch):
    """Save a network as PyTorch does, its classes under the names of the original's modules."""
    names = {Scored: "topaz.model.classifier", Block: "topaz.model.features.resnet"}
    names |= dict.fromkeys((Features, Pair), names[Block])

    def save(made, path, **options):
        for kind, name in names.items():
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                package = ".".join(parts[:end])
                if package not in sys.modules:
                    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
            setattr(sys.modules[name], kind.__qualname__, kind)
            monkeypatch.setattr(kind, "__module__", name)
        torch.save(made, path, **options)
        monkeypatch.undo()
        return path

    return save


@pytest.mark.parametrize("bn", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_scores_as_the_network_that_was_saved(kind, bn, saved_whole, tmp_path):
    original = network(kind, bn=bn)
    path = saved_whole(original, tmp_path / "a.sav")

    ours = read_topaz_model(path)

    side = KINDS[kind][1] + 17
    pixels = torch.randn(1, 1, side, side)
    with torch.inference_mode():
        expected = original(pixels)[:, 0]
        torch.testing.assert_close(ours(pixels), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(folded(ours)(pixels), expected, rtol=1e-4, atol=1e-5)
    assert ours.receptive_field_px == KINDS[kind][1]
    assert expected.std() > 1e-4


@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_alone_and_the_older_layout_are_read_too(is_zip, tmp_path):
    original = network("resnet8", bn=False)
    torch.save(original.state_dict(), tmp_path / "a.sav", _use_new_zipfile_serialization=is_zip)
    pixels = torch.randn(1, 1, 80, 80)

    ours = read_topaz_model(tmp_path / "a.sav")

    with torch.inference_mode():
        torch.testing.assert_close(ours(pixels), original(pixels)[:, 0], rtol=1e-4, atol=1e-5)


def test_an_imported_model_picks(run_words, tmp_path):
    from tests import tiny

    torch.save(network("resnet8", bn=False).state_dict(), tmp_path / "a.sav")
    tiny.micrographs(tmp_path / "mics", 1)

    told = run_words(
        "models import a.sav -o a.safetensors --factor 2 --pixel-size-ang 10 --diameter-ang 135"
    ).output
    run_words("pick mics --model a.safetensors -o picks.star --threshold -100")

    assert "resnet71 of width 3, for 20 Å per pixel" in told
    model = load_model(tmp_path / "a.safetensors")
    assert model.normalization.kind == "micrograph"
    assert model.working_pixel_size_ang == 20
    assert (tmp_path / "picks.star").stat().st_size > 0


@pytest.mark.parametrize("missing", ["factor", "pixel-size-ang", "diameter-ang"])
def test_what_the_file_does_not_tell_is_asked_for(missing, run_words, tmp_path):
    torch.save(network("conv31").state_dict(), tmp_path / "a.sav")
    words = {"factor": "8", "pixel-size-ang": "1.1", "diameter-ang": "100"}
    options = " ".join(f"--{name} {value}" for name, value in words.items() if name != missing)

    told = run_words(f"models import a.sav -o a.safetensors {options}", status=2).output

    assert f"--{missing}" in told
    assert not (tmp_path / "a.safetensors").exists()


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
def test_a_file_that_asks_for_a_program_is_refused_and_nothing_runs(
    thing, is_zip, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    torch.save(thing, tmp_path / "a.sav", _use_new_zipfile_serialization=is_zip)

    refused(tmp_path / "a.sav", r"it asks for (builtins.print|__builtin__.print|posix.system)")

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
        (b"\x80\x02" + b"}q\x00X\x01\x00\x00\x00ah\x00s.", "deeper ones"),
        (b"\x80\x02h\x07.", "found something else"),
        (b"\x80\x02K\x01K\x02R.", "a call of what has no name"),
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

    refused(tmp_path / "a.sav", "larger than its numbers")


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
def test_a_file_that_is_no_detector_is_refused(content, tmp_path):
    (tmp_path / "a.sav").write_bytes(content)

    refused(tmp_path / "a.sav", "expected a detector that Topaz saved")


def test_every_cut_of_a_detector_is_refused(tmp_path):
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


@pytest.mark.parametrize("name", ["conv31", "conv63", "conv127", "resnet8", "resnet16"])
def test_a_detector_that_topaz_trained_scores_as_topaz_scored(name):
    image = np.random.default_rng(0).normal(size=(48, 56)).astype(np.float32)
    theirs = tifffile.imread(GOLDEN / f"topaz_{name}.tiff")

    ours = score_map(read_topaz_model(GOLDEN / f"topaz_{name}.sav"), image, step_px=1).logits

    # Logits of so short a training differ by some thousandths.
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert theirs.std() > 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8_u32", "resnet16_u32"])
def test_scores_are_those_that_topaz_itself_writes(name, tmp_path):
    if not PEER.exists():
        pytest.skip("Topaz is not installed here: `make bench-peer` installs it")
    from cryopick.io import write_mrc

    image = np.random.default_rng(0).normal(size=(128, 144)).astype(np.float32)
    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=(8.0, 8.0))
    command = [PEER, "segment", "-m", name, "-d", "-1", "-o", tmp_path / "maps", tmp_path / "a.mrc"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    theirs = tifffile.imread(next((tmp_path / "maps").glob("a.*")))
    (detector,) = PEER.parents[1].glob(f"lib/*/site-packages/topaz/pretrained/detector/{name}.sav")
    ours = score_map(read_topaz_model(detector), image, step_px=1).logits

    assert theirs.std() > 1  # logits of tens
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
