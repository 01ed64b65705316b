"""The optics table, other blocks and columns of STAR files survive every command on tables."""

from pathlib import Path

import gemmi
import pytest
from tests import tiny

from cryopick.runs.checksums import checksum_path
from cryopick.runs.metadata import RunMetadata, read_run_metadata, write_run_metadata

GENERAL = """# version 30001

data_general

_rlnTomoSubTomosAre2DStacks 0

"""


def write_star(name, rows, groups=("1 og1 1.0", "2 og2 1.5"), general=""):
    """Write micrograph, x, y, score, optics group and group name of picks."""
    optics = ["_rlnOpticsGroup", "_rlnOpticsGroupName", "_rlnMicrographPixelSize"]
    columns = ["MicrographName", "CoordinateX", "CoordinateY", "AutopickFigureOfMerit"]
    columns += ["OpticsGroup", "GroupName"]
    lines = ["# version 30001", "", "data_optics", "", "loop_", *optics, *groups, "", general]
    lines += ["# version 30001", "", "data_particles", "", "loop_"]
    lines += [f"_rln{column}" for column in columns] + rows
    Path(name).write_text("\n".join([*lines, ""]))


def read_optics(name):
    """Map the group of each micrograph in a table to its name and pixel size."""
    document = gemmi.cif.read(name)
    optics = document.find_block("optics").find(
        ["_rlnOpticsGroup", "_rlnOpticsGroupName", "_rlnMicrographPixelSize"]
    )
    groups = {row[0]: (row[1], float(row[2])) for row in optics}
    table = document.find_block("particles").find(["_rlnMicrographName", "_rlnOpticsGroup"])
    return {row[0]: groups[row[1]] for row in table}


ROWS = ["m/a.mrc 10.5 20.25 1.5 1 1.10", "m/b.mrc 30 40 0.5 2 g2"]
KEPT = {"m/a.mrc": ("og1", 1.0), "m/b.mrc": ("og2", 1.5)}


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("threshold p.star --at 0 -o out.star", "out.star"),
        ("threshold p.star --at 0 --at 0.2 -o out.star", "out_at0.star"),
        ("threshold p.star --keep 2 -o out.star", "out.star"),
        ("convert p.star -o out.star", "out.star"),
        ("combine subtract p.star other.star -o out.star --radius-px 3", "out.star"),
        ("combine intersect p.star p.star -o out.star --radius-px 3", "out.star"),
        ("combine union p.star p.star -o out.star --radius-px 3", "out.star"),
        ("combine consensus p.star p.star -o out.star --radius-px 3", "out.star"),
    ],
)
def test_the_optics_table_and_the_groups_survive(line, output, run_words):
    write_star("p.star", ROWS, general=GENERAL)
    write_star("other.star", ["m/a.mrc 500 500 1 1 g"], general=GENERAL)

    run_words(line)

    assert read_optics(output) == KEPT
    assert "_rlnTomoSubTomosAre2DStacks 0" in Path(output).read_text()
    if "consensus" not in line:
        assert " 1.10" in Path(output).read_text()


def test_split_keeps_the_optics_table_on_both_sides(run_words):
    write_star("p.star", ROWS)

    run_words("split p.star -o parts --number 1 --format star")

    assert read_optics("parts/train.star") | read_optics("parts/test.star") == KEPT


@pytest.mark.parametrize("command", ["combine union", "convert"])
def test_different_optics_groups_with_the_same_number_are_renumbered(command, run_words):
    write_star("p.star", ROWS)
    rows = ["m/c.mrc 1 2 3 1 g", "m/a.mrc 10 20 1 1 g"]
    write_star("q.star", rows, groups=["1 og1 2.5"])

    radius = " --radius-px 3" if "combine" in command else ""
    run_words(f"{command} p.star q.star -o out.star{radius}")

    optics = read_optics("out.star")
    assert optics["m/c.mrc"] == ("og1_3", 2.5)
    assert optics["m/b.mrc"] == ("og2", 1.5)


def test_equal_groups_with_other_numbers_become_one(run_words):
    write_star("p.star", ROWS)
    rows = ["m/c.mrc 1 2 3 7 g", "m/b.mrc 30 40 1 7 g"]
    write_star("q.star", rows, groups=["7 og2 1.50000"])

    run_words("combine union p.star q.star -o out.star --radius-px 3")

    assert read_optics("out.star") == KEPT | {"m/c.mrc": ("og2", 1.5)}


def test_blocks_that_contradict_each_other_are_refused(run_words):
    write_star("p.star", ROWS, general=GENERAL)
    write_star("q.star", ROWS, groups=["1 og1 9"], general=GENERAL.replace("ks 0", "ks 1"))

    result = run_words("combine union p.star q.star -o out.star --radius-px 3", status=1)

    assert "p.star and q.star differ in their optics or other tables" in result.stderr


def test_picks_without_a_group_get_that_of_their_micrograph(run_words):
    write_star("p.star", ROWS)
    Path("a.tsv").write_text("image_name\tx_coord\ty_coord\na\t200\t200\n")
    Path("c.tsv").write_text("image_name\tx_coord\ty_coord\na\t1\t1\nc\t200\t200\n")

    run_words("combine union p.star a.tsv -o out.star --radius-px 3")
    result = run_words("combine union p.star c.tsv -o other.star --radius-px 3", status=1)

    assert read_optics("out.star") == KEPT
    assert "has 2 optics groups, and the group of c is unknown" in result.stderr


def test_scaled_coordinates_scale_the_pixel_sizes(run_words):
    write_star("p.star", ROWS)

    run_words("convert p.star -o out.star --scale 2")

    assert read_optics("out.star") == {"m/a.mrc": ("og1", 0.5), "m/b.mrc": ("og2", 0.75)}


def make_project():
    """Write three micrographs and a model to the current folder."""
    Path("mics").mkdir()
    tiny.micrographs("mics", 3)
    tiny.model("m.safetensors")


LIST = """data_optics

loop_
_rlnOpticsGroup
_rlnOpticsGroupName
_rlnMicrographPixelSize
_rlnVoltage
1 og1 {size} 300
2 og2 {size} 200

data_micrographs

loop_
_rlnMicrographName
_rlnOpticsGroup
mics/mic_0.mrc 2
mics/mic_1.mrc 1
"""


def test_picks_get_the_optics_groups_of_the_list_of_micrographs(run_words):
    make_project()
    Path("mics.star").write_text(LIST.format(size=tiny.PIXEL_ANG))

    run_words("pick mics.star --model m.safetensors --threshold -100 -o picks.star")

    optics = read_optics("picks.star")
    assert {name: group for name, (group, _) in optics.items()} == {
        "mics/mic_0.mrc": "og2",
        "mics/mic_1.mrc": "og1",
    }
    assert "_rlnVoltage" in Path("picks.star").read_text()


def test_a_micrograph_in_two_optics_groups_of_a_list_is_refused_before_picking(run_words):
    make_project()
    rows = LIST.format(size=tiny.PIXEL_ANG) + "mics/mic_0.mrc 1\n"
    Path("mics.star").write_text(rows)

    result = run_words("pick mics.star --model m.safetensors -o picks.star", status=1)

    assert "expected one optics group for mics/mic_0.mrc, found 2 and 1" in result.stderr
    assert not list(Path().glob(".picks*"))


def test_a_folder_of_star_tables_is_listed_for_relion_and_read_once(run_words):
    make_project()
    run_words("pick mics --model m.safetensors --threshold -100 -o picks/ --format star")
    run_words("convert picks -o all.tsv")
    run_words("convert picks/autopick.star -o listed.tsv")

    table = gemmi.cif.read("picks/autopick.star").find_block("coordinate_files")
    rows = table.find(["_rlnMicrographName", "_rlnMicrographCoordinates"])
    assert next(tuple(row) for row in rows) == ("mics/mic_0.mrc", "picks/mic_0_autopick.star")
    assert len(rows) == 3
    assert len(Path("all.tsv").read_text()) == len(Path("listed.tsv").read_text())


def test_the_run_metadata_follows_a_table_through_commands(run_words):
    write_star("picks.star", ROWS)
    write_run_metadata(
        RunMetadata(command=["pick", "m"], folder="/w", micrographs=["m/a.mrc", "m/b.mrc"]),
        Path("picks.run.json"),
    )
    Path("picks.settings.toml").write_text("diameter_ang = 90.0\n")

    run_words("threshold picks.star -o sure.star --at 0")
    run_words("convert sure.star -o tables/ --to tsv")
    run_words("combine union tables sure.star -o both.star --radius-px 3")
    run_words("split picks.star -o parts --number 1")

    metadata = read_run_metadata(Path("tables/run.json"))
    assert metadata.command == ["pick", "m"]
    assert metadata.micrographs == ["m/a.mrc", "m/b.mrc"]
    assert metadata.later_commands == [
        "cryopick threshold picks.star -o sure.star --at 0",
        "cryopick convert sure.star -o tables/ --to tsv",
    ]
    assert Path("tables/settings.toml").read_text() == "diameter_ang = 90.0\n"
    assert len(read_run_metadata(Path("both.run.json")).later_commands) == 3
    assert read_run_metadata(Path("both.run.json")).micrographs == ["m/a.mrc", "m/b.mrc"]
    for side in ("train", "test"):
        assert len(read_run_metadata(Path(f"parts/{side}.run.json")).later_commands) == 1


def test_a_file_of_the_user_beside_a_derived_table_is_kept(run_words):
    write_star("picks.star", ROWS)
    write_run_metadata(RunMetadata(command=["pick"]), Path("picks.run.json"))
    Path("picks.settings.toml").write_text("diameter_ang = 90.0\n")
    for name in ("sure.run.json", "sure.settings.toml"):
        Path(name).write_text("mine")

    run_words("threshold picks.star -o sure.star --at 0")

    assert Path("sure.run.json").read_text() == Path("sure.settings.toml").read_text() == "mine"


def test_tables_without_run_metadata_are_recorded_by_their_checksum(run_words):
    write_star("picks.star", ROWS)
    Path("picks.run.json").write_text("{")

    run_words("threshold picks.star -o sure.star --at 0")

    metadata = read_run_metadata(Path("sure.run.json"))
    assert metadata.command == ["threshold", "picks.star", "-o", "sure.star", "--at", "0"]
    assert metadata.checksums == {"table": checksum_path(Path("picks.star"))}


@pytest.mark.parametrize("scale", [0.5, 2, 4])
def test_scaled_coordinates_scale_the_sizes_of_boxes(scale, run_words):
    Path("a.box").write_text("10 20 64 64\n100 50 64 80\n")

    run_words(f"convert a.box -o b.box --scale {scale}")

    corner, other = (line.split() for line in Path("b.box").read_text().splitlines())
    assert [float(v) for v in corner[2:4]] == [64 * scale, 64 * scale]
    assert [float(v) for v in other[2:4]] == [64 * scale, 80 * scale]
    assert float(corner[0]) == pytest.approx((10 + 32) * scale - 64 * scale // 2)


@pytest.mark.parametrize("line", ["threshold s.box -o b.box --keep 1", "convert s.box -o b.box"])
def test_sizes_of_boxes_survive(line, run_words):
    Path("s.box").write_text("10\t20\t64\t80\t1.5\n")

    run_words(line)

    assert Path("b.box").read_text() == "10\t20\t64\t80\t1.5\n"


def test_stack_keeps_other_blocks_and_the_run_metadata(run_words):
    tiny.micrographs("m", 1)
    rows = ["m/mic_0.mrc 30.5 30.25 1.5 1 1.10"]
    write_star("picks.star", rows, groups=("1 'og 1' 1.0",), general=GENERAL)
    write_run_metadata(RunMetadata(command=["pick"]), Path("picks.run.json"))

    run_words("stack picks.star -m m -o s --box-px 8 --voltage-kv 300 --cs-mm 2.7")

    document = gemmi.cif.read("s/particles.star")
    assert document.find_block("general").find_value("_rlnTomoSubTomosAre2DStacks") == "0"
    optics = document.find_block("optics")
    assert list(optics.find_values("_rlnOpticsGroupName")) == ["'og 1'"]
    assert list(optics.find_values("_rlnVoltage")) == ["300"]
    assert list(document.find_block("particles").find_values("_rlnGroupName")) == ["1.10"]
    assert read_run_metadata(Path("s/particles.run.json")).command == ["pick"]
