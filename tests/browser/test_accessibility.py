"""Axe finds no accessibility problem on any step, in any dialog and in error states."""

import json
import shutil
from importlib.resources import files

import pytest
from tests.browser.projects import add_run

from cryopick.web.project.project import AnnotationProject

MICROGRAPHS = 4
THEMES = ["light", "dark"]
STEPS = ["data", "label", "train", "inspect", "review", "export"]
CURVES = [
    {"event": "notice", "code": "contrast", "message": "bright particles were found"},
    *(
        {"event": "curve_point", "step": step, "loss": 1 / step, "is_partner": is_partner}
        for is_partner in (1, 0)
        for step in (5, 10)
    ),
]


@pytest.fixture(scope="module")
def axe():
    """The text of axe, a checker of accessibility."""
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def find_problems(user, axe):
    """Run axe over the debugging protocol, so that the page's own policy stays on."""
    session = user.page.context.new_cdp_session(user.page)
    session.send("Runtime.evaluate", {"expression": axe})
    answer = session.send(
        "Runtime.evaluate",
        {
            "expression": "axe.run().then((r) => r.violations.map((v) => "
            "`${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`))",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    session.detach()
    return answer["result"]["value"]


@pytest.fixture
def busy_server(tmp_path, studio, start_server):
    """A project with two runs, one of them with curves, a failed run, labels and a lost file."""
    folder = tmp_path / "m"
    folder.mkdir()
    for number in range(MICROGRAPHS):
        shutil.copy(studio / f"mic_{number:02d}.mrc", folder)
    project = AnnotationProject.open(tmp_path / "p.cryopick")
    project.micrographs.add([str(folder)])
    project.database.set_meta("diameter_ang", "100.0")
    add_run(project)
    run = add_run(project, shift=4.0)
    events = project.runs.folder(run) / "events.jsonl"
    events.write_text("\n".join(map(json.dumps, CURVES)))
    failed = project.runs.create("train", "Training", {"diameter_ang": 100.0})
    project.runs.change(failed, state="failed", message="the disk is full")
    project.close()
    (folder / f"mic_{MICROGRAPHS - 1:02d}.mrc").unlink()
    server = start_server(tmp_path / "p.cryopick", log=tmp_path / "log")
    added = [
        {"op": "add", "cid": kind, "id": kind, "mid": 1, "x": x, "y": 90, "kind": kind}
        for x, kind in ((60, "pos"), (160, "neg"), (260, "unsure"))
    ]
    server.ask("POST", "ops", {"ops": added})
    return server


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_no_problem_before_there_are_runs(make_page, axe, theme):
    user = make_page(color_scheme=theme).open()

    found = {step: find_problems(user.step(step).quiet(), axe) for step in STEPS}

    assert {step: problems for step, problems in found.items() if problems} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_no_problem_in_a_project_in_use(busy_server, make_page, axe, theme):
    make_page.expected.append("Failed to load resource")
    user = make_page(busy_server, color_scheme=theme).open()
    page = user.page

    def look(name):
        problems[name] = find_problems(user.quiet(), axe)

    problems = {}
    for step in STEPS:
        user.step(step)
        look(step)
    page.get_by_role("button", name="Export ", exact=False).last.click()
    page.locator("[data-test=written]").wait_for()
    look("exported")
    user.step("inspect").key("g")
    page.locator("#crop-0 .picture[style*=blob]").wait_for()
    user.key("Shift+ArrowRight")
    look("gallery")
    user.key("Escape").key("Escape").key("w")
    page.locator("#wall-0").wait_for()
    look("wall")
    user.key("Escape").key("?")
    look("help")
    user.key("Escape")
    page.get_by_role("button", name="Your name?").click()
    look("people")
    user.key("Escape").step("data")
    page.get_by_role("button", name="Import particles…").click()
    look("import")
    user.key("Escape")
    page.get_by_role("button", name="Browse…").click()
    look("folders")
    user.key("Escape").step("train")
    page.get_by_role("button", name="Delete").first.click()
    look("confirm")
    user.key("Escape").step("label")
    user.module("candidates.js", "(m) => m.begin('r1')")
    page.get_by_label("Candidate", exact=True).wait_for()
    look("candidate")
    user.key("Escape").micrograph(f"mic_{MICROGRAPHS - 1:02d}")
    page.locator(".over[role=alert]").wait_for()
    look("lost micrograph")

    assert {name: found for name, found in problems.items() if found} == {}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.usefixtures("lost_connection")
def test_axe_finds_no_problem_while_the_server_is_lost(own_server, make_page, axe, theme):
    user = make_page(own_server, color_scheme=theme).open().step("label").micrograph("mic_00")
    own_server.kill()
    user.click(100, 100)
    user.page.get_by_role("heading", name="The server does not respond").wait_for()

    assert find_problems(user, axe) == []
