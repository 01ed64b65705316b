"""Micrographs in TIFF."""

import io as stdio
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.oracles_io import tiff_bytes
from tests.unit.test_io_micrograph import RAMP, deflated_tiff_bytes, refusal, saved

from cryopick.errors import MicrographError
from cryopick.io.images.micrograph import read_micrograph


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_contiguous_tiff_is_read_as_stored(tmp_path, dtype, order):
    path = saved(tmp_path / "a.tif", tiff_bytes(RAMP.astype(dtype), order=order))

    micrograph = read_micrograph(path)

    pixels = micrograph.pixels
    assert pixels.tolist() == RAMP.tolist()
    assert pixels.dtype == np.dtype(dtype).newbyteorder(order)
    assert not isinstance(pixels, np.memmap)
    assert micrograph.value_range == (0, 11)


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((10**8, 10**8), 3, 1.0),  # pixels a centimetre; a centimetre is 1e8 Å
        ((254_000_000, 254_000_000), 2, 1.0),  # an inch is 2.54e8 Å
        ((72, 72), 2, None),  # dots per inch of a screen, no pixel size
        ((10**8, 10**8), 1, None),  # no unit
        (None, 3, None),
    ],
)
def test_tiff_resolution_is_a_pixel_size_if_it_can_be_one(tmp_path, resolution, unit, size):
    data = tiff_bytes(RAMP.astype("u2"), resolution=resolution, unit=unit)

    assert read_micrograph(saved(tmp_path / "a.tif", data)).pixel_size_ang == size


@pytest.mark.parametrize(
    ("unit", "size"), [("nm", 2.5), ("micron", 2500.0), ("Å", 0.25), ("angstrom", 0.25)]
)
def test_imagej_units_are_understood(tmp_path, unit, size):
    import tifffile

    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        RAMP.astype("u2"),
        imagej=True,
        resolution=(4, 4),
        metadata={"unit": unit.replace("Å", "\\u00C5")},
    )

    expected = size if size <= 100 else None  # 2500 Å is not the pixel of a micrograph
    assert read_micrograph(path).pixel_size_ang == expected


def test_tiff_that_is_deflated_reads_row_by_row(tmp_path):
    data = deflated_tiff_bytes(RAMP.astype("u1"))

    assert read_micrograph(saved(tmp_path / "a.tif", data)).pixels.tolist() == RAMP.tolist()


def test_tiff_compressed_without_a_decoder_names_the_package(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.tif", tiff_bytes(RAMP.astype("u2"), compression=5))
    import tifffile

    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {})

    assert "is compressed by LZW; to read it: pip install imagecodecs" in refusal(path)


def test_tiff_of_several_pages_is_refused(tmp_path):
    out = stdio.BytesIO()
    frames = [Image.fromarray(RAMP.astype("u1") + i) for i in range(3)]
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:])

    message = refusal(saved(tmp_path / "a.tif", out.getvalue()))

    assert "holds 3 sections where one micrograph was expected" in message


def test_tiff_that_promises_more_than_it_has_is_truncated(tmp_path):
    data = tiff_bytes(RAMP.astype("f4"))
    longer = data.replace(
        struct.pack("<HHII", 279, 4, 1, 48), struct.pack("<HHII", 279, 4, 1, 4800)
    )

    assert "truncated" in refusal(saved(tmp_path / "a.tif", longer))


def test_tiff_whose_directories_run_in_a_circle_is_refused_at_once(tmp_path):
    data = bytearray(tiff_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4)))
    start = struct.unpack("<I", data[4:8])[0]
    entries = struct.unpack("<H", data[start : start + 2])[0]
    after = start + 2 + 12 * entries  # where a directory names the next
    data[after : after + 4] = struct.pack("<I", start)

    assert "run in a circle" in refusal(saved(tmp_path / "a.tif", bytes(data)))


def test_compressed_tiff_that_claims_more_than_it_can_hold_is_refused(tmp_path):
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    data = bytearray(deflated_tiff_bytes(image))
    start = struct.unpack("<I", data[4:8])[0]
    for entry in range(start + 2, len(data) - 12, 12):
        tag, kind = struct.unpack("<HH", data[entry : entry + 4])
        if tag in (256, 257):  # width and length
            value = struct.pack("<HH", 15_000, 0) if kind == 3 else struct.pack("<I", 15_000)
            data[entry + 8 : entry + 12] = value

    assert "claims 225000000 bytes" in refusal(saved(tmp_path / "a.tif", bytes(data)))


def test_damaged_tiff_says_so_once_and_not_on_the_screen(tmp_path, capfd):
    data = tiff_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))
    with pytest.raises(MicrographError):
        read_micrograph(saved(tmp_path / "a.tif", data[:8] + b"\xff" * 40))

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {"rowsperstrip": 8}])
def test_tiff_that_lists_too_few_strips_or_tiles_is_refused(tmp_path, layout):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((64, 64), np.float32), compression="zlib", **layout)
    offsets, counts = (324, 325) if "tile" in layout else (273, 279)
    data = path.read_bytes()
    segments = 16 if "tile" in layout else 8
    for tag in (offsets, counts):
        at = data.index(struct.pack("<H", tag), 4)
        _, count = struct.unpack("<HI", data[at + 2 : at + 8])
        assert count == segments
        data = data[: at + 4] + struct.pack("<I", 1) + data[at + 8 :]
    path.write_bytes(data)

    with pytest.raises(MicrographError, match=f"list 1 of {segments} strips or tiles"):
        read_micrograph(path)
