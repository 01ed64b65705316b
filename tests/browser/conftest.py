"""Micrographs, servers and pages for the tests of the labelling page in a real Chromium."""

import functools
import http.server
import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from tests.browser.driver import TIMEOUT_S, Driver, Server

from cryopick.io.images.mrc import write_mrc

PIXEL_ANG, DIAMETER_ANG = 4.0, 100.0
STATIC = Path(__file__).parents[2] / "src" / "cryopick" / "web" / "static"
expect.set_options(timeout=1000 * TIMEOUT_S)


def particles(seed, side=512, count=24):
    """A micrograph of dark discs on noise, and their centres (x, y)."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(4)), -1).reshape(-1, 2)[:count]
    xy = grid * [80, 115] + 50 + rng.uniform(-12, 12, (count, 2))
    y, x = np.mgrid[:side, :side]
    image = rng.normal(100, 12, (side, side))
    for cx, cy in xy:
        image -= 22 * (np.hypot(x - cx, y - cy) < DIAMETER_ANG / PIXEL_ANG / 2)
    return image.astype(np.float32), xy


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def files():
    """The page's own files on a port, without the server behind them."""
    handler = functools.partial(_Quiet, directory=STATIC)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A folder with small micrographs of discs, `mic_00.mrc` and so on."""
    folder = tmp_path_factory.mktemp("studio") / "micrographs"
    folder.mkdir()
    for number in range(24):
        image, _ = particles(number)
        path = folder / f"mic_{number:02d}.mrc"
        write_mrc(path, image, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, studio, chromium):
    """A labelling server, shared by the tests of a file, on a project with the `studio`."""
    folder = tmp_path_factory.mktemp("label")
    begun = Server(folder / "proj.cryopick", "-m", str(studio), log=folder / "server.log")
    yield begun
    begun.stop()


@pytest.fixture
def start_server(chromium):
    """Start servers of the test's own; they end after its pages, which would miss them."""
    begun = []

    def start(*words, **settings):
        begun.append(Server(*words, **settings))
        return begun[-1]

    yield start
    for server in begun:
        server.stop()


@pytest.fixture
def own_server(tmp_path, studio, start_server):
    """A server of the test's own, to be killed and started again."""
    return start_server(tmp_path / "proj.cryopick", "-m", str(studio), log=tmp_path / "server.log")


def describe(message):
    """Name the address that a message of the browser is about."""
    return f"{message.text} ({message.location.get('url')})"


@pytest.fixture
def make_page(browser, request, start_server):  # servers of the test end after its pages
    """Pages that must ask nobody but their server, and must not complain.

    A test that provokes messages names parts of them in `make_page.expected`. They are compared
    when the pages are closed, as browsers may report them later than what a test waits for.
    """
    contexts, elsewhere, complaints, expected = [], [], [], []

    def make(where=None, **settings):
        where = where or request.getfixturevalue("server")
        settings = {"viewport": {"width": 1400, "height": 860}, "color_scheme": "dark"} | settings
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * TIMEOUT_S)
        home = (where.url, "blob:", "data:")
        page.on("request", lambda r: r.url.startswith(home) or elsewhere.append(r.url))
        page.on("console", lambda m: m.type == "error" and complaints.append(describe(m)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return Driver(page, where)

    make.expected = expected
    yield make
    for context in contexts:
        context.close()
    assert not elsewhere
    assert not [text for text in complaints if not any(part in text for part in expected)]


@pytest.fixture
def lost_connection(make_page):
    """Expect the messages of a connection that is lost, and of a link that has changed."""
    make_page.expected += ["net::ERR_", "status of 401"]


_next = itertools.count()


@pytest.fixture
def fresh():
    """The name of a micrograph that no other test of this file has touched."""
    return f"mic_{next(_next) % 24:02d}"


@pytest.fixture
def user(make_page, fresh):
    """A user whose page is open at a micrograph nobody has touched, in the step Label."""
    return make_page().open().step("label").micrograph(fresh)
