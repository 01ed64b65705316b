"""A day without a pointer: from the micrographs to the export, with keys alone.

What computes picks is tested elsewhere, and takes long: here both runs take them from a table.
"""

import numpy as np
import pytest
from tests.browser.conftest import DIAMETER_ANG, PIXEL_ANG, particles
from tests.browser.driver import GIVEN_PICKS
from tests.browser.keyboard import Keyboard, review_picks, use_gallery_and_wall

from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate

MICROGRAPHS = 4


@pytest.fixture
def micrographs(tmp_path, studio):
    """A folder with a few micrographs."""
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(MICROGRAPHS):
        (folder / f"mic_{number:02d}.mrc").symlink_to(studio / f"mic_{number:02d}.mrc")
    return folder


@pytest.fixture
def day(tmp_path, micrographs, start_server):
    """A server with an empty project, in which all runs find the particles."""
    tables = [
        Picks.for_micrograph(str(path.resolve()), particles(number)[1], np.linspace(6, 2, 24))
        for number, path in enumerate(sorted(micrographs.iterdir()))
    ]
    table = tmp_path / "picks.json"
    write_picks(concatenate(tables), table)
    change = GIVEN_PICKS.format(str(table))
    return start_server(tmp_path / "day.cryopick", log=tmp_path / "log", change=change)


def script(page):
    """Return a function that runs the body of another one in a page of Playwright."""
    return lambda body, *given: page.evaluate(
        f"(given) => (function () {{ {body} }})(...given)", list(given)
    )


def test_a_day_with_keys_alone(day, make_page, micrographs):
    user = make_page(day, viewport={"width": 1280, "height": 720}).open()
    keys = Keyboard(user.key, script(user.page))

    keys.focus("input[name=path]")
    user.page.keyboard.type(str(micrographs))
    keys.press("Enter")
    keys.wait_for(".guide", "How large is a particle").use("button.primary", "Measure a particle")
    measure_a_particle(keys)
    keys.press("Escape")

    keys.use("button.primary", "See what the general model finds")
    accepted = accept_candidates(keys)
    keys.use("button.primary", "Train a model")
    keys.use("button.primary", "Start training")
    keys.use("button.primary", "Inspect this run")
    keys.wait_for("[data-test=kept]")
    use_gallery_and_wall(keys)
    review_picks(keys)

    keys.use("button.primary", "Export particles")
    keys.use("button.primary:enabled", "Export ")
    keys.wait_for("[data-test=written]").focus("a[data-test=download]", "Download")
    exported = read_picks(day.project / "exports" / "particles.star")

    assert accepted >= 25
    assert user.fetch("state")["diameter_ang"] == pytest.approx(DIAMETER_ANG, rel=0.02)
    assert len(exported) == int(
        user.page.locator("[data-test=export-count]").inner_text().replace(",", "")
    )


def measure_a_particle(keys):
    """Draw a line of the particle diameter with arrows and Enter."""
    keys.wait_for(".over", "Draw a line across a particle").focus(".stage")
    keys.press("Enter")
    for _ in range(round(DIAMETER_ANG / PIXEL_ANG)):
        keys.press("Shift+ArrowRight")
    keys.press("Enter")
    keys.wait_for(".over", f"{DIAMETER_ANG:.0f} Å")


CANDIDATE = "document.querySelector('section[aria-label=Candidate]')?.textContent ?? ''"
IS_ENOUGH = "document.querySelector('[data-test=guide]').textContent.includes('That is enough')"


def accept_candidates(keys):
    """Reject one candidate, undo that, and accept candidates until there are enough; count them."""
    heading = "section[aria-label=Candidate] h2"
    keys.wait_for(heading, "Candidate 1 of").press("n")
    keys.wait_for(heading, "Candidate 2 of").keys("Control+z")
    n_accepted = 0
    while not keys.script(f"return {IS_ENOUGH}"):
        candidate = keys.script(f"return {CANDIDATE}")
        keys.press("y")
        n_accepted += 1
        keys.wait_until(
            f"const now = {CANDIDATE}; return {IS_ENOUGH} || (now && now !== arguments[0]);",
            candidate,
        )
    return n_accepted
