"""A real Chromium for the tests of the labelling page.

Skipped where there is none; with REQUIRE_BROWSER=1 in the environment that is a failure.
"""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "src" / "cryopick" / "web" / "static"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chromium():
    """Where Debian's Chromium is."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail("a browser is required (REQUIRE_BROWSER=1) and chromium is not there")
        pytest.skip("chromium is not installed")
    return program


@pytest.fixture(scope="session")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


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
