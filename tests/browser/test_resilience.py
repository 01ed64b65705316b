"""No edit is lost, no other host is contacted, and the page works without WebGL."""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from tests.browser.conftest import STATIC
from tests.browser.driver import Driver, Server
from tests.conftest import FLAGS

ROOT = Path(__file__).parents[2]
AT = {"x": 255, "y": 300}
PLACES = [(100, 120), (255, 300), (400, 60), (60, 440)]


@pytest.mark.usefixtures("lost_connection")
def test_clicks_while_the_server_is_gone_are_not_lost(own_server, make_page):
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    user.click(*PLACES[0]).saved()
    own_server.kill()
    for place in PLACES[1:]:
        user.click(*place)
    user.page.locator(".saved", has_text="Not saved").wait_for()

    own_server.again()
    user.page.goto("about:blank")
    user.open().saved().micrograph("mic_00")

    assert len(user.stored("pos")) == len(PLACES)


@pytest.mark.usefixtures("lost_connection")
def test_a_saved_label_outlives_a_killed_server(own_server, make_page):
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    user.click(*PLACES[0]).saved()

    own_server.kill()
    own_server.again()
    user.page.goto("about:blank")
    user.open().step("label").micrograph("mic_00")

    assert len(user.stored("pos")) == 1


def test_two_tabs_show_the_same(make_page, fresh):
    one = make_page().open().step("label").micrograph(fresh)
    other = make_page().open().step("label").micrograph(fresh)

    one.click(*PLACES[0]).saved()
    other.page.locator("[data-test=label-count]", has_text="1 particle").wait_for()
    other.click(*PLACES[1]).saved()
    one.page.locator("[data-test=label-count]", has_text="2 particles").wait_for()

    assert one.labels() == other.labels()


def test_a_full_disk_is_reported_and_labels_are_saved_when_there_is_space(own_server, make_page):
    make_page.expected.append("status of 507")
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    user.click(*PLACES[0]).saved()
    # No file of the server's may grow any more: for SQLite that is a full disk.
    whole = resource.prlimit(own_server.process.pid, resource.RLIMIT_FSIZE, (0, -1))
    for place in PLACES[1:]:
        user.click(*place)
    user.page.locator(".saved", has_text="Not saved").wait_for()
    stored = user.stored("pos")
    resource.prlimit(own_server.process.pid, resource.RLIMIT_FSIZE, whole)
    user.saved()

    assert len(stored) == 1
    assert len(user.stored("pos")) == len(PLACES)


def test_a_change_before_the_page_receives_events_is_shown(make_page, server, fresh):
    user, held = make_page(), []
    user.page.route("**/api/events", lambda route: held.append(route))
    user.open().step("label").micrograph(fresh)
    mid = user.module("store.js", "(m) => m.micrograph.value.id")
    server.ask("POST", "ops", {"ops": [{"op": "add", "cid": "q", "id": "q", "mid": mid} | AT]})
    user.wait_for(lambda: held, bool)
    held[0].continue_()

    user.page.locator("[data-test=label-count]", has_text="1 particle").wait_for()


@pytest.mark.usefixtures("lost_connection")
def test_a_page_that_missed_events_catches_up(make_page, fresh):
    one = make_page().open().step("label").micrograph(fresh)
    other = make_page().open().step("label").micrograph(fresh)
    one.page.context.set_offline(True)
    one.click(*PLACES[0])
    other.click(*PLACES[1]).saved()
    one.page.context.set_offline(False)
    one.page.locator("[data-test=label-count]", has_text="2 particles").wait_for()
    other.page.locator("[data-test=label-count]", has_text="2 particles").wait_for()

    assert one.saved().labels() == other.labels()


def test_event_streams_end_properly_when_the_server_is_stopped(own_server):
    line = http.client.HTTPConnection("127.0.0.1", own_server.port, timeout=30)
    with contextlib.closing(line):
        line.request("GET", "/api/events", headers={"Authorization": f"Bearer {own_server.token}"})
        with line.getresponse() as answer:
            first = answer.readline()
            own_server.process.terminate()
            rest = answer.read()  # a stream that is interrupted raises IncompleteRead

    assert first == b": connected\n"
    assert b"event" not in rest
    assert own_server.process.wait(30) == 0
    assert not (own_server.project / "server.json").exists()


def test_a_second_server_of_a_project_prints_the_link_of_the_first(own_server):
    words = ["label", str(own_server.project), "--no-browser"]
    program = "from cryopick.cli import main; main()"
    again = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120
    )
    note = own_server.project / "server.json"
    note.unlink()  # as seen from another machine that shares the folder
    elsewhere = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120
    )

    assert again.returncode == 0
    assert f"{own_server.url}#t={own_server.token}" in again.stdout
    assert elsewhere.returncode == 1
    assert "another server has it open" in elsewhere.stderr
    assert "Traceback" not in elsewhere.stderr


def test_a_project_that_is_open_read_only_accepts_no_edit(
    own_server, tmp_path, make_page, start_server
):
    own_server.ask("POST", "ops", {"ops": [{"op": "add", "cid": "c", "id": "l", "mid": 1} | AT]})
    own_server.stop()
    looker = start_server(own_server.project, "--read-only", log=tmp_path / "look.log")
    user = make_page(looker).open().step("label").micrograph("mic_00")
    user.page.locator(".head", has_text="Read-only").wait_for()
    user.key("p").click(*PLACES[0]).key("Control+z").look_at(200, 200, 2)

    assert user.labels() == user.stored() == [(255.0, 300.0)]


def test_the_page_works_without_webgl(browser, chromium, server):
    flags = [*FLAGS, "--disable-3d-apis", "--disable-software-rasterizer"]
    plain = browser.browser_type.launch(executable_path=chromium, args=flags)
    try:
        user = Driver(plain.new_page(), server).open().step("label").micrograph("mic_05")
        has_webgl = user.page.evaluate("!!document.createElement('canvas').getContext('webgl2')")
        user.click(*PLACES[0]).saved()
        stored = user.stored("pos")
    finally:
        plain.close()

    assert not has_webgl
    assert len(stored) == 1


def test_the_token_leaves_the_address_bar(make_page, server):
    user = make_page().open()

    assert server.token not in user.page.url
    assert user.page.evaluate("document.cookie") == ""


def test_without_the_link_the_page_explains_what_to_do(make_page, server):
    make_page.expected.append("status of 401")
    user = make_page()
    user.page.goto(server.url)

    user.page.get_by_role("heading", name="Open the printed link").wait_for()


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on to `inside`, a port or a Unix socket, as Open OnDemand and ssh do."""

    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        length = int(self.headers.get("Content-Length", 0))
        line = http.client.HTTPConnection("127.0.0.1", timeout=60)
        line.sock = self.server.inside()
        line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            line.putheader(name, value)
        line.endheaders(self.rfile.read(length) if length else None)
        answer = line.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while part := answer.read1(65536):
                self.wfile.write(part)
        except OSError:
            pass  # the page has closed its event stream
        self.close_connection = True
        answer.close()
        line.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    """A proxy at a port of its own: set `inside` to what opens a connection to the server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as begun:
        begun.daemon_threads = True
        threading.Thread(target=begun.serve_forever, daemon=True).start()
        yield begun
        begun.shutdown()


def reach_through(proxy, server, prefix, make_page):
    """Open the page through the proxy."""
    link = f"http://127.0.0.1:{proxy.server_port}{prefix}/"
    outside = type("Outside", (), {"url": link, "token": server.token})()
    return make_page(outside).open().step("label").micrograph("mic_07")


def test_the_page_works_behind_a_prefix(tmp_path, studio, proxy, start_server, make_page):
    prefix = "/node/host/8000"
    base = f"http://127.0.0.1:{proxy.server_port}{prefix}"
    words = ["-m", str(studio), "--base-url", base]
    server = start_server(tmp_path / "p.cryopick", *words, log=tmp_path / "log", link=False)
    port = json.loads((server.project / "access.json").read_text())["port"]
    proxy.inside = lambda: socket.create_connection(("127.0.0.1", port))
    user = reach_through(proxy, server, prefix, make_page).click(*PLACES[0]).saved()

    assert len(user.stored("pos")) == 1
    assert [cookie["path"] for cookie in user.page.context.cookies()] == [f"{prefix}/"]


def test_the_page_works_over_a_socket_that_its_owner_alone_can_reach(
    tmp_path, studio, proxy, make_page
):
    file = tmp_path / "own" / "page"
    words = ["-m", str(studio), "--socket", str(file)]
    server = Server(tmp_path / "p.cryopick", *words, log=tmp_path / "log", link=False)

    def inside():
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(file))
        return line

    proxy.inside = inside
    try:
        modes = [oct(path.stat().st_mode & 0o777) for path in (file.parent, file)]
        user = reach_through(proxy, server, "", make_page).click(*PLACES[0]).saved()
        stored = user.stored("pos")
        user.page.context.close()
    finally:
        server.stop()

    assert modes == ["0o700", "0o600"]
    assert len(stored) == 1
    assert not file.exists()


def test_the_page_is_complete_in_an_installed_wheel(tmp_path, studio, start_server, make_page):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT],
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    place = {"PYTHONPATH": str(tmp_path / "installed"), "PATH": "/usr/bin:/bin"}
    where = "import cryopick; print(cryopick.__file__)"
    found = subprocess.check_output([sys.executable, "-c", where], env=place, text=True)
    assert Path(found).is_relative_to(tmp_path)
    server = start_server(tmp_path / "p", "-m", str(studio), log=tmp_path / "log", env=place)
    user = make_page(server).open().step("label").micrograph("mic_00").click(*PLACES[0]).saved()

    assert len(user.stored("pos")) == 1


def test_every_module_is_preloaded():
    page = (STATIC / "index.html").read_text()
    modules = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js")}

    assert set(re.findall(r'(?:href|src)="([^"]+\.js)"', page)) == modules


def test_nothing_in_the_page_names_another_host():
    for path in STATIC.rglob("*"):
        if path.suffix in {".js", ".css", ".html"} and path.parent.name != "vendor":
            hosts = set(re.findall(r"https?://[\w.-]+", path.read_text()))
            assert hosts <= {"http://www.w3.org", "http://127.0.0.1"}, path  # an example of a link


def test_vendored_files_match_their_checksums():
    sums = (STATIC / "vendor" / "SHA256SUMS").read_text().split()

    for digest, name in zip(sums[::2], sums[1::2], strict=True):
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.js")), ids=lambda path: path.name)
def test_modules_are_short(path):
    if path.parent.name != "vendor":
        assert len(path.read_text().splitlines()) < 350
