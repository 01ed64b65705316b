"""Settings and fixtures of all tests.

Generated inputs are the same in every run, so that the result of the checks is reproducible;
`HYPOTHESIS_PROFILE=explore scripts/check` tries new ones.
"""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

BROWSER_TESTS = "tests/browser/"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Run the tests of the page in two processes, beside the files that others take one by one.

    A process with a browser waits most of the time, so that the others use its share.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class PageInHalves(LoadFileScheduling):
        def _split_scope(self, nodeid):
            if not nodeid.startswith(BROWSER_TESTS):
                return super()._split_scope(nodeid)
            half = "first" if nodeid < f"{BROWSER_TESTS}test_k" else "second"
            return f"{BROWSER_TESTS}{half}"

    return PageInHalves(config, log)


@pytest.fixture
def run_words(monkeypatch, tmp_path):
    """Run a cryopick command line in an empty folder, and check its exit status."""
    from typer.testing import CliRunner

    from cryopick.cli import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRYOPICK_DEBUG", raising=False)

    def run(line, status=0):
        result = CliRunner().invoke(app, line.split())
        assert result.exit_code == status, result.output
        return result

    return run


@pytest.fixture
def run_with_model(run_words):
    """Run commands in a folder with five micrographs in mics/ and a model, m.safetensors."""
    from tests import tiny

    Path("mics").mkdir()
    tiny.micrographs("mics", 5)
    tiny.model("m.safetensors")
    return run_words


@pytest.fixture(scope="session")
def chromium():
    """Find Debian's Chromium; with REQUIRE_BROWSER=1 in the environment it must be there."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail("a browser is required (REQUIRE_BROWSER=1) and chromium is not there")
        pytest.skip("chromium is not installed")
    return program


@pytest.fixture(scope="session")
def browser(chromium):
    """Start Chromium once for all tests of a process, as Playwright can run only once in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()
