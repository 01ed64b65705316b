"""Values in files that no program writes end in one line, never in a bug."""

import warnings

import numpy as np
import pytest

from cryopick.errors import FormatError, InputError
from cryopick.io.tables.cs_table import open_table
from cryopick.io.tables.pick_tables import read_picks

ROWS = {
    "json": '[{{"micrograph": "a", "x": {}, "y": 2}}]',
    "tsv": "image_name\tx_coord\ty_coord\na\t{}\t2\n",
    "csv": "image_name,x_coord,y_coord\na,{},2\n",
    "star": "data_\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n{} 2\n",
    "box": "{} 2 10 10\n",
    "xy": "{} 2\n",
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("value", ["1e308", "-1e308", "1e12", "1e400", "nan", "1_0"])
def test_coordinates_beyond_any_image_are_refused_without_a_warning(kind, value, tmp_path):
    path = tmp_path / f"a.{kind}"
    path.write_text(ROWS[kind].format(value.replace("nan", "NaN")))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FormatError):
            read_picks(path, format=kind)


@pytest.mark.parametrize("name", ["\\ud800a", "\\udfff", "a\\udc80/b.mrc"])
@pytest.mark.parametrize("target", ["tsv", "star", "json", "cs"])
def test_surrogates_in_json_are_refused(name, target, run_words, tmp_path):
    (tmp_path / "a.json").write_text(f'[{{"micrograph": "{name}", "x": 1, "y": 2}}]')

    result = run_words(f"convert a.json -o b.{target} --shape-px 10 10", status=1)

    assert "expected names of micrographs in UTF-8" in result.stderr
    assert "bug" not in result.stderr


@pytest.mark.parametrize(
    "shape",
    [
        "(True,)",
        "(-1,)",
        "(1.0,)",
        "('1',)",
        "(2**70,)",
        "(1<<99,)",
        "()",
        "1",
        "((1,),)",
        "(None,)",
    ],
)
@pytest.mark.parametrize(
    "kind", ["[('uid', '<u8')]", "[('uid', '<u' + '8')]", "[1/0]", "lambda: 0"]
)
def test_shapes_and_expressions_in_headers_are_refused(shape, kind, tmp_path):
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(118) + "\n"
    data = b"\x93NUMPY\x01\x00" + np.uint16(len(header)).tobytes() + header.encode()
    (tmp_path / "a.cs").write_bytes(data + bytes(64))

    with pytest.raises(InputError):
        open_table(tmp_path / "a.cs")


@pytest.mark.parametrize(
    ("count", "width", "message"),
    [
        (10**12, 8, "truncated"),
        (10**8, 8, "at most 20000000 rows"),
        (1, 1 << 20, "of 256 KiB"),
        (10**6, 60, "expected a path for each micrograph"),
    ],
)
def test_a_sparse_cs_file_that_claims_gigabytes_is_refused_at_once(count, width, message, tmp_path):
    kinds = [("location/micrograph_path", f"S{width}"), ("location/micrograph_shape", "<u4", (2,))]
    kinds += [("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4")]
    path = tmp_path / "a.cs"
    with path.open("wb") as file:
        header = {"descr": kinds, "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + min(count * np.dtype(kinds).itemsize, 1 << 40))

    with pytest.raises(FormatError, match=message):
        read_picks(path)


@pytest.mark.parametrize("command", ["pick", "propose"])
def test_an_output_of_unknown_format_is_named_as_the_user_wrote_it(command, run_words, tmp_path):
    (tmp_path / "a.mrc").write_bytes(b"x")

    result = run_words(f"{command} a.mrc --diameter-ang 100 -o x.pdf", status=1)

    assert result.stderr.startswith("cryopick: error: x.pdf: expected a suffix of ")
