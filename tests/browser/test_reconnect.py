"""Nothing is lost when the server ends, and large changes can be undone."""

import subprocess
import sys

import numpy as np
import pytest
from tests.browser.test_resilience import PLACES

from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks
from cryopick.web.project.project import AnnotationProject


@pytest.mark.usefixtures("lost_connection")
def test_edits_that_wait_arrive_when_the_server_is_started_again(own_server, make_page):
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    for place in PLACES[:3]:
        user.click(*place)
    user.saved()
    link = own_server.url, own_server.token
    own_server.kill()
    for x, y in PLACES[:3]:
        user.click(x, y + 60)
    user.page.get_by_role("heading", name="The server does not respond").wait_for()

    own_server.log.write_text("")
    own_server.start()  # at the port that the project had, and with the same link
    user.saved()

    assert (own_server.url, own_server.token) == link
    assert len(user.stored("pos")) == 6
    assert not user.page.get_by_label("Connection").is_visible()


@pytest.mark.usefixtures("lost_connection")
def test_a_page_whose_link_has_changed_takes_the_new_one(own_server, make_page):
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    own_server.kill()
    (own_server.project / "access.json").unlink()
    user.click(*PLACES[0])
    own_server.again()
    user.page.get_by_role("heading", name="The server is back").wait_for()

    user.page.get_by_label("Link of the server").fill(f"{own_server.url}#t={own_server.token}")
    user.page.get_by_role("button", name="Continue").click()
    user.saved()

    assert len(user.stored("pos")) == 1
    user.page.get_by_label("Connection").wait_for(state="hidden")


@pytest.mark.usefixtures("lost_connection")
def test_edits_of_a_closed_tab_are_sent_from_another_one(own_server, make_page):
    user = make_page(own_server).open().step("label").micrograph("mic_00")
    own_server.kill()
    user.click(*PLACES[0])
    other = user.page.context.new_page()
    user.page.close()
    own_server.again()
    user.page = other
    user.open().saved().micrograph("mic_00")

    assert len(user.stored("pos")) == 1


@pytest.mark.usefixtures("lost_connection")
def test_verdicts_of_a_closed_tab_are_sent_from_another_one(own_server, make_page):
    own_server.stop()
    project = AnnotationProject.open(own_server.project)
    run = project.runs.create("pick", "General model", {"diameter_ang": 100})
    name, place = str(project.micrographs.path(1)), np.array([[9.0, 9.0]])
    picks = Picks.for_micrograph(name, place, np.array([3.0]))
    write_picks(picks, project.runs.folder(run) / "picks.json")
    project.runs.take_picks(run)
    project.runs.change(run, state="done")
    project.close()
    own_server.again()
    user = make_page(own_server).open()
    own_server.kill()
    user.module(
        "unsaved_verdicts.js",
        "(m, run) => m.sendVerdict({run, pick: 0, answer: 'yes', sample: 'uncertain'})",
        run,
    )
    other = user.page.context.new_page()
    user.page.close()
    own_server.again()
    user.page = other
    user.open()

    assert (
        user.wait_for_value(lambda: own_server.ask("GET", f"review?run={run}")["items"], []) == []
    )


def test_read_only_beside_a_running_server_gives_a_link_that_allows_no_change(
    own_server, make_page
):
    words = ["label", str(own_server.project), "--no-browser", "--read-only"]
    program = "from cryopick.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120
    )
    assert own_server.token not in answer.stdout
    viewer = make_page(own_server)
    viewer.page.goto(answer.stdout.split()[-1])
    viewer.ready().step("label").micrograph("mic_00").click(*PLACES[0])

    viewer.page.locator(".head", has_text="Read-only").wait_for()
    assert viewer.labels() == viewer.stored() == []


def test_an_import_is_undone_as_one_step(own_server, make_page, tmp_path):
    table = tmp_path / "many.tsv"
    rows = "".join(f"mic_00\t{x}\t{y}\n" for x in range(20, 500, 8) for y in range(20, 500, 8))
    table.write_text(f"image_name\tx_coord\ty_coord\n{rows}")
    user = make_page(own_server).open().micrograph("mic_00").step("data")
    page = user.page
    page.get_by_role("button", name="Import particles…").click()
    page.get_by_label("Files on this computer").set_input_files(table)
    page.get_by_role("button", name="Import 3,600 particles").click()
    page.get_by_label("Imports").get_by_text("3,600").wait_for()
    user.key("Control+z").saved()
    page.get_by_role("button", name="Restore 3,600").click()
    user.saved()
    page.get_by_label("Imports").get_by_role("button", name="Remove").click()
    user.saved().step("label")
    page.locator("[data-test=label-count]", has_text="0 particles").wait_for()
    assert user.stored() == []


def test_a_deleted_run_is_restored(own_server, make_page):
    own_server.stop()
    project = AnnotationProject.open(own_server.project)
    run = project.runs.create("pick", "General model", {"diameter_ang": 100})
    project.runs.change(run, state="stopped")
    project.close()
    own_server.again()
    user = make_page(own_server).open().step("train")
    page = user.page

    page.get_by_role("button", name="Delete General model").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("1 deleted run").wait_for()
    page.get_by_role("button", name="Undo", exact=True).last.click()
    page.get_by_role("button", name="Delete General model").wait_for()
    assert [one["id"] for one in user.fetch("runs")["runs"]] == [run]
