"""Reader for files of PyTorch that executes no code in them.

Supports both layouts: the uncompressed zip archive of PyTorch 1.6 and later, and the earlier
sequence of pickles. All sizes are checked against the size of the file before memory is allocated.

- `read_tensors`: read the arrays of a saved network, or of its weights, by name.
- `SavedNetwork`: the result.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Shaped
from cryopick.clients.topaz_models.safe_pickle import CallPlaceholder, Name, Stored, load
from cryopick.errors import FormatError, InputError

__all__ = ["SavedNetwork", "read_tensors"]

Array = Shaped[np.ndarray, "..."]
Storages = Mapping[str, Array]

MAX_BYTES = 1 << 30  # of a file; the largest detector takes 300 MB
_MAX_PICKLE_BYTES = 1 << 24
_MAX_PARTS = 10_000
_MAX_SEQUENCE = 64  # items of an attribute, such as a kernel size
_SCALARS = (bool, int, float, str)
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first of the sequence of pickles
_KINDS = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "BoolStorage": "?",
}
_PACKAGES = ("torch.", "topaz.", "collections.OrderedDict")
_BUILTINS = {Name(module, "set") for module in ("builtins", "__builtin__")}
_DAMAGED = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, EOFError)


@dataclass(frozen=True)
class SavedNetwork:
    """Contents of a saved network, or of its weights.

    Attributes:
        tensors: Arrays by their dotted names, in stored order.
        parts: Type and plain attributes of each part of a network by its dotted name; empty if
            the file has only weights.
    """

    tensors: Mapping[str, Array]
    parts: Mapping[str, tuple[str, Mapping[str, Any]]]


def read_tensors(path: Path) -> SavedNetwork:
    """Read the arrays of a file that PyTorch saved.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file has another format, is damaged, or contains a forbidden name.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(f"{path}: larger than {MAX_BYTES >> 20} MiB; not a detector")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        is_zip = data.startswith(b"PK\x03\x04")
        tree, storages = (_from_zip if is_zip else _from_pickles)(data)
        tensors: dict[str, Array] = {}
        parts: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for name, item in _walk(tree, "", 0, iter(range(_MAX_PARTS))):
            if isinstance(item, CallPlaceholder) and _is_tensor(item):
                tensors[name] = _tensor(item, storages)
            elif isinstance(item, CallPlaceholder):
                parts[name] = (str(item.by), _plain_attributes(item))
        return SavedNetwork(tensors, parts)
    except FormatError:
        raise
    except (*_DAMAGED, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FormatError(
            f"{path}: expected a detector that Topaz saved, found something else: {error}"
        ) from None


def _is_allowed(name: Name) -> bool:
    return name in _BUILTINS or str(name).startswith(_PACKAGES)


class _Members(dict[str, Array]):
    """Storages of a zip archive, read on demand."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read

    def __missing__(self, key: str) -> Array:
        self[key] = np.frombuffer(self._read(f"data/{key}"), np.uint8)
        return self[key]


def _from_zip(data: bytes) -> tuple[Any, Storages]:
    archive = zipfile.ZipFile(BytesIO(data))
    infos = {info.filename: info for info in archive.infolist()}
    pickled = [name for name in infos if name.endswith("/data.pkl")]
    if len(pickled) != 1:
        raise ValueError("the archive has no data.pkl, or several")
    folder = pickled[0].removesuffix("data.pkl")
    if infos.get(f"{folder}byteorder") and archive.read(f"{folder}byteorder") != b"little":
        raise ValueError("numbers of the other byte order")

    def member(name: str) -> bytes:
        info = infos[folder + name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(data):
            raise ValueError(f"the member {name} is compressed, which PyTorch never does")
        return archive.read(info)

    if infos[pickled[0]].file_size > _MAX_PICKLE_BYTES:
        raise ValueError("its description is too long for a network")
    return load(BytesIO(member("data.pkl")), _is_allowed), _Members(member)


def _from_pickles(data: bytes) -> tuple[Any, Storages]:
    stream = BytesIO(data)
    if load(stream, _is_allowed) != _LEGACY_MAGIC:
        raise ValueError("neither of the layouts of PyTorch")
    load(stream, _is_allowed)  # the version of the layout
    if not load(stream, _is_allowed)["little_endian"]:
        raise ValueError("numbers of the other byte order")
    tree = load(stream, _is_allowed)
    keys = load(stream, _is_allowed)
    kinds = {_check_key(key[2]): _KINDS[key[1].name] for key in _storage_keys(tree)}
    storages = {}
    for key in map(_check_key, keys):
        count = int(np.frombuffer(stream.read(8), "<i8")[0])
        size = count * np.dtype(kinds[key]).itemsize
        if not 0 <= size <= len(data) - stream.tell():
            raise ValueError("an array is truncated")
        storages[key] = np.frombuffer(stream.read(size), np.uint8)
    return tree, storages


def _check_key(key: Any) -> str:  # noqa: ANN401  # plain data
    """Return the key of an array, which must be text: hashing nested data may never end."""
    if not isinstance(key, str):
        raise ValueError("the key of an array is not text")
    return key


def _storage_keys(tree: Any) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  # plain data
    """Yield the persistent ids of all arrays."""
    for _, item in _walk(tree, "", 0, iter(range(_MAX_PARTS))):
        if isinstance(item, CallPlaceholder) and _is_tensor(item):
            yield _unwrap_parameter(item).arguments[0].key


def _walk(
    tree: Any,  # noqa: ANN401  # plain data
    name: str,
    depth: int,
    budget: Iterator[int],
) -> Iterator[tuple[str, Any]]:
    """Name every tensor and every part of a network, outer parts first.

    Raises:
        ValueError: There are too many parts, or they are nested too deeply.
    """
    if depth > 32 or next(budget, None) is None:
        raise ValueError("too many or too deeply nested parts for a detector")
    if isinstance(tree, CallPlaceholder) and _is_tensor(tree):
        yield name, tree
    elif isinstance(tree, dict) or (isinstance(tree, CallPlaceholder) and tree.items):
        for key, value in (tree if isinstance(tree, dict) else tree.items).items():
            yield from _walk(value, f"{name}.{key}".lstrip("."), depth + 1, budget)
    elif isinstance(tree, CallPlaceholder) and isinstance(tree.state, dict):
        yield name, tree
        for table in ("_parameters", "_buffers", "_modules"):
            yield from _walk(tree.state.get(table), name, depth + 1, budget)


def _plain_attributes(part: CallPlaceholder) -> dict[str, Any]:
    return {key: value for key, value in part.state.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:  # noqa: ANN401  # plain data
    """Check for a number, a text or a short flat sequence; nested ones may expand without end."""
    if isinstance(value, (tuple, list)):
        return len(value) <= _MAX_SEQUENCE and all(isinstance(item, _SCALARS) for item in value)
    return isinstance(value, _SCALARS)


def _is_tensor(item: CallPlaceholder) -> bool:
    return item.by.module == "torch._utils" and item.by.name.startswith("_rebuild_")


def _unwrap_parameter(tensor: CallPlaceholder) -> CallPlaceholder:
    """Return the tensor inside a parameter."""
    if tensor.by.name.startswith("_rebuild_parameter"):
        tensor = tensor.arguments[0]
    if not tensor.by.name.startswith("_rebuild_tensor"):
        raise ValueError(f"a tensor of an unknown type: {tensor.by}")
    return tensor


def _tensor(item: CallPlaceholder, storages: Storages) -> Array:
    """Copy a tensor from its storage, after checking that it lies inside."""
    storage_id, offset, shape, strides = _unwrap_parameter(item).arguments[:4]
    if not isinstance(storage_id, Stored):
        raise ValueError("a tensor without storage")
    kind = np.dtype(_KINDS[storage_id.key[1].name])
    storage_bytes = storages[_check_key(storage_id.key[2])]
    flat = storage_bytes[: len(storage_bytes) // kind.itemsize * kind.itemsize].view(kind)
    sizes = [offset, *shape, *strides]
    if any(not isinstance(size, int) or size < 0 for size in sizes) or len(shape) != len(strides):
        raise ValueError("a tensor with an invalid size")
    count = int(np.prod(shape, dtype=object))
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    if count > len(flat) or (count and last >= len(flat)):
        raise ValueError("a tensor larger than its storage")
    steps = tuple(step * kind.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(flat[offset:], tuple(shape), steps).copy()
