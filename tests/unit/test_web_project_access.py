"""The link of a project stays the same, and only its owner can read it."""

import json
import socket

import pytest

from cryopick.web.listener import bind_usual_port
from cryopick.web.project_access import ACCESS_FILE, ProjectAccess, load_access


def test_the_stored_link_is_read_again_and_is_private(tmp_path):
    access = ProjectAccess(port=4321)

    access.store(tmp_path)

    assert load_access(tmp_path) == access
    assert (tmp_path / ACCESS_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[" * 5000,
        "[1]",
        "{}",
        json.dumps({"port": 1, "token": "short"}),
        json.dumps(dict.fromkeys(["token", "session", "view_token", "view_session"], "x" * 43)),
        json.dumps(
            {"port": -1} | dict.fromkeys(["token", "session", "view_token", "view_session"], "x")
        ),
    ],
)
def test_a_damaged_file_gives_a_new_link(tmp_path, content):
    (tmp_path / ACCESS_FILE).write_text(content)
    (tmp_path / ACCESS_FILE).chmod(0o600)

    assert len(load_access(tmp_path).token) >= 43
    assert load_access(tmp_path).port == 0


def test_a_file_that_others_can_read_or_a_link_is_not_used(tmp_path):
    access = ProjectAccess(port=4321)
    access.store(tmp_path)
    (tmp_path / ACCESS_FILE).chmod(0o640)
    open_to_others = load_access(tmp_path)
    (tmp_path / ACCESS_FILE).chmod(0o600)
    (tmp_path / ACCESS_FILE).rename(tmp_path / "elsewhere")
    (tmp_path / ACCESS_FILE).symlink_to(tmp_path / "elsewhere")

    assert open_to_others.token != access.token
    assert load_access(tmp_path).token != access.token


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    ProjectAccess().store(tmp_path / "missing")

    assert not (tmp_path / "missing").exists()


def test_the_last_port_is_used_again_unless_it_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with bind_usual_port("127.0.0.1", 0, port) as other:
            assert other.getsockname()[1] != port
    with bind_usual_port("127.0.0.1", 0, port) as again:
        assert again.getsockname()[1] == port
