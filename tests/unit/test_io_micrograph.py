import io as stdio
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.oracles_io import mrc_bytes, png_bytes, tiff_bytes

from cryopick.errors import MicrographError, SettingsError
from cryopick.io import describe_micrograph, read_micrograph

RAMP = np.arange(12).reshape(3, 4)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")


def refusal(path):
    with pytest.raises(MicrographError) as caught:
        read_micrograph(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def saved(path, data):
    path.write_bytes(data)
    return path


def jpeg_bytes(image, **options):
    out = stdio.BytesIO()
    Image.fromarray(image).save(out, "JPEG", **options)
    return out.getvalue()


def deflated_tiff_bytes(image):
    out = stdio.BytesIO()
    Image.fromarray(image).save(out, "TIFF", compression="tiff_adobe_deflate")
    return out.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_reads_row_by_row_and_is_mapped(tmp_path, dtype, order):
    path = saved(tmp_path / "a.tif", tiff_bytes(RAMP.astype(dtype), order=order))

    micrograph = read_micrograph(path)

    pixels = micrograph.pixels
    assert pixels.tolist() == RAMP.tolist()
    assert pixels.dtype == np.dtype(dtype).newbyteorder(order)
    assert isinstance(pixels, np.memmap)
    assert micrograph.span == (0, 11)


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


def test_tiff_compressed_without_a_decoder_names_the_extra(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.tif", tiff_bytes(RAMP.astype("u2"), compression=5))
    import tifffile

    def missing(_self, *_args, **_options):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", missing)

    assert "is compressed by LZW; to read it: pip install 'cryopick[tiff]'" in refusal(path)


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
            value = struct.pack("<HH", 30_000, 0) if kind == 3 else struct.pack("<I", 30_000)
            data[entry + 8 : entry + 12] = value

    assert "claims 900000000 bytes" in refusal(saved(tmp_path / "a.tif", bytes(data)))


def test_damaged_tiff_says_so_once_and_not_on_the_screen(tmp_path, capfd):
    data = tiff_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))
    with pytest.raises(MicrographError):
        read_micrograph(saved(tmp_path / "a.tif", data[:8] + b"\xff" * 40))

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_png_reads_row_by_row(tmp_path, dtype):
    image = (RAMP * 21).astype(dtype)

    pixels = read_micrograph(saved(tmp_path / "a.png", png_bytes(image))).pixels

    assert pixels.tolist() == image.tolist()
    assert pixels.dtype.itemsize == np.dtype(dtype).itemsize


def test_jpeg_reads_to_within_its_loss(tmp_path):
    image = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype("u1")

    pixels = read_micrograph(saved(tmp_path / "a.jpg", jpeg_bytes(image, quality=100))).pixels

    assert pixels.shape == image.shape
    assert np.abs(pixels.astype(int) - image).max() <= 2  # rounding of the transform


def test_colour_is_refused(tmp_path):
    grey = RAMP.astype("u1")
    out = stdio.BytesIO()
    Image.fromarray(np.repeat(grey[..., None], 3, axis=-1)).save(out, "TIFF")

    for name, data in {
        "a.png": png_bytes(grey, colour=2),
        "a.jpg": jpeg_bytes(np.repeat(grey[..., None], 3, axis=-1)),
        "a.tif": out.getvalue(),
    }.items():
        assert "is a colour image" in refusal(saved(tmp_path / name, data))


def test_an_image_beyond_pillows_own_limit_is_read_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)

    assert (
        read_micrograph(saved(tmp_path / "a.png", png_bytes(RAMP.astype("u1")))).pixels.size == 12
    )


def test_an_image_beyond_our_limit_is_refused_before_it_is_decoded(tmp_path):
    head = png_bytes(RAMP.astype("u1"))
    huge = head.replace(struct.pack(">II", 4, 3), struct.pack(">II", 60_000, 60_000))
    start = huge.index(b"IHDR")
    import zlib

    sealed = huge[: start + 17] + struct.pack(">I", zlib.crc32(huge[start : start + 17]))
    huge = sealed + huge[start + 21 :]

    assert "over the limit" in refusal(saved(tmp_path / "a.png", huge))


@pytest.mark.parametrize("name", ["a.mrc", "a.tif", "a.png", "noname"])
def test_content_decides_not_the_suffix(tmp_path, name):
    image = RAMP.astype("u1")
    for data in (mrc_bytes(RAMP, 1), tiff_bytes(image), png_bytes(image)):
        assert read_micrograph(saved(tmp_path / name, data)).pixels.tolist() == RAMP.tolist()


def test_a_missing_file_a_folder_and_an_empty_file_are_told_apart(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.mrc")
    assert "is a folder" in refusal(tmp_path)
    assert "is empty" in refusal(saved(tmp_path / "a.mrc", b""))


def test_other_content_is_refused_with_its_first_bytes(tmp_path):
    path = saved(tmp_path / "a.txt", b"image_name x_coord")

    assert "is not MRC, TIFF, PNG or JPEG (it begins with b'imag')" in refusal(path)
    assert describe_micrograph(path).kind == "unknown"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_counted_and_the_first_is_shown(tmp_path, value):
    image = RAMP.astype("f4")
    image[1, 2] = image[2, 0] = value
    path = saved(tmp_path / "a.mrc", mrc_bytes(image, 2))

    assert "2 pixels are NaN or infinite, the first at x = 2, y = 1" in refusal(path)
    finite = image[np.isfinite(image)]
    info = describe_micrograph(path)
    assert (info.minimum, info.maximum) == (finite.min(), finite.max())


def test_the_place_of_a_bad_pixel_is_right_in_a_later_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("cryopick.io.micrograph._CHUNK_PIXELS", 8)
    image = np.arange(40.0).reshape(10, 4)
    image[7, 3] = np.nan

    assert "1 pixels are NaN or infinite, the first at x = 3, y = 7" in refusal(
        saved(tmp_path / "a.mrc", mrc_bytes(image, 2))
    )


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_image_is_refused(tmp_path, value):
    path = saved(tmp_path / "a.mrc", mrc_bytes(np.full((3, 4), value), 2))

    assert f"every pixel is {value}" in refusal(path)


def test_the_option_comes_before_the_header(tmp_path):
    path = saved(tmp_path / "a.mrc", mrc_bytes(RAMP, 2, pixel_size_ang=(2.0, 2.0)))

    micrograph = read_micrograph(path, pixel_size_ang=1.77)

    assert micrograph.pixel_size_ang == 1.77
    assert "The file says 2 Å per pixel; 1.77 Å is used." in micrograph.findings


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, np.inf])
def test_a_pixel_size_that_is_none_is_refused(tmp_path, size):
    path = saved(tmp_path / "a.mrc", mrc_bytes(RAMP, 2))

    with pytest.raises(SettingsError, match="pixel size must be above 0"):
        read_micrograph(path, pixel_size_ang=size)


@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(st.integers(1, 12))
def test_statistics_do_not_depend_on_the_chunks(tmp_path_factory, chunk):
    image = np.random.default_rng(chunk).normal(1e4, 1.0, (9, 5)).astype("f4")
    path = saved(tmp_path_factory.mktemp("m") / "a.mrc", mrc_bytes(image, 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryopick.io.micrograph._CHUNK_PIXELS", chunk)
        info = describe_micrograph(path)

    assert info.mean == pytest.approx(image.mean(dtype=np.float64), rel=1e-12)
    assert info.std == pytest.approx(image.std(dtype=np.float64), rel=1e-9)


@pytest.mark.parametrize(
    "data",
    [
        tiff_bytes(RAMP.astype("u2"), resolution=(10**8, 10**8)),
        deflated_tiff_bytes(np.arange(256, dtype="u1").reshape(16, 16)),
        png_bytes(RAMP.astype("u2")),
        jpeg_bytes(np.arange(256, dtype="u1").reshape(16, 16)),
    ],
    ids=["tiff", "deflate", "png", "jpeg"],
)
@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(draw=st.data())
def test_no_damage_to_a_file_goes_beyond_the_one_line_error(tmp_path_factory, data, draw):
    damaged = bytearray(data)
    for place in draw.draw(st.lists(st.integers(4, len(data) - 1), max_size=3)):
        damaged[place] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(data)))
    path = saved(tmp_path_factory.mktemp("m") / "a.img", bytes(damaged[:cut]))

    info = describe_micrograph(path)

    if info.usable:
        assert read_micrograph(path).pixels.shape == info.shape
    else:
        assert refusal(path) == info.findings[-1]


@needs_shared
@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("formats/mrc/EMD-3197.map", (20, 20, 20), 11.4),
        ("formats/mrc/emd_3197.map.gz", (20, 20, 20), 11.4),
        ("formats/mrc/EMD-3197.map.bz2", (20, 20, 20), 11.4),
        ("formats/mrc/xmipp_smallStack.mrcs", (4, 64, 64), 1.0),
        ("formats/mrc/rosettasciio_Custom_movie.mrc", (30, 16, 16), None),
        ("formats/eman_box/boxmanager_2d.mrc", (100, 100), None),
        ("formats/mrc/rosettasciio_ROI_Random_Scan_Sum.mrc", (29, 12), None),
    ],
)
def test_files_of_other_programs_are_described(name, shape, size):
    info = describe_micrograph(SHARED / name)

    assert info.shape == shape
    assert info.pixel_size_ang == (None if size is None else pytest.approx(size, rel=1e-6))
    assert info.usable == (len(shape) == 2)


@needs_shared
def test_a_constant_micrograph_of_another_program_is_refused():
    path = SHARED / "formats/mrc/rosettasciio_20241021_00405_final.mrc"

    assert "every pixel is 496" in refusal(path)


@needs_shared
def test_a_real_micrograph_reads_as_its_publishers_say():
    path = SHARED / "empiar10017/micrographs/Falcon_2012_06_12-14_33_35_0.jpg"

    micrograph = read_micrograph(path, pixel_size_ang=1.77)

    assert micrograph.pixels.shape == (4096, 4096)
    assert micrograph.pixels.dtype == np.uint8
    assert micrograph.findings == ()
