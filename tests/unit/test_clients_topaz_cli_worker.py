"""Background worker: same output as the command, private socket, exit when idle."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from cryopick.clients.topaz_cli import worker
from cryopick.clients.topaz_cli.app import run_words
from cryopick.io.images.mrc import write_mrc

pytestmark = pytest.mark.slow

IDLE_S = 3.0
CLIENT = """
import sys
from cryopick.clients.topaz_cli.app import run_words
status = run_words(sys.argv[1:], "topaz")
sys.stderr.write("numpy is loaded\\n" if "numpy" in sys.modules else "nothing heavy is loaded\\n")
sys.exit(status)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder for sockets, and one with score maps to work in.

    The path of a socket has at most 107 bytes, which those of pytest may exceed.
    """
    monkeypatch.setenv("CRYOPICK_WORKER_IDLE_S", str(IDLE_S))
    monkeypatch.delenv("CRYOPICK_WORKER", raising=False)
    monkeypatch.delenv("CRYOPICK_DEBUG", raising=False)
    for number, name in enumerate("ab"):
        scores = np.full((30, 30), -9.0, np.float32)
        scores[5 + number, 8] = 2.0
        write_mrc(tmp_path / f"{name}.mrc", scores, pixel_size_ang=None)
    monkeypatch.chdir(tmp_path)
    with tempfile.TemporaryDirectory(prefix="cryopick-", ignore_cleanup_errors=True) as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield Path(runtime) / f"cryopick-{os.getuid()}"


def start(*words):
    command = [sys.executable, "-c", CLIENT, "extract", *words, "-m", "none", "-r", "3", "-d", "-1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(client):
    out, err = client.communicate(timeout=120)
    return client.returncode, out, err


def test_clients_share_one_worker_that_exits_when_idle(home):
    at_once = [start("a.mrc"), start("b.mrc"), start("a.mrc", "none.mrc")]
    results = [wait_for(client) for client in at_once]

    row = "image_name\tx_coord\ty_coord\tscore\n{}\t8\t{}\t2\n"
    assert [status for status, _, _ in results] == [0, 0, 1]
    outputs = [out for _, out, _ in results]
    assert outputs == [row.format("a", 5), row.format("b", 6), row.format("a", 5)]
    assert all("nothing heavy is loaded" in err for _, _, err in results)
    assert "none.mrc: no such file" in results[2][2]
    assert len(list(home.glob("*.socket"))) == 1
    assert home.stat().st_mode & 0o077 == 0

    until = time.monotonic() + 60
    while list(home.glob("*.socket")) and time.monotonic() < until:
        time.sleep(0.2)
    assert not list(home.glob("*.socket"))


def test_a_socket_folder_with_access_for_others_is_not_used(home, capsys):
    home.mkdir()
    home.chmod(0o755)

    assert run_words(["extract", "a.mrc", "-m", "none", "-r", "3"]) == 0

    assert "a\t8\t5\t2" in capsys.readouterr().out
    assert not list(home.iterdir())


def test_a_client_whose_worker_dies_does_the_work_itself(home, capsys, monkeypatch):
    def broken(*_):
        raise ConnectionResetError

    monkeypatch.setattr(worker, "_connect_or_start", broken)

    assert run_words(["extract", "a.mrc", "-m", "none", "-r", "3"]) == 0

    assert "a\t8\t5\t2" in capsys.readouterr().out


def test_the_worker_can_be_turned_off(home, capsys, monkeypatch):
    monkeypatch.setenv("CRYOPICK_WORKER", "0")

    assert run_words(["extract", "a.mrc", "-m", "none", "-r", "3"]) == 0

    assert "a\t8\t5\t2" in capsys.readouterr().out
    assert not home.exists()


def test_calls_with_other_resources_have_other_workers(home, monkeypatch):
    socket_paths = set()
    for devices in ("0", "1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
        socket_paths.add(worker._socket_path())

    assert len(socket_paths) == 2


def send_to(socket_path, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(socket_path))
        connection.sendall(text)
        return connection.recv(1 << 16)


ODD_REQUESTS = [
    b"\n",
    b"[]\n",
    b"3\n",
    b"[" * 100_000 + b"\n",
    b"\xff\xfe\n",
    b'{"options": {}}\n',
    b'{"options": {"a": 1}, "folder": "/", "umask": "x"}\n',
    b'{"options": {"a": 1}, "folder": "/", "umask": 18}\n',
    b'{"options": {"program": "p"}, "folder": "/none", "umask": 18}\n',
    b'{"options": {"program": "p"}, "folder": 3, "umask": 18}\n',
]


def test_odd_requests_and_silent_clients_neither_end_nor_hold_up_the_worker(home, monkeypatch):
    assert wait_for(start("a.mrc"))[0] == 0
    (socket_path,) = home.glob("*.socket")
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(20)]
    for number, connection in enumerate(silent):
        connection.connect(str(socket_path))
        connection.sendall(b'{"half": ' if number % 2 else b"")

    for request in ODD_REQUESTS:
        assert b"status" not in send_to(socket_path, request)
    status, out, err = wait_for(start("b.mrc"))

    assert (status, out.split()[-1]) == (0, "2")
    assert "nothing heavy is loaded" in err
    assert list(home.glob("*.socket")) == [socket_path]
    for connection in silent:
        connection.close()


@pytest.mark.parametrize("umask", [0o027, 0o002])
def test_files_get_the_mode_of_the_caller_and_not_of_who_started_the_worker(home, umask):
    assert wait_for(start("a.mrc"))[0] == 0

    before = os.umask(umask)
    try:
        status, _, err = wait_for(start("b.mrc", "-o", "out.txt"))
    finally:
        os.umask(before)

    assert status == 0
    assert "nothing heavy is loaded" in err
    assert Path("out.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_call_whose_options_are_changed_by_json_is_done_here():
    assert worker._encode_request(Namespace(a=[1, "b\udc80"], parser=object())) is not None
    for value in (Path("a"), (1, 2), {1: 2}, object()):
        assert worker._encode_request(Namespace(a=value)) is None


def test_output_before_a_worker_dies_is_not_written_twice(home, capsys, monkeypatch):
    ours, theirs = socket.socketpair()
    theirs.sendall(b'{"out": "image_name\\tx_coord\\n"}\n')
    theirs.shutdown(socket.SHUT_WR)
    monkeypatch.setattr(worker, "_connect_or_start", lambda: ours)

    assert run_words(["extract", "a.mrc", "-m", "none", "-r", "3"]) == 0

    assert capsys.readouterr().out.count("image_name") == 1
    theirs.close()
