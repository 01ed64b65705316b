"""Pixel sizes and values that lists state, and headers that are read in the background."""

import gzip
import json
import threading

import numpy as np
import pytest
from tests import tiny

from cryopick.io.images.mrc import write_mrc
from cryopick.io.inputs import find_micrographs
from cryopick.io.tables.micrograph_values import read_micrograph_values
from cryopick.runs.listed_path import listed_pixel_size
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage import header_reading, micrographs
from cryopick.web.storage.annotations import AddLabel
from cryopick.web.storage.micrographs import MicrographQuery, parse_ranges

STAR = """data_optics

loop_
_rlnOpticsGroup #1
_rlnMicrographPixelSize #2
1 7.5

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnCtfMaxResolution #3
_rlnDefocusU #4
_rlnDefocusV #5
_rlnAccumMotionTotal #6
mics/mic_0.mrc 1 3.5 10000 12000 20.5
mics/mic_1.mrc 1 8.0 30000 31000 nan
mics/mic_2.mrc 1 4.5 20000 20000 55.0
"""


@pytest.fixture
def listed(tmp_path):
    """A project whose micrographs were added with a STAR file."""
    tiny.micrographs(tmp_path / "mics", 3)
    (tmp_path / "ctf.star").write_text(STAR)
    opened = AnnotationProject.open(tmp_path / "p.cryopick")
    opened.micrographs.add([str(tmp_path / "ctf.star")])
    yield opened
    opened.close()


def names(project, **query):
    return [row["name"] for row in project.micrographs.list_rows(MicrographQuery(**query))["rows"]]


def test_the_pixel_size_of_a_list_takes_precedence_over_that_of_the_file(listed):
    row = listed.micrographs.find(1)

    assert (row["pixel_size_ang"], row["pixel_size_source"]) == (7.5, "list")
    assert listed.state()["pixel_size_source"] == "list"
    listed.database.set_meta("pixel_size_ang", "9.0")
    assert listed.micrographs.find(1)["pixel_size_ang"] == 9.0


def test_runs_get_the_pixel_size_of_the_list(listed):
    run = listed.planner.plan_picking(135.0)

    plan = json.loads((listed.runs.folder(run) / "plan.json").read_text())
    at_once, paths = (find_micrographs([words[1]]) for words in plan["commands"])
    assert [path.name for path in at_once] == ["mic_0.mrc"]
    assert [path.name for path in paths] == ["mic_0.mrc", "mic_1.mrc", "mic_2.mrc"]
    assert {listed_pixel_size(path) for path in (*at_once, *paths)} == {7.5}


def test_some_of_many_micrographs_are_picked_before_all(project, tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(57):
        (tmp_path / "many" / f"mic_{number:02d}.mrc").hardlink_to(tmp_path / "mics" / "mic_0.mrc")
    project.micrographs.add([str(tmp_path / "many")])

    run = project.planner.plan_picking(135.0, first=30)

    plan = json.loads((project.runs.folder(run) / "plan.json").read_text())
    first, sample, every = (find_micrographs([words[1]]) for words in plan["commands"])
    assert first == [project.micrographs.path(30)]
    assert sample == every[::7]
    assert sample[:1] == first
    assert set(every) == set(project.micrographs.usable().values())


def test_a_list_that_is_added_later_states_pixel_sizes_too(project, tmp_path):
    (tmp_path / "ctf.star").write_text(STAR)
    project.micrographs.add([str(tmp_path / "ctf.star")])

    assert project.micrographs.find(2)["pixel_size_ang"] == 7.5
    assert project.micrographs.find(2)["values"]["ctf_resolution_ang"] == 8.0


def test_the_list_is_filtered_and_sorted_by_listed_values(listed):
    sharp = names(listed, ranges=parse_ranges("ctf_resolution_ang::5"))
    both = names(listed, ranges=parse_ranges("ctf_resolution_ang::5,defocus_um:1.5:"))
    still = names(listed, ranges=parse_ranges("motion_ang::100"))

    assert sharp == ["mic_0.mrc", "mic_2.mrc"]
    assert both == ["mic_2.mrc"]
    assert still == ["mic_0.mrc", "mic_2.mrc"]  # one has no value
    assert names(listed, sort="defocus_um") == ["mic_0.mrc", "mic_2.mrc", "mic_1.mrc"]
    assert listed.micrographs.value_ranges()[0] == {
        "name": "ctf_resolution_ang",
        "low": 3.5,
        "high": 8.0,
        "title": "CTF resolution",
        "unit": "Å",
    }


@pytest.mark.parametrize("query", ["ranges=defocus_um:x:", "ranges=a", "sort=nothing"])
def test_malformed_filters_are_refused(client, query):
    assert client.get(f"/api/micrographs?{query}").status_code == 422


def test_values_of_cryosparc_are_joined_with_the_passthrough_file(tmp_path):
    uids = np.array([7, 5], np.uint64)
    fits = np.array(
        [(7, 3.25, 10000, 14000, 1.5), (5, 9.5, 20000, 20000, np.nan)],
        [
            ("uid", "u8"),
            ("ctf/ctf_fit_to_A", "f4"),
            ("ctf/df1_A", "f4"),
            ("ctf/df2_A", "f4"),
            ("ctf_stats/ice_thickness_rel", "f4"),
        ],
    )
    paths = np.array(
        list(zip(uids[::-1], [b"J1/b.mrc", b">J1/a.mrc"], strict=True)),
        [("uid", "u8"), ("micrograph_blob/path", "S20")],
    )
    for name, table in {"exposures.cs": fits, "exposures_passthrough.cs": paths}.items():
        with (tmp_path / name).open("wb") as file:
            np.save(file, table)

    values = read_micrograph_values(tmp_path / "exposures.cs")

    assert values["J1/a.mrc"] == pytest.approx(
        {"ctf_resolution_ang": 3.25, "defocus_um": 1.2, "ice": 1.5}
    )
    assert values["J1/b.mrc"] == pytest.approx({"ctf_resolution_ang": 9.5, "defocus_um": 2.0})


@pytest.fixture
def compressed(tmp_path):
    tiny.micrographs(tmp_path / "mics", 6)
    for path in sorted((tmp_path / "mics").glob("*.mrc")):
        path.with_suffix(".mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return tmp_path / "mics"


def test_headers_are_read_in_the_background(tmp_path, compressed, monkeypatch):
    monkeypatch.setattr(micrographs, "_READ_AT_ONCE_S", 0.0)
    may_read, read = threading.Event(), header_reading.read_micrograph_header

    def wait_and_read(path):
        if threading.current_thread().name == "headers":
            assert may_read.wait(20)
        return read(path)

    monkeypatch.setattr(header_reading, "read_micrograph_header", wait_and_read)
    project = AnnotationProject.open(tmp_path / "p.cryopick")
    try:
        summary = project.micrographs.add([str(compressed)])
        opened = project.micrographs.find(6)  # one that a person opens is read at once
        unread = project.headers.count_unread()
        may_read.set()
        project.micrographs.finish_reading()

        assert "the sizes of 5 are still being read" in summary["message"]
        assert (opened["width_px"], opened["height_px"], unread) == (112, 96, 4)
        assert all(row["width_px"] == 112 for row in list_all(project))
    finally:
        may_read.set()
        project.close()


def list_all(project):
    return project.micrographs.list_rows(MicrographQuery())["rows"]


def test_reading_continues_when_the_project_is_opened_again(tmp_path, compressed, monkeypatch):
    monkeypatch.setattr(micrographs, "_READ_AT_ONCE_S", 0.0)
    monkeypatch.setattr(header_reading.HeaderReader, "start", lambda self: None)
    first = AnnotationProject.open(tmp_path / "p.cryopick")
    first.micrographs.add([str(compressed)])
    first.close()
    monkeypatch.undo()

    again = AnnotationProject.open(tmp_path / "p.cryopick")
    again.headers._thread.join(20)

    assert again.headers.count_unread() == 0
    again.close()


def test_a_read_only_project_shows_the_sizes_of_unread_micrographs(
    tmp_path, compressed, monkeypatch
):
    monkeypatch.setattr(micrographs, "_READ_AT_ONCE_S", 0.0)
    monkeypatch.setattr(header_reading.HeaderReader, "start", lambda self: None)
    first = AnnotationProject.open(tmp_path / "p.cryopick")
    first.micrographs.add([str(compressed)])
    first.close()

    shown = AnnotationProject.open(tmp_path / "p.cryopick", read_only=True)

    assert shown.micrographs.find(6)["width_px"] == 112
    assert shown.headers.count_unread() == 5
    shown.close()


def test_labels_are_accepted_on_a_micrograph_that_is_unread(tmp_path, compressed, monkeypatch):
    monkeypatch.setattr(micrographs, "_READ_AT_ONCE_S", 0.0)
    monkeypatch.setattr(header_reading.HeaderReader, "start", lambda self: None)
    project = AnnotationProject.open(tmp_path / "p.cryopick")
    project.micrographs.add([str(compressed)])

    project.annotations.apply([AddLabel(op="add", cid="c", id="l", mid=6, x=5.0, y=5.0)], "me")

    assert project.annotations.count() == 1
    project.close()


def test_a_damaged_file_is_listed_with_its_problem(tmp_path, compressed):
    (compressed / "bad.mrc.gz").write_bytes(b"\x1f\x8bnothing")
    write_mrc(compressed / "good.mrc", tiny.blobs(1)[0], pixel_size_ang=(10.0, 10.0))
    project = AnnotationProject.open(tmp_path / "p.cryopick")
    project.micrographs.add([str(compressed)])
    project.micrographs.finish_reading()

    assert names(project, state="problem") == ["bad.mrc.gz"]
    project.close()
