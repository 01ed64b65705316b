"""Tests that the page reads no file outside its folders, and opens after a crash."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests import tiny

from cryopick.cli.label import _find_running
from cryopick.errors import InputError
from cryopick.web.api.access_control import Credentials
from cryopick.web.project.imports import import_labels
from cryopick.web.project.project import AnnotationProject
from cryopick.web.server import create_application
from cryopick.web.storage.database import ProjectDatabase, is_open_elsewhere

INDEX = (
    "data_coordinate_files\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\nmic_0.mrc {}\n"
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    opened = AnnotationProject.open(tmp_path / "project", roots=(tmp_path / "data",))
    yield opened
    opened.close()


@pytest.mark.parametrize("content", ["TOP SECRET", "image_name\tx_coord\ty_coord\nsecret\t1\t2\n"])
def test_an_uploaded_index_is_never_followed(project, tmp_path, content):
    secret = tmp_path / "secret.txt"
    secret.write_text(content)
    index = INDEX.format(secret).encode()

    with pytest.raises(InputError, match="list of coordinate files") as raised:
        import_labels(project, "up.star", index, "pos", dry_run=True)

    assert "secret" not in str(raised.value).lower()


@pytest.mark.parametrize("name", ["../../evil.tsv", "/tmp/evil-cryopick.tsv", "..", "/"])
def test_the_name_of_an_upload_never_leaves_its_folder(project, tmp_path, name):
    before = set(tmp_path.rglob("*evil*"))

    with pytest.raises(InputError):
        import_labels(project, name, b"nothing", "pos", dry_run=True)

    assert set(tmp_path.rglob("*evil*")) == before
    assert not Path("/tmp/evil-cryopick.tsv").exists()


@pytest.mark.parametrize("name", ["a\0b.tsv", "x" * 300 + ".tsv"])
def test_an_upload_with_an_impossible_name_is_refused(project, name):
    content = b"image_name\tx_coord\ty_coord\nmic_0\t1\t2\n"

    with pytest.raises(InputError, match="is no name of a file"):
        import_labels(project, name, content, "pos", dry_run=True)


@pytest.mark.parametrize("roots", [True, False])
def test_a_path_with_a_null_byte_is_refused(tmp_path, roots):
    folder = tmp_path / "data"
    folder.mkdir()
    opened = AnnotationProject.open(tmp_path / "project", roots=(folder,) if roots else ())

    for argument in ("a\0b", f"{folder}/\0*.mrc", "@\0"):
        with pytest.raises(InputError):
            opened.add_micrographs([argument])
    opened.close()


@pytest.mark.parametrize(
    "argument", ["{data}/link/*.star", "{data}/link/list.star", "@{data}/l.txt"]
)
def test_a_list_outside_the_folders_is_not_read(project, tmp_path, argument):
    (tmp_path / "outside").mkdir()
    text = "data_\nloop_\n_rlnMicrographName\nTOP-SECRET.mrc\n"
    (tmp_path / "outside/list.star").write_text(text)
    (tmp_path / "data/link").symlink_to(tmp_path / "outside")
    (tmp_path / "data/l.txt").symlink_to(tmp_path / "outside/list.star")

    with pytest.raises(InputError, match="outside the folders") as raised:
        project.add_micrographs([argument.format(data=tmp_path / "data")])

    assert "TOP-SECRET" not in str(raised.value)


def test_one_bad_link_does_not_hide_the_other_files_of_a_folder(project, tmp_path):
    tiny.micrographs(tmp_path / "data", 2)
    (tmp_path / "secret.mrc").write_bytes(b"x")
    (tmp_path / "data/out.mrc").symlink_to(tmp_path / "secret.mrc")
    (tmp_path / "data/circle.mrc").symlink_to(tmp_path / "data/circle.mrc")
    client = TestClient(
        create_application(project, Credentials(frozenset({"testserver"}), "c", token="t")),
        headers={"Authorization": "Bearer t", "X-Cryopick": "1"},
    )

    listed = client.get("/api/fs", params={"dir": str(tmp_path / "data")}).json()
    folder = project.add_micrographs([str(tmp_path / "data")])
    pattern = project.add_micrographs([str(tmp_path / "data/*.mrc")])

    assert [one["name"] for one in listed["files"]] == ["mic_0.mrc", "mic_1.mrc"]
    assert "1 outside the folders" in folder["message"]
    assert folder["added"] == 3  # with the circle, which is listed with its problem
    assert pattern["added"] == 0
    names = {row["name"] for row in project.database.rows("SELECT name FROM micrograph")}
    assert names == {"mic_0.mrc", "mic_1.mrc", "circle.mrc"}


def test_the_lock_of_the_database_tells_if_a_server_runs(tmp_path):
    path = tmp_path / "labels.db"
    assert not is_open_elsewhere(path)

    database = ProjectDatabase(path)

    assert is_open_elsewhere(path)
    database.close()
    assert not is_open_elsewhere(path)


@pytest.mark.parametrize("pid", [1, pytest.param(os.getpid(), id="own"), -1, "x", None])
def test_a_stale_process_number_does_not_lock_a_project(tmp_path, pid):
    ProjectDatabase(tmp_path / "labels.db").close()
    note = {"pid": pid, "link": "http://127.0.0.1:1/#t=a", "view_link": "http://127.0.0.1:1/#t=b"}
    (tmp_path / "server.json").write_text(json.dumps(note))

    assert _find_running(tmp_path, read_only=False) is None

    with sqlite3.connect(tmp_path / "labels.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert _find_running(tmp_path, read_only=False) == note["link"]
        assert _find_running(tmp_path, read_only=True) == note["view_link"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b"[" * 5000])
def test_a_damaged_note_does_not_lock_a_project(tmp_path, content):
    (tmp_path / "server.json").write_bytes(content)

    assert _find_running(tmp_path, read_only=False) is None
