"""`cryopick feedback`: selected particles become labels, rejected ones negatives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks

SHAPE = (400, 500)


@pytest.fixture
def classified(tmp_path, monkeypatch):
    """Twenty picks far apart; those of classes 1 and 3 are particles."""
    monkeypatch.chdir(tmp_path)
    grid = np.array([(x, y) for y in range(40, 360, 100) for x in range(40, 490, 100)], float)
    names = ["mics/a.mrc", "mics/a.mrc", "mics/b.mrc", "mics/b.mrc"] * 5
    number = np.arange(20) % 4
    table = Picks.from_columns(names, grid, np.arange(20.0), {"rlnClassNumber": number})
    write_picks(table, Path("classified.star"))
    return table, np.isin(number, (1, 3))


def cryopick(*words, status=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def places(table):
    rows = zip(table.index.tolist(), table.xy_px.round(2).tolist(), strict=True)
    return sorted((micrograph_stem(table.micrographs[i]), *xy) for i, xy in rows)


def made(folder="out"):
    return [places(read_picks(Path(folder, f"{n}.star"))) for n in ("labels", "negatives")]


def test_selected_classes_become_labels_and_the_others_negatives(classified):
    table, is_kept = classified

    cryopick("feedback", "classified.star", "--class", 1, "--class", 3, "-o", "out")

    assert made() == [places(table.select(is_kept)), places(table.select(~is_kept))]


@pytest.mark.parametrize("suffix", ["star", "cs", "tsv"])
@pytest.mark.parametrize("first", ["all", "rejected"])
def test_tables_of_any_format_are_matched_by_position(classified, suffix, first):
    table, is_kept = classified
    moved = replace(table, xy_px=table.xy_px + 1.5)
    went_in = moved if first == "all" else moved.select(~is_kept)
    layout = TableLayout(shapes_px=dict.fromkeys(table.micrographs, SHAPE))
    for name, own in (("in", went_in), ("kept", table.select(is_kept))):
        write_picks(own, Path(f"{name}.{suffix}"), layout=layout)

    cryopick("feedback", f"in.{suffix}", f"kept.{suffix}", "-o", "out")

    assert made() == [places(table.select(is_kept)), places(moved.select(~is_kept))]


def test_negatives_are_limited_to_the_highest_scores(classified):
    table, is_kept = classified
    write_picks(table.select(is_kept), Path("kept.star"))

    words = ("--threshold", 4, "--max-negatives", 3, "-o", "out")
    cryopick("feedback", "classified.star", "kept.star", *words)

    assert made()[1] == places(table.select(np.array([14, 16, 18])))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("classified.star --class 7", "no particle is of class 7; its classes are 0, 1, 2, 3"),
        ("kept.tsv --class 1", "expected a column rlnClassNumber"),
        ("classified.star far.tsv", "% of the selected particles lie within 5 pixels of a pick"),
        ("classified.star other.tsv", "the selected particles are on other micrographs"),
        ("classified.star none.tsv", "no particle is selected"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(classified, words, message):
    table, is_kept = classified
    kept = table.select(is_kept)
    bare = replace(kept, extra={})
    write_picks(bare, Path("kept.tsv"))
    far = bare.xy_px + np.where(np.arange(len(kept)) % 3, 20.0, 0.0)[:, None]
    write_picks(replace(bare, xy_px=far), Path("far.tsv"))
    renamed = bare.rename({"mics/a.mrc": "c.mrc", "mics/b.mrc": "d.mrc"})
    write_picks(renamed, Path("other.tsv"))
    write_picks(bare.select(np.zeros(0, int)), Path("none.tsv"))

    result = cryopick("feedback", *words.split(), "-o", "out", status=1)

    assert message in result.stderr
    assert not Path("out").exists()


def test_files_are_overwritten_only_on_request(classified):
    Path("out").mkdir()
    Path("out/negatives.star").write_text("mine")

    cryopick("feedback", "classified.star", "--class", 1, "-o", "out", status=1)

    assert Path("out/negatives.star").read_text() == "mine"
    assert not Path("out/labels.star").exists()
    cryopick("feedback", "classified.star", "--class", 1, "-o", "out", "--force")


def write_verdicts(folder, rows):
    """Write classes.tsv of `validate classes` with rows of set, class, count, rule and person."""
    lines = ["set\tclass\tparticles\tresolution_ang\tstrength\trule\tperson"]
    lines += [
        f"{n}\t{number}\t{count}\t20.000\t1.000\t{rule}\t{person}"
        for n, number, count, rule, person in rows
    ]
    (folder / "classes.tsv").write_text("\n".join([*lines, ""]))
    return folder / "classes.tsv"


def test_verdicts_on_classes_select_particles_and_a_person_overrules_the_rule(classified, tmp_path):
    table, is_kept = classified
    (tmp_path / "set_2").mkdir()
    Path("classified.star").rename("set_2/run_it010_data.star")
    rows = [(1, 0, 5, "particle", ""), (2, 1, 5, "particle", ""), (2, 2, 5, "particle", "Junk")]
    rows += [(2, 3, 5, "junk", "particle"), (2, 0, 5, "junk", ""), (2, 9, 0, "particle", "")]
    verdicts = write_verdicts(tmp_path, rows)

    cryopick("feedback", "set_2/run_it010_data.star", "--verdicts", verdicts, "-o", "out")

    assert made() == [places(table.select(is_kept)), places(table.select(~is_kept))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, 1, 5, "particle", ""), "expected classes of set 2, found none"),
        ((2, 1, 5, "junk", ""), "no class of set 2 is a particle"),
        ((2, 1, 5, "junk", "maybe"), "classes.tsv:2: expected particle, junk or an empty cell"),
        ((2, "one", 5, "junk", ""), "classes.tsv:2: expected integers"),
    ],
)
def test_verdicts_that_do_not_fit_are_refused(classified, tmp_path, row, message):
    verdicts = write_verdicts(tmp_path, [row])
    (tmp_path / "set_2").mkdir()
    Path("classified.star").rename("set_2/data.star")

    result = cryopick("feedback", "set_2/data.star", "--verdicts", verdicts, "-o", "o", status=1)

    assert message in result.stderr


def test_verdicts_need_picks_in_the_folder_of_a_set(classified, tmp_path):
    verdicts = write_verdicts(tmp_path, [(1, 1, 5, "particle", "")])

    result = cryopick("feedback", "classified.star", "--verdicts", verdicts, "-o", "o", status=1)

    assert "expected a file in a folder set_1, set_2" in result.stderr


def test_either_a_table_or_classes_are_required(classified):
    cryopick("feedback", "classified.star", "-o", "out", status=2)
    cryopick("feedback", "classified.star", "classified.star", "--class", 1, "-o", "o", status=2)
