"""The straight path: the next step is always the one highlighted button."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from tests.browser.conftest import DIAMETER_ANG, PIXEL_ANG, particles

from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks, concatenate
from cryopick.web.project.project import AnnotationProject

SHOTS = os.environ.get("CRYOPICK_SHOTS")


@pytest.fixture
def four(tmp_path, studio):
    """A folder with four micrographs."""
    folder = tmp_path / "four"
    folder.mkdir()
    for number in range(4):
        (folder / f"mic_{number:02d}.mrc").symlink_to(studio / f"mic_{number:02d}.mrc")
    return folder


@pytest.fixture
def empty(tmp_path, start_server):
    """A server on an empty project."""
    return start_server(tmp_path / "path.cryopick", log=tmp_path / "log")


def shoot(user, name):
    if SHOTS:
        user.page.screenshot(path=Path(SHOTS) / f"{name}.png")


def highlighted(user):
    """Return the text of the one highlighted button."""
    button = user.page.locator("button.primary:visible")
    expect(button).to_have_count(1)
    return button.inner_text()


def follow(user):
    """Press the highlighted button."""
    highlighted(user)
    user.page.locator("button.primary:visible").click()


def test_the_highlighted_button_leads_from_micrographs_to_labels(empty, four, make_page):
    user = make_page(empty, viewport={"width": 1280, "height": 720})
    user.page.set_default_timeout(90_000)  # training and picking share the processor
    page, said = user.page, user.page.locator("[data-test=guide]")
    user.open()
    said.filter(has_text="Choose the micrographs").wait_for()
    shoot(user, "1-add")
    page.locator("input[name=path]").fill(str(four))
    follow(user)
    said.filter(has_text="How large is a particle").wait_for()
    shoot(user, "2-size")
    follow(user)
    said.filter(has_text="Draw a line across a particle").wait_for()
    page.locator(".foot", has_text="mic_00").wait_for()
    (x, y), radius_px = particles(0)[1][0], DIAMETER_ANG / PIXEL_ANG / 2
    user.drag((x - radius_px, y), (x + radius_px, y))
    said.filter(has_text="general model needs no labels").wait_for()
    user.key("Escape")
    shoot(user, "3-general")

    assert highlighted(user) == "See what the general model finds"


def create_project(folder, four):
    """Create a project with a run; return it, the run, and a table of picks per micrograph."""
    project = AnnotationProject.open(folder)
    project.micrographs.add([str(four)])
    project.database.set_meta("diameter_ang", str(DIAMETER_ANG))
    run = project.runs.create("pick", "General model", {"diameter_ang": DIAMETER_ANG})
    tables = [
        Picks.for_micrograph(str(path), particles(number)[1], np.linspace(6, 2, 24))
        for number, path in enumerate(project.micrographs.usable().values())
    ]
    return project, run, tables


EVENTS = [
    {"event": "notice", "code": "contrast", "message": "bright particles were found"},
    *(
        {"event": "curve_point", "step": step, "loss": loss, "is_partner": is_partner}
        for step, loss, is_partner in [(5, 0.9, 1), (10, 0.7, 1), (5, 0.8, 0), (10, 0.5, 0)]
    ),
]


@pytest.fixture
def picked(tmp_path, four, start_server):
    """A server on a project in which a run has picked the particles of four micrographs."""
    project, run, tables = create_project(tmp_path / "picked.cryopick", four)
    write_picks(concatenate(tables), project.runs.folder(run) / "picks.json")
    (project.runs.folder(run) / "events.jsonl").write_text("\n".join(map(json.dumps, EVENTS)))
    project.runs.take_picks(run)
    project.runs.change(run, state="done")
    project.close()
    return start_server(tmp_path / "picked.cryopick", log=tmp_path / "log")


def test_candidates_are_accepted_and_rejected_by_key_until_there_are_enough(picked, make_page):
    user = make_page(picked, viewport={"width": 1280, "height": 720})
    user.page.set_default_timeout(90_000)
    user.open().step("label")
    page, said = user.page, user.page.locator("[data-test=guide]")
    said.filter(has_text="0 of 25 particles").wait_for()
    assert highlighted(user) == "Accept or reject candidates"
    follow(user)
    candidate = page.get_by_label("Candidate", exact=True)
    candidate.wait_for()
    shoot(user, "4-candidates")
    assert highlighted(user).endswith("Particle")
    zoom = user.module("store.js", "(m) => m.zoom.value")
    assert zoom * DIAMETER_ANG / PIXEL_ANG >= 60  # large enough to recognize a particle
    for key in "yyn":
        before = candidate.get_by_role("heading").inner_text()
        user.key(key)
        user.until(
            "before => document.querySelector('[aria-label=Candidate] h2')?.innerText !== before",
            before,
        )
    user.saved()
    said.filter(has_text="2 of 25 particles").wait_for()
    user.key("Control+z").saved()
    said.filter(has_text="2 of 25 particles").wait_for()
    user.key("Control+z").saved()
    said.filter(has_text="1 of 25 particles").wait_for()
    user.key("Escape").key("0")  # the whole micrograph again

    for number in range(3):
        user.micrograph(f"mic_{number:02d}")
        for place in particles(number)[1][:9]:
            user.click(*place)
    user.saved()
    said.filter(has_text="on 3 of 4 micrographs").wait_for()
    shoot(user, "5-train")
    assert highlighted(user) == "Train a model"
    follow(user)
    page.get_by_role("button", name="Start training").wait_for()
    assert highlighted(user) == "Start training"
    shoot(user, "6-train-page")
    assert page.get_by_label("Particles per micrograph").input_value() == ""
    progress = page.get_by_label("Progress", exact=True)
    expect(progress).to_contain_text("Bright particles were found.")
    expect(progress.locator(".chart")).to_have_attribute(
        "aria-label", "Loss: First network 0.700, Second network 0.500"
    )
    expect(progress.locator(".chart circle")).to_have_count(4)


@pytest.fixture
def process():
    """A process that stands for a run in progress until it is killed."""
    sleeper = subprocess.Popen(["sleep", "300"])
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def test_further_candidates_follow_when_other_micrographs_are_picked(
    tmp_path, four, process, make_page, start_server
):
    project, run, tables = create_project(tmp_path / "picking.cryopick", four)
    folder = project.runs.folder(run)
    write_picks(tables[0], folder / "picks.json")
    write_picks(concatenate(tables), folder / "all.json")
    (folder / "plan.json").write_text(json.dumps({"commands": [["pick"]], "on_stop": []}))
    (folder / "status.json").write_text(json.dumps({"state": "done", "status": 0}))
    stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    pid = {"pid": process.pid, "pid_started": float(stat[19])}
    project.runs.change(run, state="running", started=1.0, **pid)
    project.close()
    server = start_server(tmp_path / "picking.cryopick", log=tmp_path / "log")
    user = make_page(server)
    # A page that sees the first picks arrive would show candidates by itself.
    user.wait_for(lambda: server.ask("GET", "state")["runs"][0]["has_picks"], bool)
    user.open().step("label")
    said = user.page.locator("[data-test=guide]")
    user.module("candidates.js", "(m, run) => m.begin(run)", run)
    candidate = user.page.get_by_label("Candidate", exact=True)
    for number in range(1, 7):  # as many as are listed of one micrograph
        candidate.get_by_role("heading", name=f"Candidate {number} of 6").wait_for()
        user.key("y")
    said.filter(has_text="The next candidates follow").wait_for()
    user.step("train")
    user.page.locator("[data-test=time-left]", has_text="left").wait_for()
    user.step("export")
    user.page.locator("[data-test=still-running]").wait_for()
    user.step("label")
    (folder / "all.json").rename(folder / "picks.json")
    process.kill()
    process.wait()
    candidate.get_by_role("heading", name="Candidate 1 of").wait_for()

    assert user.module("store.js", "(m) => m.candidate.value.mid") == 2
