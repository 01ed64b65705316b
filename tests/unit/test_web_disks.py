"""On full and read-only disks, existing annotations can still be read.

Each test mounts a separate file system that only its processes can see.
"""

import json
import shutil
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient
from tests import tiny

from cryopick.errors import InputError
from cryopick.web.api.access_control import Credentials
from cryopick.web.project.project import AnnotationProject
from cryopick.web.server import create_application
from cryopick.web.storage.annotations import AddLabel

LABEL = """
import json, os, sqlite3, sys
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.annotations import AddLabel
from cryopick.web.storage.journal_file import read_journal
folder, mics = sys.argv[1:]
project, saved = AnnotationProject.open(__import__("pathlib").Path(folder) / "p"), 0
project.micrographs.add([mics])
def add(number):
    edit = AddLabel(op="add", cid=f"c{number}", id=f"l{number}", mid=1, x=1, y=2)
    project.annotations.apply([edit] , "me")
ballast = open(f"{folder}/ballast", "wb", buffering=0)
ballast.write(bytes(16384))
refused = ""
while not refused:
    try:
        add(saved)
        saved += 1
    except sqlite3.OperationalError as error:
        refused = str(error)
full = len(project.annotations.list_on(1)["labels"])
os.truncate(f"{folder}/ballast", 0)
add(saved)
project.close()
again = AnnotationProject.open(project.folder)
print(json.dumps({
    "saved": saved, "refused": refused, "full": full,
    "labels": len(again.annotations.list_on(1)["labels"]),
    "lines": len(read_journal(project.folder / "labels.ops.jsonl")),
}))
again.close()
"""
LOOK = """
import sys
from pathlib import Path
from cryopick.errors import InputError
from cryopick.web.project.project import AnnotationProject
try:
    AnnotationProject.open(Path(sys.argv[1]))
except InputError as error:
    print(error)
project = AnnotationProject.open(Path(sys.argv[1]), read_only=True)
print(len(project.annotations.list_on(1)["labels"]), project.state()["read_only"])
project.close()
"""


def within(mount, script, *words):
    """Return the output of a script in a mount name space."""
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
def project_folder(tmp_path, mics):
    project = AnnotationProject.open(tmp_path / "p.cryopick")
    project.micrographs.add([str(mics)])
    project.annotations.apply([AddLabel(op="add", cid="c", id="l", mid=1, x=1, y=2)], "me")
    project.close()
    return tmp_path / "p.cryopick"


def test_a_full_disk_loses_no_labels_and_later_ones_are_saved_when_there_is_space(tmp_path, mics):
    disk = tmp_path / "disk"
    disk.mkdir()

    counts = json.loads(within(f"mount -t tmpfs -o size=256k none '{disk}'", LABEL, disk, mics))

    assert "full" in counts["refused"]
    assert counts["full"] == counts["saved"] > 10
    assert counts["labels"] == counts["lines"] == counts["saved"] + 1


def test_a_project_on_a_read_only_disk_can_be_opened_read_only(project_folder):
    mount = (
        f"mount --bind '{project_folder}' '{project_folder}' && "
        f"mount -o remount,bind,ro '{project_folder}'"
    )

    refusal, contents = within(mount, LOOK, project_folder).splitlines()

    assert "--read-only" in refusal
    assert contents == "1 True"


def test_opening_read_only_changes_no_file(project_folder):
    before = {path: path.read_bytes() for path in project_folder.rglob("*") if path.is_file()}
    project = AnnotationProject.open(project_folder, read_only=True)
    credentials = Credentials(frozenset({"testserver"}), "cryopick_1", token="t")
    headers = {"Authorization": "Bearer t", "X-Cryopick": "1"}
    client = TestClient(create_application(project, credentials), headers=headers)

    image = client.get("/api/micrographs/1/display")
    edit = client.post("/api/ops", json={"ops": []})
    state = client.patch("/api/state", json={"diameter_ang": 9})
    project.close()

    assert image.status_code == 200
    assert [edit.status_code, state.status_code] == [403, 403]
    assert "read-only" in edit.json()["error"]
    assert {
        path: path.read_bytes() for path in project_folder.rglob("*") if path.is_file()
    } == before


def test_opening_a_missing_project_read_only_fails(tmp_path):
    with pytest.raises(InputError, match="there is no project there"):
        AnnotationProject.open(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
