"""Corrections change all counts in the same way: histogram, list of micrographs and export."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import tiny
from tests.unit.test_web_api import add

from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks, concatenate
from cryopick.web.project.exports import final_picks
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.annotations import AddLabel, AddRegion, DeleteLabel
from cryopick.web.storage.micrographs import MicrographQuery
from cryopick.web.storage.run_picks import PickFilter

STEP_PX = 5.0


@pytest.fixture(scope="module")
def picked(tmp_path_factory):
    """A project whose run has picks in a row on each of three micrographs, with scores -2 to 2."""
    folder = tmp_path_factory.mktemp("picked")
    tiny.micrographs(folder / "mics", 3)
    project = AnnotationProject.open(folder / "p.cryopick")
    project.micrographs.add([str(folder / "mics")])
    project.database.set_meta("diameter_ang", "120.0")  # labels match within 4 px
    run = project.runs.create("pick", "General model", {"diameter_ang": 120})
    tables = []
    for path in project.micrographs.usable().values():
        xy_px = np.stack([np.arange(20) * STEP_PX, np.full(20, 30.0)], axis=1)
        tables.append(Picks.for_micrograph(str(path), xy_px, np.linspace(2, -2, 20)))
    project.runs.folder(run).mkdir(exist_ok=True)
    write_picks(concatenate(tables), project.runs.folder(run) / "picks.json")
    project.runs.take_picks(run)
    yield project
    project.close()


@pytest.fixture
def clean(picked):
    with picked.database.write() as db:
        for table in ("label", "region", "op"):
            db.execute(f"DELETE FROM {table}")
        db.execute("UPDATE micrograph SET state = 'todo'")
    picked.corrections._by_mid.clear()
    picked.corrections._counted.clear()
    picked.runs.set_pick_filter("r1", PickFilter(0.0))
    return picked


def label(project, name, x, y=30.0, mid=1, kind="pos"):
    project.annotations.apply([AddLabel(**add(name, mid=mid, x=x, y=y, kind=kind))], "me")


def counts(project):
    """Return the number of particles in the histogram, the list of micrographs and the export.

    That of the wall of thumbnails is the same.
    """
    histogram = project.corrections.histogram("r1")
    at = histogram["edges"].index(histogram["threshold"])
    project.corrections.store_counts("r1")
    rows = project.micrographs.list_rows(MicrographQuery(run="r1"))["rows"]
    table, parts = final_picks(project, "r1")
    assert sum(number for _, number in parts) == len(table)
    assert sum(count_on_wall(project, mid) for mid in project.micrographs.usable()) == len(table)
    return (
        sum(histogram["counts"][at:]) + histogram["added"][at],
        sum(row["picks"] or 0 for row in rows),
        len(table),
    )


def count_on_wall(project, mid):
    """Count the rings of a thumbnail: picks above the threshold, and labels without such a pick."""
    data = project.corrections.pack_picks("r1", mid)
    _, n_picks, n_labels, _ = np.frombuffer(data, "<u4", 4)
    columns = np.frombuffer(data, "<f4", offset=16)
    assert len(columns) == 3 * (n_picks + n_labels)
    best = columns[3 * n_picks :].reshape(3, -1)[2]
    threshold = np.float32(project.runs.pick_filter("r1").threshold)
    score = columns[2 * n_picks : 3 * n_picks]
    return int((score >= threshold).sum() + (best < threshold).sum())


def test_a_rejected_pick_and_a_missed_particle_count_everywhere_at_once(clean):
    assert counts(clean) == (30, 30, 30)

    label(clean, 1, x=5.0, kind="neg")  # on a selected pick
    assert counts(clean) == (29, 29, 29)
    label(clean, 2, x=5.5, kind="neg")  # a second rejection of the same pick changes nothing
    label(clean, 3, x=90.0, kind="neg")  # on a pick below the threshold
    assert counts(clean) == (29, 29, 29)
    label(clean, 4, x=60.0)  # a particle whose pick is below the threshold
    label(clean, 5, x=61.0)  # the same particle, marked by somebody else
    label(clean, 6, x=10.5)  # a particle that is picked
    assert counts(clean) == (30, 30, 30)
    clean.annotations.apply([DeleteLabel(op="delete", cid="d", id="l1")], "me")
    assert counts(clean) == (30, 30, 30)  # the other rejection remains


def test_regions_and_excluded_micrographs_remove_picks(clean):
    corners = [(-1.0, 20.0), (22.0, 20.0), (22.0, 40.0), (-1.0, 40.0)]
    region = AddRegion(op="region", cid="r", id="r", mid=2, points=corners)
    clean.annotations.apply([region], "me")
    assert counts(clean) == (25, 25, 25)

    clean.micrographs.change(3, state="skip", note=None)
    assert counts(clean) == (15, 15, 15)
    clean.micrographs.change(3, state="todo", note=None)
    assert counts(clean) == (25, 25, 25)


def test_counts_stay_corrected_when_the_same_threshold_is_stored_again(clean):
    label(clean, 1, x=5.0, kind="neg")
    assert counts(clean) == (29, 29, 29)

    clean.runs.set_pick_filter("r1", PickFilter(0.0))

    assert counts(clean) == (29, 29, 29)


def test_counts_follow_the_particle_diameter(clean):
    label(clean, 1, x=7.0, kind="neg")  # 2 and 3 px from two picks
    assert counts(clean) == (28, 28, 28)

    try:
        clean.database.set_meta("diameter_ang", "75.0")  # labels match within 2.5 px
        assert counts(clean) == (29, 29, 29)
    finally:
        clean.database.set_meta("diameter_ang", "120.0")


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.floats(0, 95), st.sampled_from(["pos", "neg"])), max_size=8
    ),
    st.floats(-3, 3),
)
def test_histogram_list_and_export_agree(clean, labels, threshold):
    with clean.database.write() as db:
        db.execute("DELETE FROM label")
        db.execute("DELETE FROM op")
    clean.corrections._by_mid.clear()
    clean.corrections._counted.clear()
    clean.runs.set_pick_filter("r1", PickFilter(threshold))
    for number, (mid, x, kind) in enumerate(labels):
        label(clean, number, x=x, mid=mid, kind=kind)

    assert len(set(counts(clean))) == 1
