"""The table of micrographs beside the picks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.score_samples import draw_background

from cryopick.errors import FormatError
from cryopick.evaluate.emptiness import Verdict
from cryopick.evaluate.label_sample import LabelSample
from cryopick.picks import Picks, concatenate
from cryopick.workflows.empty_check import Judgement
from cryopick.workflows.micrograph_table import (
    SKIPPED,
    MicrographRow,
    list_skipped,
    merge_micrograph_tables,
    micrograph_table_file,
    read_micrograph_table,
    summarize_micrographs,
    write_micrograph_table,
)


def make_picks(name, score, side_px=1000.0, seed=0):
    xy_px = np.random.default_rng(seed).uniform(0, side_px, (len(score), 2))
    return Picks.for_micrograph(name, xy_px, score)


def make_row(name, **others):
    values = {
        "picks": 3,
        "expected_particles": 2.5,
        "verdict": "particles",
        "pixel_size_ang": 1.5,
        "polarity": "dark",
    }
    return MicrographRow(micrograph=name, **{**values, **others})


def summarize(candidates, selected=None, **others):
    given = {"diameter_ang": 100.0, "pixel_size_ang": 2.0, "polarity": "dark"}
    selected = candidates if selected is None else selected
    return summarize_micrographs(candidates, selected, **{**given, **others})


def test_rows_count_picks_and_expected_particles():
    rng = np.random.default_rng(0)
    tail = rng.exponential(0.7, 300) - 4
    good = make_picks("good.mrc", np.concatenate([tail, rng.normal(2, 1, 60)]))
    candidates = concatenate([good, make_picks("bad.mrc", tail), make_picks("few.mrc", tail[:2])])
    selected = candidates.select(candidates.score > 1)

    rows = [*summarize(candidates, selected), *list_skipped([Path("broken.mrc")], "dark")]

    assert [row.micrograph for row in rows] == ["good.mrc", "bad.mrc", "few.mrc", "broken.mrc"]
    assert [row.verdict for row in rows] == [
        "particles",
        "probably empty",
        "not decided",
        SKIPPED,
    ]
    assert sum(row.picks for row in rows) == len(selected)
    assert rows[0].expected_particles == pytest.approx(60, rel=0.2)
    assert rows[1].expected_particles < 10
    assert rows[3].expected_particles is None
    assert not any(row.warnings for row in rows)


def test_a_judgement_replaces_the_verdicts_and_adds_its_warning():
    rng = np.random.default_rng(0)
    table = make_picks("a.mrc", rng.exponential(0.7, 300) - 4)
    judgement = Judgement({"a.mrc": Verdict.UNCLEAR}, "more at 70 Å", ["a.mrc"])

    (row,) = summarize(table, judgement=judgement)

    assert row.verdict == Verdict.UNCLEAR
    assert row.warnings == ("more at 70 Å",)


def test_labels_count_in_the_expected_particles():
    rng = np.random.default_rng(2)
    particles = rng.normal(-1.5, 1.0, 700)
    table = make_picks("a.mrc", np.concatenate([draw_background(rng, 2000), particles]))
    is_found = rng.permutation(700)[:50]
    labels = LabelSample.complete(particles[is_found])
    with_labels = Judgement({"a.mrc": Verdict.UNCLEAR}, labels=labels)

    (row,) = summarize(table, judgement=with_labels)
    (row_without,) = summarize(table, judgement=replace(with_labels, labels=None))

    true = int((particles >= table.score.min()).sum())
    assert row.expected_particles == pytest.approx(true, rel=0.25)
    assert abs(row.expected_particles - true) < abs(row_without.expected_particles - true)


def test_more_particles_than_fit_are_reported():
    score = np.full(600, 5.0)

    (dense,) = summarize(make_picks("a.mrc", score))
    (sparse,) = summarize(make_picks("a.mrc", score), diameter_ang=60.0)

    assert "more than close packing permits" in dense.warnings[0]
    assert sparse.warnings == ()


@pytest.mark.parametrize(
    ("diameter_ang", "pixel_size_ang", "is_doubtful"),
    [(13.0, 1.77, True), (13.0, 0.5, True), (40.0, 6.0, True), (150.0, 14.0, False)],
)
def test_a_diameter_of_a_few_pixels_or_of_no_particle_is_reported(
    diameter_ang, pixel_size_ang, is_doubtful
):
    (row,) = summarize(
        make_picks("a.mrc", np.zeros(5)), diameter_ang=diameter_ang, pixel_size_ang=pixel_size_ang
    )

    assert bool(row.warnings) is is_doubtful


def test_a_written_table_is_read_back(tmp_path):
    rows = [
        make_row("a b.mrc", warnings=("too small", "too many")),
        make_row("c.mrc", expected_particles=None, pixel_size_ang=None),
    ]

    write_micrograph_table(rows, tmp_path / "t.tsv")

    assert read_micrograph_table(tmp_path / "t.tsv") == rows


@pytest.mark.parametrize("text", ["", "micrograph\n", "a\tb\nc\td\n"])
def test_another_table_is_refused(tmp_path, text):
    (tmp_path / "t.tsv").write_text(text)

    with pytest.raises(FormatError, match=r"t.tsv:1: expected the columns micrograph"):
        read_micrograph_table(tmp_path / "t.tsv")


def test_tables_of_shards_are_merged_in_the_order_of_one_run(tmp_path):
    parts = [tmp_path / "1.tsv", tmp_path / "2.tsv"]
    write_micrograph_table([make_row("a"), make_row("c", verdict=SKIPPED)], parts[0])
    merge_micrograph_tables(parts, tmp_path / "early.tsv")
    write_micrograph_table([make_row("b"), make_row("d")], parts[1])

    merge_micrograph_tables(parts, tmp_path / "all.tsv", order=["a", "b", "c", "d"])

    names = [row.micrograph for row in read_micrograph_table(tmp_path / "all.tsv")]
    assert names == ["a", "b", "d", "c"]
    assert not (tmp_path / "early.tsv").exists()


def test_tables_and_folders_of_shards_have_different_files():
    assert micrograph_table_file(Path("x/picks.1-of-2.star")) == Path(
        "x/picks.1-of-2.micrographs.tsv"
    )
    assert micrograph_table_file(Path("x/picks.1-of-2"), is_folder=True) == Path(
        "x/picks.1-of-2.micrographs.tsv"
    )
