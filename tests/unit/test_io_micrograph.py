import io as stdio
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from tests.oracles_io import mrc_bytes, png_bytes, tiff_bytes

from cryopick.errors import MicrographError, SettingsError
from cryopick.io.images.micrograph import describe_micrograph, read_micrograph

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


def test_a_png_of_which_a_part_claims_more_than_memory_holds_is_refused(tmp_path, monkeypatch):
    def load(_self):
        raise MemoryError

    monkeypatch.setattr(PngImageFile, "load", load)
    path = saved(tmp_path / "a.png", png_bytes(RAMP.astype("u1")))

    assert "a chunk claims an impossible size" in refusal(path)


@pytest.mark.parametrize("name", ["a.mrc", "a.tif", "a.png", "noname"])
def test_content_decides_not_the_suffix(tmp_path, name):
    image = RAMP.astype("u1")
    for data in (mrc_bytes(RAMP, 1), tiff_bytes(image), png_bytes(image)):
        assert read_micrograph(saved(tmp_path / name, data)).pixels.tolist() == RAMP.tolist()


def test_a_missing_file_a_folder_and_an_empty_file_have_separate_messages(tmp_path):
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
    monkeypatch.setattr("cryopick.io.images.micrograph._CHUNK_PIXELS", 8)
    image = np.arange(40.0).reshape(10, 4)
    image[7, 3] = np.nan

    assert "1 pixels are NaN or infinite, the first at x = 3, y = 7" in refusal(
        saved(tmp_path / "a.mrc", mrc_bytes(image, 2))
    )


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_image_is_refused(tmp_path, value):
    path = saved(tmp_path / "a.mrc", mrc_bytes(np.full((3, 4), value), 2))

    assert f"all pixels have the value {value}" in refusal(path)


def test_the_option_comes_before_the_header(tmp_path):
    path = saved(tmp_path / "a.mrc", mrc_bytes(RAMP, 2, pixel_size_ang=(2.0, 2.0)))

    micrograph = read_micrograph(path, pixel_size_ang=1.77)

    assert micrograph.pixel_size_ang == 1.77
    assert "The file states 2 Å per pixel; 1.77 Å is used." in micrograph.findings


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
        patch.setattr("cryopick.io.images.micrograph._CHUNK_PIXELS", chunk)
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

    assert "all pixels have the value 496" in refusal(path)


@needs_shared
def test_a_real_micrograph_reads_as_its_publishers_say():
    path = SHARED / "empiar10017/micrographs/Falcon_2012_06_12-14_33_35_0.jpg"

    micrograph = read_micrograph(path, pixel_size_ang=1.77)

    assert micrograph.pixels.shape == (4096, 4096)
    assert micrograph.pixels.dtype == np.uint8
    assert micrograph.findings == ()
