"""Several tables are imported at once, converted, as labels or as a run to compare."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.web.project.table_import import TableImport

HEIGHT, WIDTH = 96, 112


def send(client, files, status=200, **query):
    parts = [("file", (name, text.encode())) for name, text in files.items()]
    answer = client.post("/api/import/tables", params=query, files=parts)
    assert answer.status_code == status, answer.text
    return answer.json()


def box_files():
    """Corners of boxes of 10 pixels, one file for each micrograph."""
    return {f"mic_{n}.box": f"20\t30\t10\t10\n{40 + n}\t50\t10\t10\n" for n in range(3)}


def stored(client, mid):
    labels = client.get("/api/labels", params={"mid": mid}).json()["labels"]
    return sorted((label["x"], label["y"]) for label in labels)


def test_a_folder_of_tables_is_imported_at_once(client):
    preview = send(client, box_files())
    nothing = stored(client, 1)
    written = send(client, box_files(), dry_run=False)

    assert (preview["files"], preview["matched"], preview["n_micrographs"]) == (3, 6, 3)
    assert (preview["batch"], nothing) == (None, [])
    assert stored(client, 2) == [(25.0, 35.0), (46.0, 55.0)]
    assert [entry["name"] for entry in client.get("/api/imports").json()["imports"]] == ["3 files"]
    assert written["batch"]


def test_files_that_are_no_tables_are_listed_with_the_reason(client):
    report = send(client, {**box_files(), "notes.txt": "hello", "other.box": "1\t2\t10\t10\n"})

    assert (report["files"], report["n_faults"], report["n_unmatched"]) == (4, 1, 1)
    assert report["faults"][0]["name"] == "notes.txt"
    assert send(client, {"notes.txt": "hello"}, status=422)["error"]


def test_the_preview_shows_the_converted_positions(client):
    table = "micrograph,x,y\nmic_0,10,20\nmic_0,30,5\nmic_1,7,7\n"

    plain = send(client, {"a.csv": table})["preview"]
    converted = send(client, {"a.csv": table}, flip_y=True, binning=2)["preview"]

    assert (plain["mid"], plain["xy"]) == (1, [[10.0, 20.0], [30.0, 5.0]])
    assert converted["xy"] == [[20.5, HEIGHT - 1 - 40.5], [60.5, HEIGHT - 1 - 10.5]]


def test_coordinates_outside_suggest_a_binning(client):
    table = "micrograph,x,y\nmic_0,400,200\nmic_0,300,50\n"

    report = send(client, {"a.csv": table})

    assert (report["matched"], report["outside"]) == (0, 2)
    assert "set the binning" in report["warnings"][0]
    assert send(client, {"a.csv": table}, binning=0.25)["matched"] == 2


def test_particles_to_compare_become_a_run_and_no_labels(client):
    """Particles that are labels already are compared, too."""
    table = "image_name\tx_coord\ty_coord\tscore\nmic_0\t10\t20\t1.5\nmic_1\t30\t40\t-2\n"
    send(client, {"a.txt": table}, dry_run=False)
    labels = client.get("/api/state").json()["n_labels"]

    run = send(client, {"a.txt": table}, purpose="compare", dry_run=False)["run"]

    state = client.get("/api/state").json()
    assert state["n_labels"] == labels == 2
    described = next(entry for entry in state["runs"] if entry["id"] == run)
    assert (described["kind"], described["state"], described["n_picks"]) == ("import", "done", 2)
    items = client.get("/api/gallery", params={"run": run}).json()["items"]
    assert [(item[0], item[3]) for item in items] == [(1, 1.5), (2, -2.0)]


@given(
    xy=st.tuples(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1)),
    swap=st.booleans(),
    flip_x=st.booleans(),
    flip_y=st.booleans(),
    binning=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    box=st.sampled_from([0.0, 10.0]),
)
def test_conversions_undo_what_other_programs_do(xy, swap, flip_x, flip_y, binning, box):
    """A program that mirrors, bins, swaps and writes corners is read back exactly."""
    foreign = np.array([xy])
    size = np.array([WIDTH, HEIGHT])
    foreign = np.where([flip_x, flip_y], size - 1 - foreign, foreign)
    foreign = (foreign - (binning - 1) / 2) / binning
    foreign = (foreign[:, ::-1] if swap else foreign) - box / 2
    plan = TableImport(swap=swap, flip_x=flip_x, flip_y=flip_y, binning=binning, corner_box=box)

    np.testing.assert_allclose(plan.convert(foreign, (HEIGHT, WIDTH)), [xy], atol=1e-9)


@pytest.mark.parametrize("query", [{"binning": 0}, {"binning": "nan"}, {"purpose": "x"}])
def test_invalid_conversions_are_refused(client, query):
    send(client, box_files(), status=422, **query)
