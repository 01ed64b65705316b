"""The main promises of the page in Debian's Firefox, on one project that all tests share."""

import urllib.error

import numpy as np
import pytest
from tests.browser.conftest import particles
from tests.browser.driver import Server
from tests.browser.firefox import firefox
from tests.browser.projects import PER_MICROGRAPH, add_run

from cryopick.io.tables.pick_tables import read_picks
from cryopick.web.project.project import AnnotationProject

__all__ = ["firefox"]  # a fixture

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>\n.mrc"
NAMES = ("mic_00.mrc", "mic_01.mrc", "mic_02.mrc", HOSTILE)
PARTICLE_COUNT = "return document.querySelector('[data-test=label-count]')?.textContent"


@pytest.fixture(scope="module")
def server(tmp_path_factory, studio):
    """A server on four micrographs, one with a hostile name, and the picks of one run."""
    folder = tmp_path_factory.mktemp("firefox-project")
    (folder / "m").mkdir()
    for number, name in enumerate(NAMES):
        (folder / "m" / name).symlink_to(studio / f"mic_{number:02d}.mrc")
    project = AnnotationProject.open(folder / "p.cryopick")
    project.micrographs.add([str(folder / "m" / name) for name in NAMES])
    project.database.set_meta("diameter_ang", "100.0")
    add_run(project)
    project.close()
    server = Server(folder / "p.cryopick", log=folder / "log")
    yield server
    server.stop()


@pytest.fixture
def page(firefox, server):
    return firefox.open(server)


def count_labels(server, kind):
    return sum(row[kind] for row in server.ask("GET", "micrographs")["rows"])


def test_a_click_while_the_server_is_gone_is_painted_and_saved_later(page, server):
    page.step("label").wait_for("[data-test=label-count]", "0 particles")
    page.wait_until("return performance.getEntriesByName('micrograph-painted').length > 0")
    server.kill()
    page.click(".stage").wait_for("[data-test=label-count]", "1 particle")
    page.wait_for(".saved", "Not saved: 1 edit")
    server.again()
    page.saved()

    [row] = [one for one in server.ask("GET", "micrographs")["rows"] if one["pos"]]
    [label] = server.ask("GET", f"labels?mid={row['id']}")["labels"]
    middle_px = [(row["width_px"] - 1) / 2, (row["height_px"] - 1) / 2]
    assert [label["x"], label["y"]] == pytest.approx(middle_px, abs=3)
    n_greys = page.script(
        "const c = document.querySelector('.stage canvas');"
        "const [x, y] = [c.width / 2 - 50, c.height / 2 - 50];"
        "const { data } = c.getContext('2d').getImageData(x, y, 99, 99);"
        "return new Set(data.filter((_, i) => i % 4 === 0)).size;"
    )
    assert n_greys > 20  # the micrograph is shown


def test_the_highlighted_button_leads_to_candidates_that_keys_answer(page, server):
    before = count_labels(server, "pos"), count_labels(server, "neg")
    page.step("label").wait_for("[data-test=guide]", "of 25 particles")
    page.click("button.primary", "Accept or reject candidates")
    page.wait_for("section[aria-label=Candidate] h2", "Candidate 1 of")
    page.key("y").wait_for("section[aria-label=Candidate] h2", "Candidate 2 of")
    page.key("n").wait_for("section[aria-label=Candidate] h2", "Candidate 3 of")
    n_highlighted = page.script(
        "return [...document.querySelectorAll('button.primary')]"
        ".filter((one) => one.getClientRects().length).length"
    )
    page.key("Escape").saved()
    after = count_labels(server, "pos"), count_labels(server, "neg")

    assert np.subtract(after, before).tolist() == [1, 1]
    assert n_highlighted == 1


def test_a_selection_in_the_gallery_is_rejected_and_undone(page, server):
    before = count_labels(server, "neg")
    page.step("inspect").wait_for("[data-test=kept]")
    page.key("g").wait_for("#crop-0 .picture[style*=blob]")
    page.click("#crop-0").key("n").saved()
    rejected = count_labels(server, "neg")
    page.key("Control", "z").saved()
    undone = count_labels(server, "neg")
    page.key("Escape").key("w").wait_for(".wall-threshold")
    page.wait_until("return performance.getEntriesByName('wall').length > 0")
    page.key("Escape")

    assert (rejected, undone) == (before + 1, before)


def test_a_typed_threshold_stays_as_typed_and_gives_the_count_of_the_server(page, server):
    page.step("inspect").wait_for("[data-test=kept]")
    page.type("input[aria-label='Threshold, score']", "2.5")
    page.wait_until(
        "const box = document.querySelector(\"input[aria-label='Threshold, score']\");"
        "return box !== document.activeElement && box.value === '2.5';"
    )
    page.step("export").wait_for("[data-test=export-count]")
    body = {"what": "picks", "run": "r1", "formats": [".star"], "name": "p", "dry_run": True}
    summary = server.ask("POST", "exports", body)
    page.wait_for("[data-test=export-count]", str(summary["n"]))

    assert 0 < summary["n"] < len(NAMES) * PER_MICROGRAPH


def test_an_improbable_pixel_size_asks_and_one_to_one_is_a_key(page, server):
    page.step("data").type("input[placeholder=unknown]", "17.7")
    page.wait_for("[role=alert]", "the files state").click("button", "Keep the old value")
    page.step("label").wait_for(".stage canvas")
    page.key("1").wait_for(".foot", "100 %")
    page.key("0")

    assert server.ask("GET", "state")["pixel_size_ang"] == 4.0


def test_several_files_are_imported_with_a_preview_and_exported_again(page, server, tmp_path):
    paths = [tmp_path / f"mic_{number:02d}.box" for number in range(2)]
    for number, path in enumerate(paths):
        rows = [f"{x - 10:.2f}\t{y - 10:.2f}\t20\t20" for x, y in particles(number)[1]]
        path.write_text("\n".join(rows) + "\n")
    page.step("data").click("button", "Import particles").wait_for("dialog")
    page.choose_files("dialog input[type=file]", paths)
    page.wait_for("[data-test=import-preview]", "24 positions")
    page.click("dialog footer .primary").wait_for(".toast", "particles imported")
    page.step("export").click("label", "Only the particles labelled by hand")
    page.click("button.primary, button", "Export 4").wait_for("[data-test=download]", "Download")

    page.step("data").step("export").wait_for("[data-test=exists]", "Choose another file name")

    n_labels = count_labels(server, "pos")
    assert n_labels > PER_MICROGRAPH
    assert len(read_picks(server.project / "exports" / "particles.star")) == n_labels


def test_labels_carry_the_name_that_was_entered(page, server):
    page.click("header.head button", "name?").type("input[name=name]", "Ada")
    page.click("dialog button.primary", "Save").wait_for("dialog td", "Ada")
    page.key("Escape").wait_for("header.head button", "Ada")

    people = server.ask("GET", "people")["people"]
    assert [one["name"] for one in people if one["pos"]].count("Ada") == 1


def test_a_hostile_name_is_shown_as_text_and_labels_outside_are_refused(page, server):
    page.wait_for(".list .row", "onerror=alert(1)")
    [row] = [one for one in server.ask("GET", "micrographs")["rows"] if "onerror" in one["name"]]
    outside = {"op": "add", "cid": "o", "id": "o", "mid": row["id"], "x": 9999, "y": 5}
    with pytest.raises(urllib.error.HTTPError, match=r"HTTP Error 4"):
        server.ask("POST", "ops", {"ops": [outside]})

    assert page.script("return document.querySelectorAll('img[src=x]').length") == 0
    assert "\n" not in row["name"]
