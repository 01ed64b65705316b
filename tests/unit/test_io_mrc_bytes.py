"""Sign of the bytes of MRC mode 0: IMOD's flag, else the range in the header, decide."""

import gzip

import mrcfile
import numpy as np
import pytest

from cryopick.io.images.micrograph import read_micrograph

BYTES = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)
IMOD = 1146047817


def write(path, *, order="<", imod_flags=None, header_range=(0.0, 0.0)):
    header = np.zeros(256, f"{order}i4")
    header[:10] = [30, 20, 1, 0, 0, 0, 0, 30, 20, 1]
    values = header.view(f"{order}f4")
    values[10:13] = [30, 20, 1]
    values[19:21] = header_range
    if imod_flags is not None:
        header[38:40] = [IMOD, imod_flags]
    data = bytearray(header.tobytes())
    data[208:212] = b"MAP "
    data[212:214] = b"DD" if order == "<" else b"\x11\x11"
    path.write_bytes(bytes(data) + BYTES.tobytes())
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("imod_flags", "header_range", "kind"),
    [
        (0, (0, 0), np.uint8),
        (1, (0, 0), np.int8),
        (0, (-90, 100), np.uint8),  # the flag decides
        (1, (34, 228), np.int8),
        (4, (0, 0), np.uint8),  # other flags do not matter
        (5, (0, 0), np.int8),
        (None, (34, 228), np.uint8),
        (None, (0, 255), np.uint8),
        (None, (-128, 127), np.int8),
        (None, (-90, 200), np.int8),  # contradictory
        (None, (10, 100), np.int8),  # fits both: the standard of 2014
        (None, (0, 0), np.int8),  # not stated
        (None, (0, -1), np.int8),
        (None, (0, 60000), np.int8),  # not of bytes
    ],
)
def test_the_flag_or_the_range_decides_the_sign(order, imod_flags, header_range, kind, tmp_path):
    path = write(tmp_path / "a.mrc", order=order, imod_flags=imod_flags, header_range=header_range)

    pixels = read_micrograph(path).pixels

    assert np.asarray(pixels).dtype == kind
    np.testing.assert_array_equal(pixels, BYTES.view(kind))


def test_compressed_files_follow_the_same_rule(tmp_path):
    plain = write(tmp_path / "a.mrc", header_range=(34, 228))
    (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(plain.read_bytes()))

    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.mrc.gz").pixels, BYTES)


def test_signed_bytes_of_mrcfile_stay_signed(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(BYTES.view(np.int8))

    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.mrc").pixels, BYTES.view(np.int8))
