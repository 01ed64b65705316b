"""The families of parsers that take files from elsewhere, each as a function of bytes.

A file that is refused raises `CryopickError`; any other exception is a bug. Formats whose outer
layer rejects nearly every change (a checksum, a length, a compressed stream) are also given
inputs inside a layer that is whole: the first byte of an input says which.

- `FAMILIES`: every family by name.
- `Family`: what reads it, which modules are watched, and what wraps its inputs.
"""

import bz2
import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryopick.errors import CryopickError

__all__ = ["FAMILIES", "Family"]

_MOST_PIXELS = 1 << 22  # so that the limit on the size of images is met within the memory at hand


def _as_is(data: bytes) -> bytes:
    return data


def _zipped_pickle(data: bytes) -> bytes:
    """The archive of PyTorch 1.6 and later around a pickle, with numbers for two arrays."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data)
        for key in "01":
            archive.writestr(f"archive/data/{key}", bytes(256))
    return out.getvalue()


def _zip_of_members(data: bytes) -> bytes:
    """An archive whose members are parted by a line of their own, names in front."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for part in data.split(b"\n--\n")[:8]:
            name, _, content = part.partition(b"\n")
            archive.writestr(name.decode("latin-1").replace("\0", "")[:80] or "x", content)
    return out.getvalue()


def _safetensors(data: bytes) -> bytes:
    """A header of the right length, and what its tensors would need, up to a kilobyte."""
    return struct.pack("<Q", len(data)) + data + bytes(1024)


def _model(data: bytes) -> bytes:
    """A file that safetensors accepts, whose description is the input."""
    header = json.dumps({"__metadata__": {"cryopick": data.decode("latin-1")}}).encode()
    return struct.pack("<Q", len(header)) + header


def _run_state(data: bytes) -> bytes:
    header = json.dumps({"__metadata__": {"cryopick-run": data.decode("latin-1")}}).encode()
    return struct.pack("<Q", len(header)) + header


def _numpy_header(data: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(data) & 0xFFFF) + data + bytes(4096)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of parsers.

    Attributes:
        suffix: What its files are called.
        read: Read a file by every parser of the family.
        modules: Modules whose branches guide the search.
        layers: What may be put around an input, chosen by its first byte.
        words: Words of the format, which the search puts together.
    """

    suffix: str
    read: Callable[[Path], None]
    modules: Sequence[str]
    layers: Sequence[Callable[[bytes], bytes]] = (_as_is,)
    words: Sequence[str] = ()

    def file_of(self, data: bytes) -> bytes:
        """The content of the file that an input stands for."""
        if len(self.layers) == 1:
            return self.layers[0](data)
        return self.layers[data[0] % len(self.layers)](data[1:]) if data else b""

    def try_input(self, data: bytes, folder: Path) -> bool:
        """Read one input; say whether it was taken. What is not refused in words is raised."""
        path = folder / f"input{self.suffix}"
        path.write_bytes(self.file_of(data))
        try:
            self.read(path)
        except CryopickError:
            return False
        return True


def _images(path: Path) -> None:
    from cryopick.io import (
        describe_micrograph,
        micrograph_shape,
        mrc,
        raster,
        read_micrograph,
        tiff,
    )

    usual = mrc.MAX_PIXELS
    mrc.MAX_PIXELS = tiff.MAX_PIXELS = raster.MAX_PIXELS = _MOST_PIXELS
    try:
        describe_micrograph(path)
        read_micrograph(path)
        micrograph_shape(path)
    finally:
        mrc.MAX_PIXELS = tiff.MAX_PIXELS = raster.MAX_PIXELS = usual


def _tables(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from cryopick.io import FORMATS, read_picks, write_picks_per_micrograph

        assert name in FORMATS
        found = None
        for given in (name, None):  # as the user says, and as the file seems
            try:
                found = read_picks(path, format=given)
            except CryopickError:
                if given is None:
                    raise
        if found is not None and len(found) < 100 and len(found.micrographs) < 4:
            write_picks_per_micrograph(found, path.parent / "out", format="json", overwrite=True)

    return read


def _star(path: Path) -> None:
    from cryopick.io import read_star_frame, star

    for reads in (star.micrograph_names, star.coordinate_files, lambda p: read_star_frame([p])):
        try:
            reads(path)
        except CryopickError:
            continue
    _tables("star")(path)


def _cs(path: Path) -> None:
    from cryopick.io import cs

    try:
        cs.micrograph_names(path)
    except CryopickError:
        _tables("cs")(path)


def _regions(path: Path) -> None:
    from cryopick.io.regions import read_regions

    read_regions(path)


def _record(path: Path) -> None:
    from cryopick.io.record import read_record

    read_record(path)


def _load_model(path: Path) -> None:
    from cryopick.learn import load_model

    load_model(path)


def _load_state(path: Path) -> None:
    import torch

    from cryopick.learn.adam import Adam
    from cryopick.learn.state import load_state

    network = torch.nn.Linear(2, 1)
    parts = {"network": network, "optimizer": Adam(network.parameters())}
    load_state(path, parts, "key", torch.device("cpu"))


def _sav(path: Path) -> None:
    from cryopick.clients.sav import read_topaz_model

    read_topaz_model(path)


def _settings(path: Path) -> None:
    from cryopick.config import load_toml
    from cryopick.learn import TrainSettings

    load_toml(TrainSettings, path)


_TEXT = ("cryopick.io",)
_JSON = ("[", "]", "{", "}", ":", ",", "null", "true", "1e999", "-1", '"', "NaN", "\\\\u00")
_MODEL = ("cryopick.learn", "cryopick.image.normalize", "cryopick.io")

FAMILIES = {
    "mrc": Family(
        suffix=".mrc",
        read=_images,
        modules=("cryopick.io", "mrcfile"),
        layers=(_as_is, gzip.compress, bz2.compress),
        words=("MAP ", "DD\\x00\\x00", "\\x11\\x11\\x00\\x00"),
    ),
    "tiff": Family(suffix=".tif", read=_images, modules=("cryopick.io", "tifffile")),
    "raster": Family(suffix=".png", read=_images, modules=("cryopick.io", "PIL")),
    "star": Family(
        suffix=".star",
        read=_star,
        modules=_TEXT,
        words=(
            "data_", "loop_", "_rlnCoordinateX", "_rlnCoordinateY", "_rlnMicrographName",
            "_rlnAutopickFigureOfMerit", "_rlnMicrographCoordinates", "#", ";", "'", "nan",
            "../../", "data_particles", "data_optics", "%2e", "save_",
        ),
    ),
    "box": Family(suffix=".box", read=_tables("box"), modules=_TEXT, words=("nan", "inf", "1e308")),
    "cbox": Family(
        suffix=".cbox",
        read=_tables("cbox"),
        modules=_TEXT,
        words=("data_cryolo", "loop_", "_CoordinateX", "_CoordinateY", "_Width", "_Height",
               "_Confidence", "<NA>", "_CoordinateZ"),
    ),
    "cs": Family(
        suffix=".cs",
        read=_cs,
        modules=("cryopick.io", "numpy.lib.format", "numpy.lib._format_impl"),
        layers=(_as_is, _numpy_header),
        words=("'descr'", "'fortran_order'", "'shape'", "'|O'", "'<f4'", "location/micrograph_path",
               "location/center_x_frac", "micrograph_blob/path", "True", "False", "(1,)"),
    ),
    "csv": Family(
        suffix=".csv",
        read=_tables("csv"),
        modules=_TEXT,
        words=("image_name", "x_coord", "y_coord", "score", ",", '"', "nan", "inf"),
    ),
    "tsv": Family(
        suffix=".tsv",
        read=_tables("tsv"),
        modules=_TEXT,
        words=("image_name", "x_coord", "y_coord", "score", "\\x09", "nan", "inf"),
    ),
    "json": Family(
        suffix=".json",
        read=_tables("json"),
        modules=_TEXT,
        words=(*_JSON, "micrographs", "picks", "micrograph", "x", "y", "score"),
    ),
    "eman": Family(
        suffix="_info.json",
        read=_tables("eman"),
        modules=_TEXT,
        words=(*_JSON, "boxes", "boxes_3d", "manual"),
    ),
    "via": Family(
        suffix="_via.csv",
        read=_tables("via"),
        modules=_TEXT,
        words=(*_JSON, "filename", "region_shape_attributes", "region_attributes", "cx", "width"),
    ),
    "regions": Family(
        suffix=".json",
        read=_regions,
        modules=("cryopick.io", "cryopick.regions"),
        words=(*_JSON, "regions"),
    ),
    "record": Family(
        suffix=".json",
        read=_record,
        modules=_TEXT,
        words=(*_JSON, "command", "micrographs", "seconds", "files"),
    ),
    "settings": Family(
        suffix=".toml",
        read=_settings,
        modules=("cryopick.config", "cryopick.learn.settings"),
        words=("=", "[network]", "width", "seed", "nan", "inf", "1_0", '"""', "true"),
    ),
    "model": Family(
        suffix=".safetensors",
        read=_load_model,
        modules=_MODEL,
        layers=(_as_is, _safetensors, _model),
        words=(*_JSON, "__metadata__", "cryopick", "network", "width", "dtype", "data_offsets"),
    ),
    "state": Family(
        suffix=".safetensors",
        read=_load_state,
        modules=_MODEL,
        layers=(_as_is, _safetensors, _run_state),
        words=(*_JSON, "__metadata__", "cryopick-run", "key", "step", "rows", "best_step"),
    ),
    "sav": Family(
        suffix=".sav",
        read=_sav,
        modules=("cryopick.clients.sav",),
        layers=(_as_is, _zipped_pickle, _zip_of_members),
        words=("ctorch._utils", "_rebuild_tensor_v2", "cos", "system", "cbuiltins", "exec",
               "PK\\x03\\x04", "archive/data.pkl"),
    ),
}  # fmt: skip
