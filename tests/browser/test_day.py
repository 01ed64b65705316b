"""A day with real micrographs: the straight path from opening them to the exported table.

The general model that ships finds the candidates; the expert labels of the data set answer for the
user. The micrographs are cropped, and the training is short, to save time.
"""

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from tests.browser.driver import SHORT_TRAINING

from cryopick.io.tables.pick_tables import read_picks

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[3] / "shared" / "data" / "empiar10017"
CORNER, SIDE = 800, 1400  # of the crops, in pixels
MICROGRAPHS = 5
PIXEL_SIZE_ANG, DIAMETER_ANG = 1.77, 190.0
MATCH_PX = 40.0
THEMES = ("light", "dark")
SIZES = ((1280, 720), (3840, 2160))
SHOTS = os.environ.get("CRYOPICK_SHOTS")  # a folder for screenshots of every step


def particles():
    """Return the positions (x, y) of the experts' picks on each crop."""
    by_name = {}
    for line in (DATA / "particles.tsv").read_text().splitlines()[1:]:
        name, x, y = line.split("\t")
        by_name.setdefault(name, []).append((float(x) - CORNER, float(y) - CORNER))
    return {name: np.array(places) for name, places in by_name.items()}


@pytest.fixture
def micrographs(tmp_path):
    """A folder of crops; like the files of the data set, they have no pixel size."""
    folder = tmp_path / "micrographs"
    folder.mkdir()
    corners = (CORNER, CORNER, CORNER + SIDE, CORNER + SIDE)
    for file in sorted((DATA / "micrographs").iterdir())[:MICROGRAPHS]:
        Image.open(file).crop(corners).save(folder / file.name, quality=95)
    return folder


@pytest.fixture
def day(tmp_path, start_server):
    """A server with an empty project."""
    return start_server(
        tmp_path / "day.cryopick", log=tmp_path / "log", change=SHORT_TRAINING.format(6)
    )


class StraightPath:
    """A user who presses the highlighted button, and nothing else."""

    def __init__(self, user):
        self.user, self.page = user, user.page
        self.guide = user.page.locator("[data-test=guide]")

    def expect(self, text, name=""):
        """Wait until the guiding strip says something."""
        self.guide.filter(has_text=text).wait_for()
        if SHOTS and name:
            self.shoot(name)

    def follow(self, text):
        """Press the one highlighted button, which must have this text."""
        button = self.page.locator("button.primary:visible")
        expect(button).to_have_count(1)
        expect(button).to_have_text(re.compile(text))
        button.click()

    def shoot(self, name):
        """Take screenshots in both themes and sizes."""
        for theme in THEMES:
            self.user.module("session.js", "(m, theme) => m.setTheme(theme)", theme)
            for width, height in SIZES:
                self.page.set_viewport_size({"width": width, "height": height})
                self.page.wait_for_timeout(1000)
                self.page.screenshot(path=Path(SHOTS) / f"{name}-{theme}-{width}.png")
        self.page.set_viewport_size({"width": 1280, "height": 720})
        self.page.wait_for_timeout(500)


@pytest.mark.skipif(not DATA.is_dir(), reason="the micrographs of EMPIAR-10017 are not there")
def test_the_straight_path_with_real_micrographs_and_the_general_model(day, make_page, micrographs):
    user = make_page(day, viewport={"width": 1280, "height": 720}).open()
    page, path = user.page, StraightPath(user)
    page.set_default_timeout(500_000)

    path.expect("Choose the micrographs", "01-add")
    page.locator("input[name=path]").fill(str(micrographs))
    path.follow("Add")
    path.expect("Enter or confirm the pixel size", "02-pixel-size")
    page.get_by_label("Pixel size, Å").fill(str(PIXEL_SIZE_ANG))
    page.get_by_label("Pixel size, Å").press("Tab")
    path.expect("How large is a particle", "03-size")
    page.get_by_role("button", name="Estimate the size").click()
    path.expect("Estimating the particle size", "04-estimating")
    path.expect("general model needs no labels", "05-estimated")
    estimate_ang = user.fetch("state")["diameter_ang"]
    assert DIAMETER_ANG / 1.4 < estimate_ang < DIAMETER_ANG * 1.4

    path.follow("See what the general model finds")
    page.get_by_label("Candidate", exact=True).wait_for()
    path.expect("Is the marked candidate a particle", "06-candidate")
    answers = answer_candidates(user, path)
    assert answers["y"] > answers["n"]  # most candidates of the general model are particles
    path.expect("That is enough for a first model", "07-enough")

    path.follow("Train a model")
    if SHOTS:
        path.shoot("08-train")
    path.follow("Start training")
    path.expect("You can continue labelling meanwhile", "09-training")
    path.expect("is finished", "10-trained")
    path.follow("Inspect this run")
    page.locator("[data-test=kept]").wait_for()
    path.expect("Good enough", "11-inspect")
    kept = int(page.locator("[data-test=kept]").inner_text().replace(",", ""))

    path.follow("Export particles")
    page.get_by_role("button", name=re.compile(r"^Export \d")).wait_for()
    if SHOTS:
        path.shoot("12-export")
    path.follow(r"Export \d")
    page.locator("[data-test=written]").wait_for()
    path.expect("Exported", "13-exported")
    exported = read_picks(day.project / "exports" / "particles.star")
    assert len(exported) == kept
    assert recall(exported) > 0.6

    page.goto("about:blank")
    day.stop()
    day.again()
    user.open()
    assert stored(user) == +Counter(pos=answers["y"], neg=answers["n"])


def answer_candidates(user, path):
    """Answer by the experts' picks until 25 candidates are accepted; return the answers."""
    truth, answers = particles(), Counter()
    while answers["y"] < 25:
        item = user.module("store.js", "(m) => m.candidate.value")
        assert item is not None, (answers, path.guide.inner_text())
        places = truth[Path(item["name"]).stem]
        is_particle = np.hypot(*(places - [item["x"], item["y"]]).T).min() < MATCH_PX
        key = "y" if is_particle else "n"
        answers[key] += 1
        user.key(key)
        user.until(
            """async (before) => {
                const m = await import(document.baseURI + 'js/store.js');
                const now = m.candidate.value;
                return now && (now.x !== before.x || now.y !== before.y);
            }""",
            item,
            timeout_s=120,  # the next micrograph may still be picked
        )
    user.key("Escape").saved()
    return answers


def recall(picks):
    """Return the share of the experts' particles that are among the picks."""
    found = total = 0
    truth = particles()
    for name, table in picks.split_by_micrograph():
        places = truth[Path(name).stem]
        places = places[((places > MATCH_PX) & (places < SIDE - MATCH_PX)).all(axis=1)]
        apart = np.hypot(*(places[:, None] - table.xy_px[None]).transpose(2, 0, 1))
        found += int((apart.min(axis=1) < MATCH_PX).sum())
        total += len(places)
    return found / total


def stored(user):
    """Count the labels of each kind on the server."""
    counts = Counter()
    for row in user.fetch("micrographs")["rows"]:
        counts.update(one["kind"] for one in user.fetch("labels", mid=row["id"])["labels"])
    return counts
