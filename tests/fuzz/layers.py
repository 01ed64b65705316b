"""Containers around inputs, so that mutations reach the content inside a valid file.

- `as_is`: none.
- `numpy_header`: start of a .npy file, and space for its array.
- `zipped_pickle`, `zip_of_members`: archives like those of PyTorch, and others.
- `safetensors`, `model`, `run_state`: safetensors files with our metadata.
"""

import io
import json
import struct
import zipfile

__all__ = [
    "as_is",
    "model",
    "numpy_header",
    "run_state",
    "safetensors",
    "zip_of_members",
    "zipped_pickle",
]


def as_is(data: bytes) -> bytes:
    return data


def zipped_pickle(data: bytes) -> bytes:
    """Make an archive as in PyTorch 1.6 and later around a pickle, with two arrays."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data)
        for key in "01":
            archive.writestr(f"archive/data/{key}", bytes(256))
    return out.getvalue()


def zip_of_members(data: bytes) -> bytes:
    """Make an archive from members that are separated by a line `--` and begin with their name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for part in data.split(b"\n--\n")[:8]:
            name, _, content = part.partition(b"\n")
            archive.writestr(name.decode("latin-1").replace("\0", "")[:80] or "x", content)
    return out.getvalue()


def safetensors(data: bytes) -> bytes:
    """A header of the right length, and what its tensors would need, up to a kilobyte."""
    return struct.pack("<Q", len(data)) + data + bytes(1024)


def model(data: bytes) -> bytes:
    """A file that safetensors accepts, whose description is the input."""
    header = json.dumps({"__metadata__": {"cryopick": data.decode("latin-1")}}).encode()
    return struct.pack("<Q", len(header)) + header


def run_state(data: bytes) -> bytes:
    header = json.dumps({"__metadata__": {"cryopick-run": data.decode("latin-1")}}).encode()
    return struct.pack("<Q", len(header)) + header


def numpy_header(data: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(data) & 0xFFFF) + data + bytes(4096)
