import bz2
import gzip

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.oracles_io import MODES, mrc_bytes

from cryopick.errors import MicrographError, OutputExistsError
from cryopick.io.images.micrograph import describe_micrograph, read_micrograph
from cryopick.io.images.mrc import write_mrc

RAMP = np.arange(12).reshape(3, 4)  # height 3, width 4: every pixel says where it is


def refusal(path):
    with pytest.raises(MicrographError) as caught:
        read_micrograph(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_every_mode_byte_order_and_packing_reads_row_by_row(tmp_path, mode, order, pack):
    path = tmp_path / "a.mrc"
    path.write_bytes(pack(mrc_bytes(RAMP, mode, order=order, pixel_size_ang=(1.5, 1.5))))

    micrograph = read_micrograph(path)

    assert micrograph.pixels.tolist() == RAMP.tolist()
    assert micrograph.pixels.dtype == np.dtype(MODES[mode]).newbyteorder(order)
    assert micrograph.pixel_size_ang == pytest.approx(1.5, rel=1e-6)
    assert micrograph.findings == ()


def test_bytes_of_mode_zero_are_signed(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP - 100, 0))

    assert read_micrograph(path).pixels.tolist() == (RAMP - 100).tolist()


def test_a_file_that_is_truncated_later_does_not_change_pixels_that_were_read(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2))

    pixels = read_micrograph(path).pixels
    path.write_bytes(b"")

    assert pixels.tolist() == RAMP.tolist()
    assert not isinstance(pixels, np.memmap)


@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(
    image=arrays(
        np.float32,
        st.tuples(st.integers(1, 7), st.integers(2, 7)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    size=st.floats(0.1, 50.0),
)
def test_what_is_written_is_read_with_the_pixel_size_of_each_axis(tmp_path_factory, image, size):
    path = tmp_path_factory.mktemp("mrc") / "a.mrc"

    write_mrc(path, image, pixel_size_ang=(1.005 * size, size))

    info = describe_micrograph(path)
    assert info.shape == image.shape
    assert info.pixel_size_ang == pytest.approx(1.0025 * size, rel=1e-5)
    with mrcfile.open(path) as mrc:  # strict: it raises for a header out of order
        assert (mrc.data == image).all()
        assert float(mrc.voxel_size.x) == pytest.approx(size, rel=1e-5)
        assert float(mrc.voxel_size.y) == pytest.approx(1.005 * size, rel=1e-5)


def test_the_same_image_gives_the_same_bytes_and_no_pixel_size_stays_none(tmp_path):
    image = RAMP.astype(np.float32)

    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=None)
    write_mrc(tmp_path / "b.mrc", image, pixel_size_ang=None)

    assert (tmp_path / "a.mrc").read_bytes() == (tmp_path / "b.mrc").read_bytes()
    assert read_micrograph(tmp_path / "a.mrc").pixel_size_ang is None


def test_a_file_that_is_there_is_replaced_only_on_request(tmp_path):
    image = RAMP.astype(np.float32)
    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=None)

    with pytest.raises(OutputExistsError, match="--force"):
        write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=None)
    write_mrc(tmp_path / "a.mrc", image + 1, pixel_size_ang=None, overwrite=True)

    assert read_micrograph(tmp_path / "a.mrc").pixels[0, 0] == 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_stack_is_refused_with_its_number_of_sections(tmp_path, pack):
    path = tmp_path / "movie.mrc"
    path.write_bytes(pack(mrc_bytes(np.stack([RAMP] * 5), 1)))

    message = refusal(path)

    assert "holds 5 sections where one micrograph was expected" in message
    assert "sum the frames" in message
    assert describe_micrograph(path).mean == pytest.approx(RAMP.mean())


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_truncated_file_is_refused(tmp_path, pack):
    path = tmp_path / "cut.mrc"
    path.write_bytes(pack(mrc_bytes(RAMP, 2)[:-3]))

    message = refusal(path)

    assert "states 1072 bytes (4 x 3 pixels of float32) and the file has 1069" in message
    assert "truncated, copy it again" in message


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_cut_or_broken_compression_is_refused(tmp_path, pack):
    path = tmp_path / "cut.mrc.gz"
    noise = np.random.default_rng(0).integers(-99, 99, (64, 64))
    packed = pack(mrc_bytes(noise, 1))
    path.write_bytes(packed[: len(packed) // 2])

    assert "damaged or cut short" in refusal(path)


def test_a_header_cut_short_is_refused(tmp_path):
    path = tmp_path / "cut.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2)[:300])

    assert "an MRC header takes 1024 bytes and the file has 300" in refusal(path)


def test_a_header_larger_than_the_file_is_refused(tmp_path):
    path = tmp_path / "big.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2, nx=100_000, ny=100_000))

    assert "states 40000001024 bytes" in refusal(path)


def test_an_extended_header_larger_than_the_file_is_refused(tmp_path):
    path = tmp_path / "big.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2, nsymbt=2_000_000_000))

    assert "truncated" in refusal(path)


def test_a_compressed_bomb_is_not_unpacked_beyond_its_header(tmp_path):
    path = tmp_path / "bomb.mrc.gz"
    path.write_bytes(gzip.compress(mrc_bytes(RAMP, 2) + bytes(40_000_000)))

    message = refusal(path)

    found = int(message.split("and the file has ")[1].split()[0])
    assert found < 2_000_000


def test_a_compressed_header_that_claims_too_much_is_refused_before_unpacking(tmp_path):
    path = tmp_path / "bomb.mrc.gz"
    path.write_bytes(gzip.compress(mrc_bytes(RAMP, 2, nx=2_000_000, ny=2_000_000)))

    assert "over the limit" in refusal(path)


def test_an_extended_header_is_stepped_over(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2, extended=b"\xff" * 160))

    assert read_micrograph(path).pixels.tolist() == RAMP.tolist()


def test_a_few_bytes_after_the_pixels_are_a_finding_and_an_image_is_a_fault(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2) + bytes(10))
    assert "10 bytes follow the pixels" in " ".join(read_micrograph(path).findings)

    path.write_bytes(mrc_bytes(RAMP, 2) + bytes(48))
    assert "room for 2 images" in refusal(path)


@pytest.mark.parametrize(("mode", "words"), [(3, "complex"), (4, "complex"), (101, "4-bit")])
def test_modes_without_real_pixels_are_refused(tmp_path, mode, words):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, mode) + bytes(1000))

    assert words in refusal(path)


@pytest.mark.parametrize(("mode", "field"), [(2, {"nx": -4}), (2, {"ny": 0}), (77, {})])
def test_a_header_without_sense_is_refused(tmp_path, mode, field):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, mode, **field))

    assert "is invalid (sizes or mode)" in refusal(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_header_of_the_old_style_is_read_in_the_order_that_makes_sense(tmp_path, order):
    path = tmp_path / "old.mrc"
    path.write_bytes(mrc_bytes(RAMP, 1, order=order, word=bytes(4), stamp=bytes(4)))

    micrograph = read_micrograph(path)

    assert micrograph.pixels.tolist() == RAMP.tolist()
    assert "lacks the word MAP" in micrograph.findings[0]


def test_a_machine_stamp_of_the_wrong_order_is_a_finding(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, 1, order=">", stamp=b"\x44\x44\0\0"))

    micrograph = read_micrograph(path)

    assert micrograph.pixels.tolist() == RAMP.tolist()
    assert "wrong byte order" in micrograph.findings[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "gives no pixel size."),
        ({"pixel_size_ang": (1.0, 1.02)}, "differ by over 1 %"),
        ({"cella_x": -40.0, "cella_y": -30.0}, "gives no pixel size (-10 Å is implausible)"),
        ({"mx": 0}, "gives no pixel size"),
        ({"cella_x": float("nan")}, "gives no pixel size"),
    ],
)
def test_doubtful_pixel_sizes_are_findings(tmp_path, fields, words):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2, **fields))

    assert words in " ".join(read_micrograph(path).findings)


def test_info_holds_the_header_against_the_pixels(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2, dmin=0.0, dmax=11.0, dmean=5.5))
    assert not any("header states" in text for text in describe_micrograph(path).findings)

    path.write_bytes(mrc_bytes(RAMP, 2, dmin=0.0, dmax=255.0, dmean=5.5))
    assert any("header states" in text for text in describe_micrograph(path).findings)


@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(cut=st.integers(0, 1100), place=st.integers(0, 1071), value=st.integers(0, 255))
def test_no_damage_to_a_file_goes_beyond_the_one_line_error(tmp_path_factory, cut, place, value):
    path = tmp_path_factory.mktemp("mrc") / "a.mrc"
    data = bytearray(mrc_bytes(RAMP, 2))
    data[place] = value
    path.write_bytes(data[:cut])

    info = describe_micrograph(path)

    if info.usable:
        assert read_micrograph(path).pixels.shape == info.shape
    else:
        assert refusal(path) == info.findings[-1]
