"""Sound files of every family, made by our own writers, for the search to begin from.

- `seeds`: inputs of a family; the first byte names the layer where a family has several.
"""

import bz2
import gzip
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables import formats
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks

__all__ = ["seeds"]

_REGION = {"regions": {"a.mrc": [[[1, 2], [30, 2], [30, 40.5]]]}}


def seeds(family: str, folder: Path) -> Iterator[bytes]:
    """Yield inputs of a family; files are made in `folder`.

    Args:
        family: One of `FAMILIES`.
        folder: An empty folder.
    """
    yield b""
    yield b"\0no table, no image, no model \xff\0"
    if family in ("star", "box", "cbox", "cs", "csv", "tsv", "json", "eman", "via"):
        yield from _tables(family, folder)
    else:
        yield from _MAKERS[family](folder)


def _picks(*names: str) -> Picks:
    count = 2 * len(names)
    xy_px = np.arange(2.0 * count).reshape(-1, 2) + 20.25
    score = np.linspace(-1.0, 3.0, count)
    extra = {"class": np.arange(count), "note": np.array(["a b"] * count)}
    return Picks.from_columns([name for name in names for _ in range(2)], xy_px, score, extra)


def _tables(family: str, folder: Path) -> Iterator[bytes]:
    end = formats.CODECS[family].suffixes[0]
    for number, names in enumerate((("a.mrc",), ("m/a.mrc", "m/b c.mrc"))):
        picks = _picks(*names)
        holds_one = formats.CODECS[family].is_single
        if holds_one and len(names) > 1:
            picks = Picks.for_micrograph("a.mrc", np.array([[1.5, 2.0], [30.0, 7.0]]))
        path = folder / f"{number}{end}"
        layout = TableLayout(shapes_px=dict.fromkeys(names, (64, 96)))
        write_picks(picks, path, format=family, box_px=16, layout=layout)
        found = path.read_bytes()
        yield b"\0" + found if family == "cs" else found
        if family == "cs":
            length = struct.unpack("<H", found[8:10])[0]
            yield b"\1" + found[10 : 10 + length]
    if family == "star":
        yield b"data_\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographCoordinates #2\na.mrc b.star\n"
        yield b"data_optics\n_rlnVersion 3\n\ndata_particles\nloop_\n_rlnCoordinateX\n1\n2\n"
    if family == "eman":
        yield b'{"boxes_3d": [[1, 2, 3, "x", 1.0, 0]], "boxes": []}'
    if family == "via":
        yield (
            b"filename,region_shape_attributes,region_attributes\n"
            b'a.png,"{""name"":""rect"",""x"":1,""y"":2,""width"":3,""height"":4}",{}\n'
        )
    if family == "cbox":
        yield b"10 20 30 40 0.5\n1 2 3 4 1.0\n"


def _image() -> np.ndarray:
    return np.arange(48, dtype=np.float32).reshape(6, 8)


def _mrc(folder: Path) -> Iterator[bytes]:
    write_mrc(folder / "a.mrc", _image(), pixel_size_ang=(1.5, 1.5))
    plain = (folder / "a.mrc").read_bytes()
    for layer in range(3):
        yield bytes([layer]) + plain
    for mode, size in ((0, 1), (1, 2), (6, 2), (12, 2)):
        yield b"\0" + plain[:12] + struct.pack("<i", mode) + plain[16 : 1024 + 48 * size]
    yield b"\0" + gzip.compress(plain, mtime=0)
    yield b"\0" + bz2.compress(plain)
    big = np.frombuffer(plain[:1024], "<u4").byteswap().tobytes()
    yield b"\0" + big[:208] + b"MAP \x11\x11\0\0" + big[216:] + plain[1024:]


def _tiff(folder: Path) -> Iterator[bytes]:
    import tifffile

    path = folder / "a.tif"
    for options in (
        {}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}, {"tile": (16, 16)},
        {"imagej": True}, {"resolution": (1e8, 1e8), "resolutionunit": "CENTIMETER"},
        {"photometric": "rgb", "shape": (4, 4, 3)},
    ):  # fmt: skip
        shape = options.pop("shape", None)
        image = np.zeros(shape, np.uint8) if shape else _image()
        tifffile.imwrite(path, image, software="", metadata=None, **options)
        yield path.read_bytes()


def _raster(folder: Path) -> Iterator[bytes]:
    from PIL import Image

    for kind in ("png", "jpeg"):
        for dtype in (np.uint8, np.uint16)[: 1 + (kind == "png")]:
            path = folder / f"a.{kind}"
            Image.fromarray(_image().astype(dtype)).save(path)
            yield path.read_bytes()


def _record(folder: Path) -> Iterator[bytes]:
    from cryopick.runs.metadata import RunMetadata, write_run_metadata

    write_run_metadata(RunMetadata(command=["pick", "a.mrc"], seconds=1.5), folder / "r.json")
    yield (folder / "r.json").read_bytes()


def _settings(_folder: Path) -> Iterator[bytes]:
    from cryopick.config import to_toml
    from cryopick.train.settings import TrainSettings

    yield to_toml(TrainSettings(diameter_ang=100.0, particles_per_micrograph=20.0)).encode()
    yield b'steps = 10\n[network]\nwidth = 4\nname = "resnet8"\n'


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """The header and the body of a safetensors file."""
    length = struct.unpack("<Q", data[:8])[0]
    return data[8 : 8 + length], data[8 + length :]


def _model(folder: Path) -> Iterator[bytes]:
    from tests import tiny

    tiny.model(folder / "m.safetensors", settings={"steps": 3})
    data = (folder / "m.safetensors").read_bytes()
    header, _ = _parts(data)
    yield b"\0" + data
    yield b"\1" + header[:4096]
    yield b"\2" + json.loads(header)["__metadata__"]["cryopick"].encode()


def _state(folder: Path) -> Iterator[bytes]:
    import torch

    from cryopick.train.checkpoint import TrainingState, save_checkpoint
    from cryopick.train.curves import CurveRow, TrainingCurves
    from cryopick.train.optimizer import Adam

    torch.manual_seed(0)
    network = torch.nn.Linear(2, 1)
    adam = Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    adam.step(0.1)
    rows = [CurveRow(**dict.fromkeys(CurveRow.__dataclass_fields__, 1.0) | {"step": 1})]
    state = TrainingState(
        step=3,
        best={k: v.clone() for k, v in network.state_dict().items()},
        curves=TrainingCurves(rows),
    )
    path = folder / "s.safetensors"
    save_checkpoint(path, {"network": network, "optimizer": adam}, state, "key")
    data = path.read_bytes()
    header, _ = _parts(data)
    yield b"\0" + data
    yield b"\1" + header
    yield b"\2" + json.loads(header)["__metadata__"]["cryopick-run"].encode()


def _sav(folder: Path) -> Iterator[bytes]:
    """A detector of three convolutions, in both layouts of PyTorch and without the outer one."""
    import torch

    torch.manual_seed(0)
    tensors, before = {}, 1
    for number, after in enumerate((2, 4, 8)):
        name, side = f"features.features.{3 * number}.", 5 if number else 7
        norm = f"features.features.{3 * number + 1}."
        tensors[name + "weight"] = torch.randn(after, before, side, side)
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[norm + part] = torch.ones(after)
        tensors[norm + "num_batches_tracked"] = torch.tensor(1)
        tensors[f"features.features.{3 * number + 2}.weight"] = torch.ones(1)
        before = after
    tensors |= {"classifier.weight": torch.ones(1, 8, 1, 1), "classifier.bias": torch.zeros(1)}
    for is_zip in (True, False):
        path = folder / f"{is_zip}.sav"
        torch.save(tensors, path, _use_new_zipfile_serialization=is_zip)
        yield b"\0" + path.read_bytes()
    small = {"a": torch.ones(2, 3), "b": torch.arange(4.0)}
    torch.save(small, folder / "small.sav", _use_new_zipfile_serialization=False)
    yield b"\0" + (folder / "small.sav").read_bytes()
    torch.save(small, folder / "archive.sav")
    with zipfile.ZipFile(folder / "archive.sav") as archive:
        pickled = archive.read("archive/data.pkl")
    yield b"\1" + pickled
    yield b"\1" + pickle.dumps({"a": [1, 2.5, (True, None)], "b": {"c": "d"}}, protocol=2)
    yield b"\2" + b"archive/data.pkl\n" + pickled + b"\n--\narchive/data/0\n" + bytes(64)


_MAKERS = {
    "mrc": _mrc,
    "tiff": _tiff,
    "raster": _raster,
    "regions": lambda _: iter([json.dumps(_REGION).encode()]),
    "record": _record,
    "settings": _settings,
    "model": _model,
    "state": _state,
    "sav": _sav,
}
