"""The families of parsers that take files from elsewhere, each as a function of bytes.

A file that is refused raises `CryopickError`; any other exception is a bug. Formats whose outer
layer rejects nearly every change (a checksum, a length, a compressed stream) are also given
inputs inside a layer that is whole: the first byte of an input says which.

- `FAMILIES`: every family by name.
- `Family`: what reads it, which modules are watched, and what wraps its inputs.
"""

import bz2
import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.layers import (
    as_is,
    model,
    numpy_header,
    run_state,
    safetensors,
    zip_of_members,
    zipped_pickle,
)

from cryopick.errors import CryopickError

__all__ = ["FAMILIES", "Family"]

_LARGE_BYTES = 1 << 18  # of an input that is repeated, well beyond all buffers of the parsers
_LARGE_SHARE = 64  # one input in so many is also read when it is repeated


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of parsers.

    Attributes:
        suffix: What its files are called.
        reads: What reads its files. The first is the parser proper, others lead to it.
        modules: Modules whose branches guide the search.
        layers: What may be put around an input, chosen by its first byte.
        words: Words of the format, which the search puts together.
    """

    suffix: str
    reads: Sequence[Callable[[Path], None]]
    modules: Sequence[str]
    layers: Sequence[Callable[[bytes], bytes]] = (as_is,)
    words: Sequence[str] = ()

    def file_of(self, data: bytes) -> bytes:
        """The content of the file that an input stands for."""
        if len(self.layers) == 1:
            return self.layers[0](data)
        return self.layers[data[0] % len(self.layers)](data[1:]) if data else b""

    def enlarge(self, data: bytes) -> bytes:
        """Repeat a part of an input, which the input chooses, until the whole is large.

        The layer's byte at the beginning stays. What takes quadratic time or memory in the number
        of rows, columns, keys or levels shows here and not in a few kilobytes.
        """
        start = len(self.layers) > 1
        choice = zlib.crc32(data)
        first = start + choice % max(1, len(data) - start)
        if choice & 1 << 20:  # from the beginning of a line
            first = data.rfind(b"\n", 0, first) + 1
        length = 1 + (choice >> 8) % 64
        if choice & 1 << 21:  # to the end of that line
            length = data.find(b"\n", first) + 1 - first or length
        part = data[first : first + max(1, length)] or b"\n"
        times = _LARGE_BYTES // len(part)
        return data[:first] + part * times + data[first:]

    def is_enlarged(self, data: bytes) -> bool:
        """Check whether an input is also read when it is repeated, which the input decides."""
        return zlib.crc32(data, 1) % _LARGE_SHARE == 0

    def try_input(self, data: bytes, folder: Path, *, in_turn: bool = False) -> bool:
        """Read one input, and raise what is not refused in words.

        Args:
            data: The input.
            folder: Where the file goes.
            in_turn: Read by the first of `reads` and one of the others, drawn by the input.

        Returns:
            Whether the first of `reads` took it.
        """
        path = folder / f"input{self.suffix}"
        path.write_bytes(self.file_of(data))
        first, *others = self.reads
        if in_turn and others:
            others = [others[zlib.crc32(data) % len(others)]]
        taken = _is_taken(first, path)
        for read in others:
            _is_taken(read, path)
        return taken


def _is_taken(read: Callable[[Path], None], path: Path) -> bool:
    try:
        read(path)
    except CryopickError:
        return False
    return True


def _read_micrograph(path: Path) -> None:
    from cryopick.io.images.micrograph import read_micrograph

    read_micrograph(path)


def _describe_micrograph(path: Path) -> None:
    from cryopick.io.images.micrograph import describe_micrograph

    describe_micrograph(path)


def _read_micrograph_shape(path: Path) -> None:
    from cryopick.io.images.sizes import read_micrograph_shape

    read_micrograph_shape(path)


_IMAGES = (_read_micrograph, _describe_micrograph, _read_micrograph_shape)


def _tables(name: str) -> tuple[Callable[[Path], None], ...]:
    """A table of picks as the user says that it is, as it seems, and written again."""

    def as_said(path: Path) -> None:
        from cryopick.io.tables.formats import FORMATS
        from cryopick.io.tables.pick_tables import read_picks

        assert name in FORMATS
        read_picks(path, format=name)

    def as_it_seems(path: Path) -> None:
        from cryopick.io.tables.pick_tables import read_picks

        read_picks(path)

    def again(path: Path) -> None:
        from cryopick.io.tables.pick_tables import read_picks, write_picks_per_micrograph

        found = read_picks(path, format=name)
        if len(found) < 100 and len(found.micrographs) < 4:
            write_picks_per_micrograph(found, path.parent / "out", format="json", overwrite=True)

    return as_said, as_it_seems, again


def _star_frame(path: Path) -> None:
    from cryopick.io.tables.pick_tables import read_star_context

    read_star_context([path])


def _star_names(path: Path) -> None:
    from cryopick.io.tables import star

    star.read_micrograph_names(path)


def _star_files(path: Path) -> None:
    from cryopick.io.tables import star

    star.read_coordinate_files(path)


def _cs_names(path: Path) -> None:
    from cryopick.io.tables import cs

    cs.read_micrograph_names(path)


def _regions(path: Path) -> None:
    from cryopick.io.tables.region_files import read_regions

    read_regions(path)


def _record(path: Path) -> None:
    from cryopick.runs.metadata import read_run_metadata

    read_run_metadata(path)


def _load_model(path: Path) -> None:
    from cryopick.model.model_file import load_model

    load_model(path)


def _load_state(path: Path) -> None:
    import torch

    from cryopick.train.checkpoint import load_checkpoint
    from cryopick.train.optimizer import Adam

    network = torch.nn.Linear(2, 1)
    parts = {"network": network, "optimizer": Adam(network.parameters())}
    load_checkpoint(path, parts, "key", torch.device("cpu"))


def _sav(path: Path) -> None:
    from cryopick.clients.topaz_models.detector import read_topaz_model

    read_topaz_model(path)


def _settings(path: Path) -> None:
    from cryopick.config import load_toml
    from cryopick.train.settings import TrainSettings

    load_toml(TrainSettings, path)


_TEXT = ("cryopick.io",)
_JSON = ("[", "]", "{", "}", ":", ",", "null", "true", "1e999", "-1", '"', "NaN", "\\\\u00")
_MODEL = (
    "cryopick.model.model_file",
    "cryopick.train",
    "cryopick.preprocess.normalize",
    "cryopick.io",
)

FAMILIES = {
    "mrc": Family(
        suffix=".mrc",
        reads=_IMAGES,
        modules=("cryopick.io", "mrcfile"),
        layers=(as_is, gzip.compress, bz2.compress),
        words=("MAP ", "DD\\x00\\x00", "\\x11\\x11\\x00\\x00"),
    ),
    "tiff": Family(suffix=".tif", reads=_IMAGES, modules=("cryopick.io", "tifffile")),
    "raster": Family(suffix=".png", reads=_IMAGES, modules=("cryopick.io", "PIL")),
    "star": Family(
        suffix=".star",
        reads=(*_tables("star"), _star_frame, _star_names, _star_files),
        modules=_TEXT,
        words=(
            "data_", "loop_", "_rlnCoordinateX", "_rlnCoordinateY", "_rlnMicrographName",
            "_rlnAutopickFigureOfMerit", "_rlnMicrographCoordinates", "#", ";", "'", "nan",
            "../../", "data_particles", "data_optics", "%2e", "save_",
        ),
    ),
    "box": Family(suffix=".box", reads=_tables("box"), modules=_TEXT, words=("nan", "1e308")),
    "cbox": Family(
        suffix=".cbox",
        reads=_tables("cbox"),
        modules=_TEXT,
        words=("data_cryolo", "loop_", "_CoordinateX", "_CoordinateY", "_Width", "_Height",
               "_Confidence", "<NA>", "_CoordinateZ"),
    ),
    "cs": Family(
        suffix=".cs",
        reads=(*_tables("cs"), _cs_names),
        modules=("cryopick.io", "numpy.lib.format", "numpy.lib._format_impl"),
        layers=(as_is, numpy_header),
        words=("'descr'", "'fortran_order'", "'shape'", "'|O'", "'<f4'", "location/micrograph_path",
               "location/center_x_frac", "micrograph_blob/path", "True", "False", "(1,)"),
    ),
    "csv": Family(
        suffix=".csv",
        reads=_tables("csv"),
        modules=_TEXT,
        words=("image_name", "x_coord", "y_coord", "score", ",", '"', "nan", "inf"),
    ),
    "tsv": Family(
        suffix=".tsv",
        reads=_tables("tsv"),
        modules=_TEXT,
        words=("image_name", "x_coord", "y_coord", "score", "\\x09", "nan", "inf"),
    ),
    "json": Family(
        suffix=".json",
        reads=_tables("json"),
        modules=_TEXT,
        words=(*_JSON, "micrographs", "picks", "micrograph", "x", "y", "score"),
    ),
    "eman": Family(
        suffix="_info.json",
        reads=_tables("eman"),
        modules=_TEXT,
        words=(*_JSON, "boxes", "boxes_3d", "manual"),
    ),
    "via": Family(
        suffix="_via.csv",
        reads=_tables("via"),
        modules=_TEXT,
        words=(*_JSON, "filename", "region_shape_attributes", "region_attributes", "cx", "width"),
    ),
    "regions": Family(
        suffix=".json",
        reads=(_regions,),
        modules=("cryopick.io", "cryopick.regions"),
        words=(*_JSON, "regions"),
    ),
    "record": Family(
        suffix=".json",
        reads=(_record,),
        modules=_TEXT,
        words=(*_JSON, "command", "micrographs", "seconds", "files"),
    ),
    "settings": Family(
        suffix=".toml",
        reads=(_settings,),
        modules=("cryopick.config", "cryopick.train.settings"),
        words=("=", "[network]", "width", "seed", "nan", "inf", "1_0", '"""', "true"),
    ),
    "model": Family(
        suffix=".safetensors",
        reads=(_load_model,),
        modules=_MODEL,
        layers=(as_is, safetensors, model),
        words=(*_JSON, "__metadata__", "cryopick", "network", "width", "dtype", "data_offsets"),
    ),
    "state": Family(
        suffix=".safetensors",
        reads=(_load_state,),
        modules=_MODEL,
        layers=(as_is, safetensors, run_state),
        words=(*_JSON, "__metadata__", "cryopick-run", "key", "step", "rows", "best_step"),
    ),
    "sav": Family(
        suffix=".sav",
        reads=(_sav,),
        modules=("cryopick.clients.topaz_models",),
        layers=(as_is, zipped_pickle, zip_of_members),
        words=("ctorch._utils", "_rebuild_tensor_v2", "cos", "system", "cbuiltins", "exec",
               "PK\\x03\\x04", "archive/data.pkl"),
    ),
}  # fmt: skip
