"""The gallery and the wall show the whole data set, and lead to a micrograph and back."""

import numpy as np
import pytest
from tests.browser.conftest import particles
from tests.browser.driver import Server
from tests.browser.projects import PER_MICROGRAPH, add_run

from cryopick.web.project.project import AnnotationProject

MICROGRAPHS = 6


@pytest.fixture(scope="module")
def server(tmp_path_factory, studio, chromium):
    folder = tmp_path_factory.mktemp("gallery")
    project = AnnotationProject.open(folder / "p.cryopick")
    project.micrographs.add([str(studio / f"mic_{n:02d}.mrc") for n in range(MICROGRAPHS)])
    project.database.set_meta("diameter_ang", "100.0")
    add_run(project)
    add_run(project, shift=4.0)
    project.close()
    begun = Server(folder / "p.cryopick", log=folder / "log")
    yield begun
    begun.stop()


@pytest.fixture
def user(make_page):
    user = make_page().open().step("inspect")
    user.page.locator("[data-test=kept]").wait_for()
    return user


def open_gallery(user, show="all"):
    user.key("g")
    user.page.get_by_label("Show", exact=True).last.select_option(show)
    box = user.page.get_by_label("only at or above")
    box.uncheck()
    wait_for_total(user, MICROGRAPHS * PER_MICROGRAPH)
    user.page.locator("#crop-0 .picture[style*=blob]").wait_for()
    return user


def wait_for_total(user, total):
    user.until(
        "(n) => document.querySelector('[data-test=gallery-total]').textContent"
        ".startsWith(`${n} crop`)",
        total,
    )


def scores(user, count=3):
    return [float(user.page.locator(f"#crop-{i} span").inner_text()) for i in range(count)]


def selected(user):
    return user.module("gallery_items.js", "(m) => [...m.selection.value].sort((a, b) => a - b)")


def judged(user):
    rows = user.fetch("micrographs")["rows"]
    return sum(row["pos"] for row in rows), sum(row["neg"] for row in rows)


def test_crops_are_sorted_by_score_both_ways_and_by_disagreement(user):
    open_gallery(user)
    down = scores(user)
    order = user.page.get_by_label("Order of the crops")
    order.select_option("score-asc")
    user.until("() => Number(document.querySelector('#crop-0 span').textContent) < 0")
    up = scores(user)
    order.select_option("disagreement")
    user.page.locator("#crop-0 span", has_text="/").wait_for()
    first = user.page.locator("#crop-0 span").inner_text().split(" / ")

    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert abs(float(first[0]) - float(first[1])) == pytest.approx(4.0, abs=0.02)
    user.module("picks.js", "(m) => m.setThreshold(3, false)")
    order.select_option("threshold")
    user.until(
        "() => Math.abs(Number(document.querySelector('#crop-0 span').textContent) - 3) < 0.1"
    )
    user.module("picks.js", "(m) => m.setThreshold(0, true)")


def test_crops_are_selected_with_shift_keys_and_by_dragging(user):
    open_gallery(user)
    user.page.locator("#crop-2").click()
    user.page.locator("#crop-5").click(modifiers=["Shift"])
    with_shift = selected(user)
    user.page.locator("#crop-0").click()
    user.key("Shift+ArrowRight").key("Shift+ArrowRight")
    with_keys = selected(user)
    first, last = (user.page.locator(f"#crop-{i}").bounding_box() for i in (1, 3))
    user.page.mouse.move(first["x"] + 20, first["y"] + 20)
    user.page.mouse.down()
    user.page.mouse.move(last["x"] + 40, last["y"] + 60, steps=3)
    user.page.mouse.up()

    assert with_shift == [2, 3, 4, 5]
    assert with_keys == [0, 1, 2]
    assert selected(user) == [1, 2, 3]


def test_selected_crops_are_accepted_rejected_and_restored_with_one_undo(user):
    before = judged(user)
    open_gallery(user, "all")
    user.page.locator("#crop-1").click()
    user.key("Shift+ArrowRight").key("Shift+ArrowRight").key("n").saved()
    user.page.locator("#crop-3.rejected").wait_for()
    rejected = judged(user)
    user.page.get_by_label("Show", exact=True).last.select_option("open")
    wait_for_total(user, MICROGRAPHS * PER_MICROGRAPH - 3)
    user.page.locator("[data-test=crops]").focus()
    user.key("y").saved()
    wait_for_total(user, MICROGRAPHS * PER_MICROGRAPH - 4)
    accepted = judged(user)
    user.key("Control+z").saved()
    wait_for_total(user, MICROGRAPHS * PER_MICROGRAPH - 3)
    user.key("Control+z").saved()
    wait_for_total(user, MICROGRAPHS * PER_MICROGRAPH)

    assert rejected == (before[0], before[1] + 3)
    assert accepted == (before[0] + 1, before[1] + 3)
    assert judged(user) == before


def test_the_undo_of_clear_restores_position_kind_and_source(user, server):
    open_gallery(user)
    item = user.module("gallery_items.js", "(m) => m.itemAt(2)")
    label = {"id": "l0", "mid": item["mid"], "x": item["x"] + 1, "y": item["y"]}
    label |= {"kind": "unsure", "source": "import", "batch": "b0"}
    user.key("Escape")
    server.ask("POST", "ops", {"ops": [{**label, "op": "add", "cid": "c0"}]})
    open_gallery(user)

    def stored():
        found = user.fetch("labels", mid=item["mid"])["labels"]
        return [{**one, "mid": item["mid"]} for one in found if one["id"] == "l0"]

    user.until(
        "async () => (await import(document.baseURI + 'js/gallery_items.js')).itemAt(2)?.label"
    )
    user.page.locator("#crop-2").click()
    user.key("u").saved()
    cleared = stored()
    user.key("Control+z").saved()
    [restored] = stored()
    server.ask("POST", "ops", {"ops": [{"op": "delete", "id": "l0", "cid": "c1"}]})

    assert cleared == []
    assert {name: restored[name] for name in label} == label


def test_a_crop_leads_to_its_micrograph_and_back(user):
    open_gallery(user)
    user.page.locator("#crop-7").click()
    item = user.module("gallery_items.js", "(m) => m.itemAt(7)")
    user.key("Enter")
    user.page.locator("[data-test=back]").wait_for()
    user.until("() => document.querySelector('.stage') === document.activeElement")
    mid = user.module("store.js", "(m) => m.micrograph.value.id")
    view = user.module("viewer/viewer.js", "(m) => m.stage.now.view")
    user.page.locator("[data-test=back]").click()
    user.page.locator("#crop-7.at").wait_for()

    assert mid == item["mid"]
    assert (view["cx"], view["cy"]) == pytest.approx((item["x"], item["y"]), abs=1)


def rings(user):
    """Count the coloured pixels of each thumbnail; the image itself is grey."""
    return user.page.evaluate(
        """() => [...document.querySelectorAll(".thumb canvas")].map((canvas) => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let n = 0;
            for (let i = 0; i < data.length; i += 4)
                n += Math.max(data[i], data[i + 1], data[i + 2])
                    - Math.min(data[i], data[i + 1], data[i + 2]) > 20;
            return n;
        })"""
    )


def wait_for_rings(user, is_right):
    """Return the coloured pixels of the thumbnails once they are right, or else the last ones."""
    return user.wait_for(lambda: rings(user), is_right)


def test_the_wall_follows_the_threshold(user):
    user.key("w")
    user.until(
        "() => document.querySelectorAll('.wall-count').length === 6 &&"
        " [...document.querySelectorAll('.wall-count')].every((e) => e.textContent)"
    )
    user.until("() => performance.getEntriesByName('wall').some((e) => e.detail > 100)")
    many = wait_for_rings(user, all)  # each image arrives and is painted on its own
    for _ in range(12):
        user.key("]")
    t = user.module("store.js", "(m) => m.threshold.value")
    scores_of = [
        6 - 0.05 * (np.arange(PER_MICROGRAPH) * MICROGRAPHS + n) for n in range(MICROGRAPHS)
    ]
    for number, score in enumerate(scores_of):
        score[number] -= 4.0
    user.until(
        "(kept) => [...document.querySelectorAll('.wall-count')]"
        ".every((one, number) => parseInt(one.textContent) === kept[number])",
        [int((score >= t).sum()) for score in scores_of],
    )
    few = wait_for_rings(
        user, lambda now: all(after < before for before, after in zip(many, now, strict=True))
    )

    assert all(0 <= after < before for before, after in zip(many, few, strict=True))


def test_a_thumbnail_leads_to_its_micrograph_and_back(user):
    user.key("w")
    user.page.locator("#wall-4").click()
    user.page.locator(".foot", has_text="mic_04").wait_for()
    user.page.locator("[data-test=back]").click()

    user.until("() => document.querySelectorAll('#wall-4.at').length === 1")


def test_a_deleted_run_is_no_longer_compared(user, server, make_page):
    open_gallery(user)
    order = user.page.get_by_label("Order of the crops")
    order.select_option("disagreement")
    user.page.get_by_label("Other run").wait_for()
    other = user.page.get_by_label("Other run").input_value()
    user.page.locator("#crop-0 span", has_text="/").wait_for()
    make_page.expected.append("404")  # a request for the run may still be on its way
    server.ask("DELETE", f"runs/{other}")
    user.until("() => document.querySelector('[aria-label=\"Other run\"]') === null")
    chosen = order.input_value()
    server.ask("POST", f"runs/{other}:restore")

    assert chosen == "score-desc"


def test_the_wall_leaves_out_rejected_picks_and_shows_labels_without_one(user, server):
    mid = user.fetch("micrographs")["rows"][0]["id"]
    (x, y), *_ = particles(0)[1]
    added = [
        {"op": "add", "cid": "w0", "id": "w0", "mid": mid, "x": x, "y": y, "kind": "neg"},
        {"op": "add", "cid": "w1", "id": "w1", "mid": mid, "x": 500, "y": 500, "kind": "pos"},
        {"op": "add", "cid": "w2", "id": "w2", "mid": mid, "x": 500, "y": 460, "kind": "pos"},
    ]

    def wait_for_count(n):
        script = "(n) => document.querySelector('.wall-count')?.textContent === `${n} picks`"
        user.until(script, n)

    usual = user.module("store.js", "(m) => m.threshold.value")
    user.module("picks.js", "(m) => m.setThreshold(-10, true)")
    user.key("w")
    wait_for_count(PER_MICROGRAPH)
    server.ask("POST", "ops", {"ops": added})
    wait_for_count(PER_MICROGRAPH + 1)
    deleted = [{"op": "delete", "id": one["id"], "cid": f"d{one['id']}"} for one in added]
    server.ask("POST", "ops", {"ops": deleted})
    wait_for_count(PER_MICROGRAPH)
    user.module("picks.js", "(m, t) => m.setThreshold(t, true)", usual)


def test_a_million_picks_scroll_to_the_end(user):
    """The list is longer than the highest element of a browser."""
    open_gallery(user)
    user.page.route("**/api/gallery*", lambda route: None)  # no answer resets the total
    user.module("gallery_items.js", "(m) => (m.total.value = 3000000)")
    user.until(
        """() => {
            const root = document.querySelector("[data-test=crops]");
            root.scrollTop = root.scrollHeight;
            return root.scrollHeight > 1e6
                && [...document.querySelectorAll(".crop")].at(-1).id === "crop-2999999";
        }"""
    )


def test_a_gallery_that_has_no_size_yet_asks_for_no_crops(user):
    """Its dialog is measured before it is shown."""
    user.page.evaluate(
        """async () => {
            const { layout } = await import(document.baseURI + 'js/panels/gallery.js');
            const { effect } = await import(document.baseURI + 'vendor/ui.js');
            window.cells = [];
            effect(() => window.cells.push(layout().cell));
        }"""
    )
    open_gallery(user)

    assert min(user.page.evaluate("window.cells")) >= 16  # what the server makes
