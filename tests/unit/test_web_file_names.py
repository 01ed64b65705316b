"""Names that could act as something else are shown escaped, and refused."""

import os

import pytest
from tests.unit.test_web_api import add, edit

from cryopick.errors import InputError
from cryopick.web.jobs.commands import TrainingRequest


@pytest.mark.parametrize("name", [b"two\nlines.mrc", b"escape\x1b[2J.mrc", b"not\xfftext.mrc"])
def test_a_micrograph_with_a_misleading_name_is_listed_and_not_used(
    client, project, tmp_path, name
):
    (tmp_path / "mics/mic_2.mrc").rename(tmp_path / "mics" / os.fsdecode(name))

    answer = client.post("/api/micrographs:import", json={"glob": str(tmp_path / "mics")}).json()

    assert "1 cannot be used" in answer["message"]
    row = client.get("/api/micrographs", params={"state": "problem"}).json()["rows"][0]
    assert row["name"].isprintable()
    assert "rename it" in row["problem"]
    assert row["id"] not in project.micrographs.usable()
    listed = client.get("/api/fs", params={"dir": str(tmp_path / "mics")}).json()
    assert all(one["name"].isprintable() for one in listed["files"])


def test_a_list_never_contains_a_path_with_a_line_break(project, tmp_path):
    with project.database.write() as db:
        db.execute("UPDATE micrograph SET path = ? WHERE id = 2", (f"{tmp_path}/a\n/etc/passwd",))
        db.execute("INSERT INTO label VALUES ('a',1,5,6,'pos','hand','',NULL,NULL,1.0,NULL)")
        db.execute("INSERT INTO label VALUES ('b',2,5,6,'pos','hand','',NULL,NULL,1.0,NULL)")

    with pytest.raises(InputError, match="line break"):
        project.planner.plan_training(TrainingRequest(100.0, 6.0))


@pytest.mark.parametrize("name", ["-rf", "a\nb", "a\x1b", "..", "a/b", "a\\b", "", "x" * 101])
def test_names_of_exports_cannot_act(client, name):
    edit(client, add(1))

    answer = client.post("/api/exports", json={"what": "labels", "name": name, "dry_run": False})

    assert answer.status_code == 422


@pytest.mark.parametrize("place", ["file", "folder", "inside", "exports"])
def test_an_export_never_writes_through_a_link(client, project, tmp_path, place):
    edit(client, add(1))
    exports, victim = project.folder / "exports", tmp_path / "victim"
    victim.mkdir()
    (victim / "own.txt").write_text("own")
    if place == "exports":
        exports.symlink_to(victim)
    else:
        exports.mkdir()
    if place == "file":
        (exports / "particles.star").symlink_to(victim / "own.txt")
    elif place == "folder":
        (exports / "particles-box").symlink_to(victim)
    elif place == "inside":
        (exports / "particles-box").mkdir()
        (exports / "particles-box" / "mic_0.box").symlink_to(victim / "own.txt")
    request = {"what": "labels", "formats": [".star", ".box"], "dry_run": False, "replace": True}

    answer = client.post("/api/exports", json=request)

    assert answer.status_code == 422, answer.json()
    assert "symbolic link" in answer.json()["error"]
    assert [path.name for path in victim.iterdir()] == ["own.txt"]
    assert (victim / "own.txt").read_text() == "own"
