"""The automatic threshold of the page selects the same picks as the command line."""

import numpy as np
import pytest
from tests import tiny

from cryopick.evaluate.emptiness import Verdict
from cryopick.evaluate.expectation import select_automatically
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate
from cryopick.web.project.measures import measure_run
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.run_picks import PickFilter
from cryopick.workflows.micrograph_table import (
    MicrographRow,
    micrograph_table_file,
    write_micrograph_table,
)


@pytest.fixture
def project(tmp_path):
    tiny.micrographs(tmp_path / "mics", 3)
    opened = AnnotationProject.open(tmp_path / "p.cryopick")
    opened.micrographs.add([str(tmp_path / "mics")])
    yield opened
    opened.close()


def take_run(project, n_particles, verdict=None):
    """Store a run with background and some particles on each micrograph; return its table."""
    rng = np.random.default_rng(3)
    run = project.runs.create("pick", "General model", {})
    file = project.runs.folder(run) / "picks.json"
    tables = []
    for path in project.micrographs.usable().values():
        background = -9 + 3.2 * np.abs(rng.normal(size=2500))  # fewer the higher, ever faster
        score = np.concatenate([background, rng.normal(2, 1, n_particles)])
        tables.append(Picks.for_micrograph(str(path), rng.uniform(0, 60, (len(score), 2)), score))
    write_picks(concatenate(tables), file)
    if verdict is not None:
        rows = [
            MicrographRow(
                micrograph=str(path),
                picks=1,
                expected_particles=0.0,
                verdict=verdict,
                pixel_size_ang=None,
                polarity="dark",
            )
            for path in project.micrographs.usable().values()
        ]
        write_micrograph_table(rows, micrograph_table_file(file))
    project.runs.take_picks(run)
    return read_picks(file)


def select_on_page(project):
    return project.runs.table("r1", project.runs.selection_mask("r1"))


def test_without_any_sign_of_particles_one_pick_of_each_micrograph_is_kept(project):
    table = take_run(project, n_particles=0)

    selected = select_on_page(project)

    assert 1 <= len(selected) <= 3
    assert np.bincount(selected.index).max() == 1
    assert set(selected.score) == set(select_automatically(table).picks.score)
    measured = measure_run(project, "r1")
    assert measured["estimated"] == {"is_capped": True}  # nothing is promised
    assert "at most one pick" in measured["suggestions"][0]["reason"]


def test_with_particles_the_page_and_the_command_line_select_the_same(project):
    table = take_run(project, n_particles=90)

    selected = select_on_page(project)

    assert set(selected.score) == set(select_automatically(table).picks.score)
    assert len(selected) > 150
    assert not measure_run(project, "r1")["estimated"]["is_capped"]


def test_the_verdicts_of_the_run_count(project):
    table = take_run(project, n_particles=0, verdict=Verdict.PARTICLES)

    selection = select_automatically(table, verdicts=[Verdict.PARTICLES] * 3)

    assert project.runs.picks("r1").selection.threshold == selection.threshold
    assert not selection.is_capped


def test_a_threshold_that_a_person_changed_during_the_run_stays(project):
    table = take_run(project, n_particles=90)
    automatic = project.runs.pick_filter("r1").threshold

    project.runs.store_picks("r1", table)
    project.runs.set_automatic_filter("r1")
    unchanged = project.runs.pick_filter("r1").threshold
    project.runs.set_pick_filter("r1", PickFilter(3.5))
    project.runs.take_picks("r1")

    assert unchanged == automatic
    assert project.runs.pick_filter("r1").threshold == 3.5


def test_micrographs_are_judged_at_the_end_of_a_run(project):
    table = take_run(project, n_particles=0)
    project.runs.change("r1", state="running")
    project.runs.store_picks("r1", table)

    in_progress = project.runs.picks("r1").selection.is_capped
    project.runs.change("r1", state="done")
    project.runs.store_picks("r1", table)

    assert not in_progress
    assert project.runs.picks("r1").selection.is_capped


def test_a_run_without_picks_has_a_threshold_of_zero(project):
    run = project.runs.create("pick", "General model", {})
    write_picks(concatenate([]), project.runs.folder(run) / "picks.json")
    project.runs.take_picks(run)

    assert project.runs.picks(run).automatic_threshold == 0
    assert measure_run(project, run)["estimated"] is None
