"""Tests of limits of image files: truncation while reading, full disks and decompression bombs."""

import bz2
import errno
import gzip
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from cryopick.errors import MicrographError
from cryopick.io.images.micrograph import describe_micrograph, read_micrograph
from cryopick.io.images.mrc import inspect_mrc, write_mrc
from cryopick.io.images.mrc_stack import write_mrc_stack
from cryopick.io.images.pixel_file import PixelFile

MEMORY_LIMIT = 500_000_000


def mrc_header(shape: tuple[int, int, int], mode: int = 2, extended_bytes: int = 0) -> bytes:
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, *shape, mode)
    struct.pack_into("<i", head, 92, extended_bytes)
    head[208:216] = b"MAP DD\0\0"
    return bytes(head)


def write_sparse(path: Path, start: bytes, size: int) -> Path:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


def deflated_tiff(width: int, height: int, data: bytes) -> bytes:
    """Build a TIFF of one deflated strip that may unpack to any size."""
    tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (273, 8), (277, 1)]
    tags += [(278, height), (279, len(data))]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("tag", "kind"), [(270, 2), (273, 4), (305, 7), (65000, 12)])
def test_a_tiff_that_claims_gigabytes_of_tags_is_refused_before_they_are_read(
    tmp_path, is_big, order, tag, kind
):
    tags = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), tag: (kind, 4_000_000_000, 16)}
    entry, number = ("HHQQ", "Q") if is_big else ("HHII", "H")
    start = b"II" if order == "<" else b"MM"
    start += (
        struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if is_big else struct.pack(f"{order}HI", 42, 8)
    )
    directory = struct.pack(f"{order}{number}", len(tags))
    for key, values in sorted(tags.items()):
        directory += struct.pack(f"{order}{entry}", key, *values)
    path = write_sparse(tmp_path / "a.tif", start + directory, 33 << 30)

    tracemalloc.start()
    try:
        description = describe_micrograph(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert "bytes of values" in str(description)
    assert peak < MEMORY_LIMIT / 10


@pytest.mark.parametrize("kept_bytes", [0, 1024, 1025, 1024 + 4 * 63])
def test_a_file_truncated_while_it_is_read_is_an_error_of_that_file(tmp_path, kept_bytes):
    path = tmp_path / "a.mrc"
    write_mrc(path, np.arange(64.0).reshape(8, 8), pixel_size_ang=None)
    pixels = inspect_mrc(path).pixels
    assert isinstance(pixels, PixelFile)
    os.truncate(path, kept_bytes)

    with pytest.raises(MicrographError, match="has become shorter"):
        pixels.read()
    with pytest.raises(MicrographError, match="has become shorter"):
        list(pixels.read_blocks(16))


@pytest.mark.parametrize("block_pixels", [1, 8, 20, 64, 1000])
def test_blocks_of_rows_join_to_the_image(tmp_path, block_pixels):
    image = np.arange(56.0).reshape(7, 8)
    path = tmp_path / "a.mrc"
    write_mrc(path, image, pixel_size_ang=None)
    pixels = inspect_mrc(path).pixels
    assert isinstance(pixels, PixelFile)

    joined = np.concatenate(list(pixels.read_blocks(block_pixels)))

    assert joined.tolist() == image.tolist() == pixels.read().tolist()


@pytest.mark.parametrize(
    "name",
    ["claim.mrc.gz", "claim.mrc.bz2", "extended.mrc.bz2", "beyond.mrc.gz", "a.tif", "claim.tif"],
)
def test_a_small_file_never_takes_much_memory(tmp_path, name):
    zeros = bytes(1 << 20)
    huge = mrc_header((30_000, 30_000, 1)) + zeros * 8
    contents = {
        "claim.mrc.gz": lambda: gzip.compress(huge),
        "claim.mrc.bz2": lambda: bz2.compress(huge),
        "extended.mrc.bz2": lambda: bz2.compress(mrc_header((8, 8, 1), 2, 2**31 - 1) + zeros),
        "beyond.mrc.gz": lambda: gzip.compress(mrc_header((8, 8, 1)) + zeros * 300, 1),
        "a.tif": lambda: deflated_tiff(64, 64, zlib.compress(zeros * 300, 1)),
        "claim.tif": lambda: deflated_tiff(16_000, 16_000, zlib.compress(zeros, 9)),
    }
    path = tmp_path / name
    path.write_bytes(contents[name]())

    tracemalloc.start()
    try:
        usable = describe_micrograph(path).usable
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert not usable
    assert peak < MEMORY_LIMIT / 5


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ((8192, 8704, 1), "all pixels have the value 0"),
        ((32_768, 32_768, 1), "over the limit"),
        ((2**28, 1, 1), "over the limit"),
        ((1, 2**28, 1), "over the limit"),
        ((4096, 4096, 1500), "holds 1500 sections"),
    ],
)
def test_a_sparse_file_is_refused_within_memory(tmp_path, shape, fault):
    size = 1024 + 4 * int(np.prod(shape))
    path = write_sparse(tmp_path / "a.mrc", mrc_header(shape), size)

    tracemalloc.start()
    try:
        with pytest.raises(MicrographError, match=fault):
            read_micrograph(path)
        description = describe_micrograph(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert not description.usable
    assert peak < MEMORY_LIMIT


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "a.mrc")

    with pytest.raises(MicrographError, match="is a pipe or device"):
        read_micrograph(tmp_path / "a.mrc")


def test_a_stack_on_a_full_disk_raises_an_error_and_leaves_nothing(tmp_path):
    def images():
        yield np.ones((8, 8), np.float32)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        write_mrc_stack(tmp_path / "a.mrcs", images(), count=2, side=8, pixel_size_ang=1.0)

    assert list(tmp_path.iterdir()) == []


def test_a_stack_is_valid_for_mrcfile(tmp_path):
    import mrcfile

    images = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)

    write_mrc_stack(tmp_path / "a.mrcs", images, count=3, side=8, pixel_size_ang=1.5)

    with mrcfile.open(tmp_path / "a.mrcs") as stack:
        assert stack.is_image_stack()
        assert stack.data.tolist() == images.tolist()
        assert float(stack.voxel_size.x) == pytest.approx(1.5)
    assert mrcfile.validate(tmp_path / "a.mrcs")


@pytest.mark.parametrize("compression", [33005, 34712, 50001, 50002])
def test_a_tiff_compressed_as_an_image_of_its_own_size_is_refused(tmp_path, compression):
    data = bytearray(deflated_tiff(8, 8, zlib.compress(bytes(64))))
    place = data.rindex(struct.pack("<HHII", 259, 4, 1, 8))
    data[place : place + 12] = struct.pack("<HHII", 259, 4, 1, compression)
    (tmp_path / "a.tif").write_bytes(data)

    assert "which is not read" in str(describe_micrograph(tmp_path / "a.tif"))


@pytest.mark.parametrize(("repeats", "is_usable"), [(1, True), (20, True), (200, False)])
def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(tmp_path, repeats, is_usable):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(pixels).save(path, progressive=True)
    data = path.read_bytes()
    scan = data.rindex(b"\xff\xda")
    path.write_bytes(data[:scan] + data[scan:-2] * repeats + data[-2:])

    description = describe_micrograph(path)

    assert description.usable == is_usable
    assert is_usable or "over 100 scans" in str(description)
