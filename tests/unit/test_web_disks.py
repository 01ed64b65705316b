"""Disks that are full, and disks that cannot be written: what is there can still be seen.

Each test has a file system of its own, mounted where only its processes see it.
"""

import json
import shutil
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient
from tests import tiny

from cryopick.errors import InputError
from cryopick.web.api.access_control import Door
from cryopick.web.project.annotations import Add
from cryopick.web.project.project import Desk
from cryopick.web.server import application

LABEL = """
import json, os, sqlite3, sys
from cryopick.web.desk import Desk
from cryopick.web.marks import Add
from cryopick.web.opsfile import read_ops
folder, mics = sys.argv[1:]
desk, kept = Desk.open(__import__("pathlib").Path(folder) / "p"), 0
desk.micrographs.add([mics])
def add(number):
    edit = Add(op="add", cid=f"c{number}", id=f"l{number}", mid=1, x=1, y=2)
    desk.marks.apply([edit] , "me")
ballast = open(f"{folder}/ballast", "wb", buffering=0)
ballast.write(bytes(16384))
refused = ""
while not refused:
    try:
        add(kept)
        kept += 1
    except sqlite3.OperationalError as error:
        refused = str(error)
full = len(desk.marks.on(1)["labels"])
os.truncate(f"{folder}/ballast", 0)
add(kept)
desk.close()
again = Desk.open(desk.folder)
print(json.dumps({
    "kept": kept, "refused": refused, "full": full, "labels": len(again.marks.on(1)["labels"]),
    "lines": len(read_ops(desk.folder / "labels.ops.jsonl")),
}))
again.close()
"""
LOOK = """
import sys
from pathlib import Path
from cryopick.errors import InputError
from cryopick.web.desk import Desk
try:
    Desk.open(Path(sys.argv[1]))
except InputError as error:
    print(error)
desk = Desk.open(Path(sys.argv[1]), read_only=True)
print(len(desk.marks.on(1)["labels"]), desk.state()["read_only"])
desk.close()
"""


def within(mount, script, *words):
    """What a script prints in a name space with mounts of its own."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("mounting needs name spaces, which this machine does not allow")
    command = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    return subprocess.check_output(
        [*command, sys.executable, "-c", script, *map(str, words)], text=True
    )


@pytest.fixture
def mics(tmp_path):
    tiny.micrographs(tmp_path / "mics", 1)
    return tmp_path / "mics"


@pytest.fixture
def project(tmp_path, mics):
    desk = Desk.open(tmp_path / "p.cryopick")
    desk.micrographs.add([str(mics)])
    desk.marks.apply([Add(op="add", cid="c", id="l", mid=1, x=1, y=2)], "me")
    desk.close()
    return tmp_path / "p.cryopick"


def test_what_was_kept_stays_when_the_disk_is_full_and_more_is_kept_when_there_is_room(
    tmp_path, mics
):
    disk = tmp_path / "disk"
    disk.mkdir()

    told = json.loads(within(f"mount -t tmpfs -o size=256k none '{disk}'", LABEL, disk, mics))

    assert "full" in told["refused"]
    assert told["full"] == told["kept"] > 10
    assert told["labels"] == told["lines"] == told["kept"] + 1


def test_a_project_that_cannot_be_written_can_be_looked_at(project):
    mount = f"mount --bind '{project}' '{project}' && mount -o remount,bind,ro '{project}'"

    refusal, seen = within(mount, LOOK, project).splitlines()

    assert "--read-only" in refusal
    assert seen == "1 True"


def test_looking_changes_nothing(project):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    desk = Desk.open(project, read_only=True)
    door = Door(frozenset({"testserver"}), "cryopick_1", token="t")
    headers = {"Authorization": "Bearer t", "X-Cryopick": "1"}
    client = TestClient(application(desk, door), headers=headers)

    picture = client.get("/api/micrographs/1/display")
    edit = client.post("/api/ops", json={"ops": []})
    state = client.patch("/api/state", json={"diameter_ang": 9})
    desk.close()

    assert picture.status_code == 200
    assert [edit.status_code, state.status_code] == [403, 403]
    assert "looking only" in edit.json()["error"]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_there_must_be_something_to_look_at(tmp_path):
    with pytest.raises(InputError, match="there is no project there"):
        Desk.open(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
