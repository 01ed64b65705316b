"""A complete session with real micrographs, from the first label to the exported table."""

import re
from collections import Counter
from pathlib import Path

import pytest
from tests.browser.driver import Server

from cryopick.io.tables.pick_tables import read_picks

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[3] / "shared" / "data" / "empiar10017"


MICROGRAPHS = 4  # of them all, to save time: those with the most labels


def labels():
    """Some of the 25 labels, by micrograph."""
    by_name = {}
    for line in (DATA / "labels_25.tsv").read_text().splitlines()[1:]:
        name, x, y = line.split("\t")
        by_name.setdefault(name, []).append((float(x), float(y)))
    most = sorted(by_name, key=lambda name: (-len(by_name[name]), name))[:MICROGRAPHS]
    return {name: by_name[name] for name in most}


@pytest.fixture
def micrographs(tmp_path):
    """A folder of these micrographs."""
    folder = tmp_path / "micrographs"
    folder.mkdir()
    for name in labels():
        [file] = (DATA / "micrographs").glob(f"{Path(name).stem}.*")
        (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture
def day(tmp_path, chromium):
    """A server with an empty project; it outlives the page."""
    server = Server(tmp_path / "day.cryopick", log=tmp_path / "log")
    yield server
    server.stop()


@pytest.mark.skipif(not DATA.is_dir(), reason="the micrographs of EMPIAR-10017 are not there")
def test_a_complete_session_with_real_micrographs(day, make_page, micrographs):
    clicked = sum(map(len, labels().values()))
    user = make_page(day).open()
    page = user.page
    page.set_default_timeout(60_000)
    page.locator("input[name=path]").fill(str(micrographs))
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Pixel size, Å").fill("1.77")
    page.get_by_label("Pixel size, Å").press("Tab")
    page.get_by_label("Particle diameter, Å").fill("180")
    page.get_by_label("Particle diameter, Å").press("Tab")

    user.step("label")
    for name, places in labels().items():
        user.micrograph(name)
        for place in places:
            user.click(*place)
    user.saved()
    assert stored(user) == {"pos": clicked}

    train(user)
    page.get_by_role("button", name="Inspect the picks").click()
    page.locator("[data-test=kept]").wait_for()
    assert 400 < int(page.locator("[data-test=kept]").inner_text().replace(",", "")) < 20_000

    user.step("review")
    page.get_by_label("Review a pick").wait_for()
    for answer in "ynyyn":
        user.key(answer)
    user.saved()
    train(user)

    user.step("inspect")
    page.get_by_label("Threshold, score").fill("0.5")
    page.get_by_label("Threshold, score").press("Tab")
    user.step("export")
    page.get_by_role("button", name=re.compile(r"^Export \d")).click()
    page.locator("[data-test=written]").wait_for()
    exported = int(page.locator("[data-test=export-count]").inner_text().replace(",", ""))
    assert len(read_picks(day.project / "exports" / "particles.star")) == exported

    page.goto("about:blank")
    day.stop()
    day.again()
    user.open()
    assert stored(user) == {"pos": clicked + 3, "neg": 2}
    user.step("inspect")
    assert float(page.get_by_label("Threshold, score").input_value()) == pytest.approx(
        0.5, abs=0.01
    )


def stored(user):
    """Count the labels of each kind on the server."""
    found = Counter()
    for row in user.fetch("micrographs")["rows"]:
        found.update(one["kind"] for one in user.fetch("labels", mid=row["id"])["labels"])
    return found


def train(user):
    """Press Start, and wait until all micrographs are picked."""
    page = user.page
    done = len([run for run in user.fetch("state")["runs"] if run["state"] == "done"])
    user.step("train")
    page.get_by_label("Duration").select_option("quick")
    page.get_by_label("Particles per micrograph").fill("400")
    page.get_by_role("button", name="Start training").click()
    page.locator("td .badge.good").nth(done).wait_for(timeout=500_000)
