"""Coordinate convention of each format, from files written by hand and by other programs.

The micrograph is 64 x 100 (height x width) and one of its pixels is bright: row 20, column 70
as stored. Every file here points at it.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.oracles_io import mrc_bytes, tiff_bytes

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.pick_tables import read_picks, write_picks, write_picks_per_micrograph
from cryopick.picks import Picks

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
HEIGHT, WIDTH, ROW, COLUMN = 64, 100, 20, 70
STAR = "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n70 20\n"
CBOX = """
data_global

_cbox_format_version 1.0

data_cryolo

loop_
_CoordinateX #1
_CoordinateY #2
_CoordinateZ #3
_Width #4
_Height #5
_Depth #6
_Confidence #7
59.5 9.5 <NA> 21.0 21.0 <NA> 0.5

data_cryolo_include

loop_
_slice_index #1
"""
VIA = """filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,\
region_attributes
m.png,-1,{},4,0,"{""name"":""point"",""cx"":70,""cy"":20}","{""score"":""1.5""}"
m.png,-1,{},4,1,"{""name"":""circle"",""cx"":70,""cy"":20,""r"":9}",{}
m.png,-1,{},4,2,"{""name"":""ellipse"",""cx"":70,""cy"":20,""rx"":9,""ry"":7}",{}
m.png,-1,{},4,3,"{""name"":""rect"",""x"":60,""y"":15,""width"":20,""height"":10}",{}
"""


def bright():
    image = np.zeros((HEIGHT, WIDTH), np.float32)
    image[ROW, COLUMN] = 1.0
    return image


def cs_bytes(tmp_path, fields):
    table = np.zeros(1, dtype=[(name, kind, shape) for name, kind, shape, _ in fields])
    for name, _, _, value in fields:
        table[name] = value
    np.save(tmp_path / "made.npy", table)
    return (tmp_path / "made.npy").read_bytes()


def location(x=COLUMN / WIDTH, y=ROW / HEIGHT):
    return [
        ("uid", "<u8", (), 7),
        ("location/micrograph_path", "S9", (), b">J1/m.mrc"),
        ("location/micrograph_shape", "<u4", (2,), [HEIGHT, WIDTH]),
        ("location/center_x_frac", "<f4", (), x),
        ("location/center_y_frac", "<f4", (), y),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.txt", "image_name\tx_coord\ty_coord\nm\t70\t20\n"),
        ("m.csv", "micrograph,x,y\nm,70,20\n"),
        ("m_autopick.star", STAR),
        ("m_automatch.star", STAR.replace("70 20", "70.0 20.0")),
        ("m.box", "60\t15\t20\t10\n"),  # corner + size / 2
        ("m.box", "60\t10\t21\t21\n"),  # odd: corner + whole half
        ("m.cbox", CBOX),  # corner + size / 2, exactly
        ("m.cbox", "59.5 9.5 21 21 0.5 22 23\n"),  # before version 1.0
        ("m_info.json", '{"ctf": [1], "boxes": [[70, 20, "manual"]]}'),  # centres, unlike .box
        ("m.json", '[{"micrograph": "m", "x": 70, "y": 20}]'),
        ("labels.csv", VIA),
    ],
)
def test_a_file_that_means_the_bright_pixel_leads_to_it(tmp_path, name, text):
    (tmp_path / name).write_text(text)

    picks = read_picks(tmp_path / name)

    assert picks.micrographs == ("m",)
    assert (picks.xy_px == [COLUMN, ROW]).all()
    assert len(picks) >= 1


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("tsv", "m\t70\t20"),
        ("csv", "m,70,20"),
        ("star", "70 20 0 0"),
        ("box", "60\t10\t21\t21"),
        ("cbox", "59.5 9.5 <NA> 21.0 21.0 <NA> <NA> <NA> <NA> <NA> <NA>"),
        ("eman", '[70, 20, "manual"]'),
        ("via", 'm.png,-1,{},1,0,"{""name"":""point"",""cx"":70,""cy"":20}",{}'),
        ("json", '{"micrograph": "m", "x": 70.0, "y": 20.0, "score": null}'),
    ],
)
def test_the_bright_pixel_is_written_as_each_format_means_it(tmp_path, form, line):
    picks = Picks.for_micrograph("m", np.array([[70.0, 20.0]]))

    [path] = write_picks_per_micrograph(picks, tmp_path, format=form, box_px=21)

    assert line in path.read_text().splitlines()


def test_cryosparc_means_fractions_of_height_and_width(tmp_path):
    (tmp_path / "m.cs").write_bytes(cs_bytes(tmp_path, location()))

    picks = read_picks(tmp_path / "m.cs")
    write_picks(picks, tmp_path / "again.cs")

    assert picks.micrographs == ("J1/m.mrc",)
    np.testing.assert_allclose(picks.xy_px, [[COLUMN, ROW]], atol=1e-5)
    again = np.load(tmp_path / "again.cs", allow_pickle=False)
    assert again["location/micrograph_shape"].tolist() == [[HEIGHT, WIDTH]]
    assert again["location/center_x_frac"].tolist() == [np.float32(COLUMN / WIDTH)]
    assert again["location/center_y_frac"].tolist() == [np.float32(ROW / HEIGHT)]


def test_a_tiff_counts_rows_from_the_first_stored_and_so_does_an_mrc(tmp_path):
    for name, content in (("m.mrc", mrc_bytes(bright(), 2)), ("m.tif", tiff_bytes(bright()))):
        (tmp_path / name).write_bytes(content)

        pixels = read_micrograph(tmp_path / name).pixels

        assert pixels[ROW, COLUMN] == 1


def test_a_pick_on_a_tiff_is_turned_over_for_a_program_that_turns_it_over_only_if_asked(run_words):
    """RELION and others make of a TIFF the MRC whose first row is the TIFF's last."""
    turned = bright()[::-1].copy()
    Path("tiffs").mkdir()
    Path("mrcs").mkdir()
    Path("tiffs/m.tif").write_bytes(tiff_bytes(bright()))
    Path("mrcs/m.mrc").write_bytes(mrc_bytes(turned, 2))
    write_picks(Picks.for_micrograph("tiffs/m.tif", np.array([[70.0, 20.0]])), Path("picks.star"))

    plain = run_words("convert picks.star -o same.star")
    run_words("convert picks.star -o turned.star --invert-y")
    run_words("convert picks.star -o given.star --invert-y --shape-px 64 100")
    run_words("convert picks.star -o named.star --invert-y -m mrcs")

    assert read_picks(Path("same.star")).xy_px.tolist() == [[COLUMN, ROW]]
    assert "1 TIFF micrograph" in plain.stderr
    for name in ("turned.star", "given.star", "named.star"):
        [[x, y]] = read_picks(Path(name)).xy_px.astype(int)
        assert read_micrograph(Path("mrcs/m.mrc")).pixels[y, x] == 1


def test_files_of_topaz_mean_what_topaz_was_given():
    labels = read_picks(GOLDEN / "topaz_labels.csv")
    star = read_picks(GOLDEN / "topaz_picks.star")
    info = read_picks(GOLDEN / "topaz_info.json")
    box = read_picks(GOLDEN / "topaz_odd.box")

    assert labels.micrographs == ("micA", "micB")
    assert star.micrographs == ("micA.mrc", "micB.mrc")
    for table in (labels, star):
        assert table.xy_px.tolist() == [[10, 20], [30, 40], [5, 6]]
        assert table.score.tolist() == [1.5, -2, 0]
    assert info.xy_px.tolist() == [[10, 20], [30, 40]]
    assert info.extra["tag"].tolist() == ["manual", "manual"]
    assert box.xy_px.tolist() == [[5, 6]]


def test_what_topaz_writes_is_written_alike(tmp_path):
    picks = read_picks(GOLDEN / "topaz_picks.star")

    write_picks(picks, tmp_path / "labels.csv", format="via")
    write_picks_per_micrograph(picks, tmp_path, format="eman")
    write_picks_per_micrograph(picks, tmp_path, format="box", box_px=21)

    ours = (tmp_path / "labels.csv").read_text().replace('""-2""', '""-2.0""')
    assert ours.replace('""0""', '""0.0""') == (GOLDEN / "topaz_labels.csv").read_text()
    info = json.loads((tmp_path / "micA_info.json").read_text())
    assert info == json.loads((GOLDEN / "topaz_info.json").read_text())
    odd = (tmp_path / "micB.box").read_text()
    assert odd == "-5\t-4\t21\t21\t0\n"  # topaz omits the score
    assert odd.startswith((GOLDEN / "topaz_odd.box").read_text().strip())


def test_a_table_of_cryosparc_tools_is_read_and_written_again_unchanged(tmp_path):
    picks = read_picks(GOLDEN / "cryosparc_picks.cs")

    write_picks(picks, tmp_path / "again.cs")

    assert picks.micrographs == (
        "J2/motioncorrected/006681152966488571598_mic 01.mrc",
        "J2/motioncorrected/7_mic_02.mrc",
    )
    assert picks.xy_px.tolist() == [[1250, 500], [2500, 3000], [0, pytest.approx(1)]]
    assert picks.score.tolist() == [1.5, -2.25, 0]
    again, golden = (
        np.load(path, allow_pickle=False)
        for path in (tmp_path / "again.cs", GOLDEN / "cryosparc_picks.cs")
    )
    assert set(again.dtype.names) - set(golden.dtype.names) == {
        "pick_stats/template_idx",
        "pick_stats/angle_rad",
    }
    for name in golden.dtype.names:
        assert again[name].dtype == golden[name].dtype
        assert (again[name] == golden[name]).all()


def test_sizes_may_come_from_the_caller_or_from_the_files_themselves(tmp_path):
    path = tmp_path / "m.mrc"
    path.write_bytes(mrc_bytes(bright(), 2))
    picks = Picks.for_micrograph(str(path), np.array([[70.0, 20.0]]))

    write_picks(picks, tmp_path / "file.cs")
    write_picks(
        picks.rename({str(path): "gone.mrc"}),
        tmp_path / "given.cs",
        layout=TableLayout(shapes_px={"gone.mrc": (HEIGHT, WIDTH)}),
    )

    for name in ("file.cs", "given.cs"):
        table = np.load(tmp_path / name, allow_pickle=False)
        assert table["location/micrograph_shape"].tolist() == [[HEIGHT, WIDTH]]
