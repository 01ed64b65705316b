"""`cryopick convert`: conversion of pick tables."""

from pathlib import Path

import pytest
from tests.unit.test_cli_tables import noise, read, write

from cryopick.io.images.mrc import write_mrc


def test_convert_scales_then_flips_then_changes_the_format(run_words):
    write("in.tsv", [("a", 10, 20, 3.0), ("a", 1, 1, -1.0)])

    result = run_words(
        "convert in.tsv -o out.star --scale 2 --invert-y --shape-px 100 90 --threshold 0"
    )

    assert read("out.star") == [("a", 20.0, 59.0)]
    assert result.stderr == "1 particle on 1 micrograph written to out.star\n"
    assert result.stdout == ""


def test_convert_flips_by_the_height_of_each_micrograph_and_uses_file_names(run_words):
    Path("mics").mkdir()
    for name, height in (("a", 8), ("b", 16)):
        write_mrc(Path(f"mics/{name}.mrc"), noise(height), pixel_size_ang=(1.0, 1.0))
    write("in.tsv", [("a", 1, 2, 0.0), ("b", 1, 2, 0.0)])

    run_words("convert in.tsv -o out.star --invert-y -m mics")

    assert read("out.star") == [("mics/a.mrc", 1.0, 5.0), ("mics/b.mrc", 1.0, 13.0)]


def test_coordinates_are_flipped_only_on_request_and_with_a_height(run_words):
    write("in.tsv", [("a", 1, 2, 0.0)])

    run_words("convert in.tsv -o out.star")
    why = run_words("convert in.tsv -o other.star --invert-y", status=1).stderr

    assert read("out.star") == [("a", 1.0, 2.0)]
    assert "--invert-y needs heights, and the size of a is unknown: give the micrographs" in why


def test_convert_to_fractions_and_back_needs_sizes_once(run_words):
    Path("mics").mkdir()
    write_mrc(Path("mics/a.mrc"), noise(), pixel_size_ang=(1.0, 1.0))
    write("in.tsv", [("a", 2, 4, 1.5)])

    why = run_words("convert in.tsv -o none.cs", status=1).stderr
    run_words("convert in.tsv -o one.cs -m mics")
    run_words("convert one.cs -o two.cs --invert-y")
    run_words("convert in.tsv -o three.cs --shape-px 16 32 --scale 2")

    assert "--shape-px HEIGHT WIDTH" in why
    assert read("one.cs") == [("mics/a.mrc", 2.0, 4.0)]
    assert read("two.cs") == [("mics/a.mrc", 2.0, 3.0)]
    assert read("three.cs") == [("a", 4.0, 8.0)]


def test_micrograph_sizes_are_removed_when_coordinates_are_scaled(run_words):
    write("in.tsv", [("a", 2, 4, 1.5)])
    run_words("convert in.tsv -o in.cs --shape-px 16 32")

    why = run_words("convert in.cs -o out.cs --scale 0.5", status=1).stderr

    assert "the size of a is unknown" in why


PARTICLES = """
# version 50001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
opticsGroup1 1


# version 50001

data_particles

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnAutopickFigureOfMerit #3
_rlnImageName #4
_rlnMicrographName #5
_rlnGroupName #6
_rlnDefocusU #7
10 20 1.5 000001@e/a.mrcs m/a.mrc 007 15287.149414
30 40 0.5 000002@e/a.mrcs m/a.mrc 'group 8' 15287.149415

"""


def test_star_to_star_keeps_unknown_columns_and_blocks(run_words):
    Path("in.star").write_text(PARTICLES)

    run_words("convert in.star -o out.star --threshold 1 --scale 2")

    text = Path("out.star").read_text()
    assert (
        "data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\nopticsGroup1 1" in text
    )
    assert text.count("# version 50001") == 2
    assert text.endswith("m/a.mrc 20 40 1.5 000001@e/a.mrcs 007 15287.149414\n\n")


def test_star_files_with_other_columns_of_optics_are_not_merged(run_words):
    Path("one.star").write_text(PARTICLES)
    Path("two.star").write_text(PARTICLES.replace("_rlnOpticsGroupName", "_rlnVoltage"))
    Path("three.star").write_text(PARTICLES.replace("m/a", "m/b"))

    why = run_words("convert one.star two.star -o out.star", status=1).stderr
    run_words("convert one.star three.star -o out.star")

    assert "one.star and two.star differ in their optics" in why
    assert len(read("out.star")) == 4
    assert Path("out.star").read_text().count("data_optics") == 1
    run_words("convert one.star two.star -o out.tsv")  # which keeps no optics at all


def test_files_per_micrograph_are_coordinate_files_without_optics(run_words):
    Path("in.star").write_text(PARTICLES)

    run_words("convert in.star -o out/ --format star")

    assert "data_optics" not in Path("out/a_autopick.star").read_text()
    assert read("out/a_autopick.star") == [("a", 10.0, 20.0), ("a", 30.0, 40.0)]


def test_an_unnamed_table_of_relion_2_stays_unnamed(run_words):
    text = PARTICLES[PARTICLES.index("data_particles") :]
    Path("in.star").write_text(text.replace("data_particles", "data_"))

    run_words("convert in.star -o out.star")

    assert Path("out.star").read_text().startswith("\ndata_\n\nloop_\n_rlnMicrographName #1\n")


def test_convert_writes_one_file_per_micrograph_to_a_folder(run_words):
    write("in.tsv", [("a", 10, 20, 3.0), ("b", 1, 1, -1.0)])

    run_words("convert in.tsv -o out/ --format box --box-px 8")

    assert sorted(path.name for path in Path("out").iterdir()) == ["a.box", "b.box", "run.json"]
    assert read("out/a.box") == [("a", 10.0, 20.0)]


def test_files_are_overwritten_only_with_force(run_words):
    write("in.tsv", [("a", 10, 20, 3.0)])
    write("out.tsv", [])

    result = run_words("convert in.tsv -o out.tsv", status=1)

    assert "out.tsv: already exists; overwrite it with --force" in result.stderr
    assert read("out.tsv") == []
    run_words("convert in.tsv -o out.tsv --force")
    assert read("out.tsv") == [("a", 10.0, 20.0)]


@pytest.mark.parametrize("options", ["-o picks.cs", "-o flipped.tsv --invert-y"])
def test_picks_of_larger_micrographs_are_not_converted_by_their_size(run_words, options):
    rows = [f"a\t{40 * i + 5}\t{30 * i + 5}" for i in range(8)]
    Path("a.tsv").write_text("\n".join(["image_name\tx_coord\ty_coord", *rows, ""]))

    told = run_words(f"convert a.tsv {options} --shape-px 120 160", status=1).stderr
    run_words(f"convert a.tsv {options} --shape-px 120 160 --scale 0.5")

    assert "they fit micrographs 2 times larger" in told
    assert "`cryopick convert --scale 0.5`" in told
