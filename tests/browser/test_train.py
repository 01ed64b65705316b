"""Training with curves, threshold with exact counts, review, export."""

import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from tests.browser.conftest import DIAMETER_ANG, particles
from tests.browser.driver import SHORT_TRAINING, Driver, Server

from cryopick.io.tables.pick_tables import read_picks

pytestmark = pytest.mark.slow

COUNT, MICROGRAPHS = 24, 4


@pytest.fixture(scope="module")
def server(tmp_path_factory, studio, chromium):
    """A project with four micrographs, three of them labelled, and a model trained on it."""
    folder = tmp_path_factory.mktemp("train")
    words = [word for n in range(MICROGRAPHS) for word in ("-m", str(studio / f"mic_{n:02d}.mrc"))]
    words += ["--diameter-ang", str(DIAMETER_ANG)]
    begun = Server(
        folder / "proj.cryopick", *words, log=folder / "log", change=SHORT_TRAINING.format(16)
    )
    yield begun
    begun.stop()


@pytest.fixture(scope="module")
def stopped_and_resumed(browser, server):
    """A training on labels that were clicked on the page: its run when stopped, and in the end."""
    context = browser.new_context(viewport={"width": 1400, "height": 860})
    user = Driver(context.new_page(), server).open().step("label")
    for number in range(3):
        user.micrograph(f"mic_{number:02d}")
        for place in particles(number)[1][:8]:
            user.click(*place)
    user.saved().step("train")
    page = user.page
    page.get_by_label("Particles per micrograph").fill(str(COUNT))
    page.get_by_role("button", name="Start training").click()
    page.locator(".chart svg").first.wait_for(timeout=240_000)
    user.reload().step("train")  # a reloaded page shows the run in progress
    user.until(
        """async () => {
            const m = await import(document.baseURI + 'js/store.js');
            return m.runs.value[0].curves.step.length > 1;
        }""",
        timeout_s=240,
    )
    page.get_by_role("button", name="Stop and keep the best").click()
    state = page.locator("[data-test=run-state]")
    state.filter(has_text="stopped").wait_for(timeout=240_000)
    stopped = user.fetch("state")["runs"][0]
    page.get_by_role("button", name="Resume").click()
    state.filter(has_text="done").wait_for(timeout=240_000)
    done = user.fetch("state")["runs"][0]
    context.close()
    return stopped, done


@pytest.fixture(scope="module")
def trained(stopped_and_resumed):
    return stopped_and_resumed[1]


@pytest.fixture
def expert(make_page, server, trained):
    """A user who looks at the picks, with the threshold reset to a score of 0."""
    server.ask("PUT", f"runs/{trained['id']}/threshold", {"threshold": 0.0})
    user = make_page().open().step("inspect").micrograph("mic_03")
    user.page.locator("[data-test=kept]").wait_for()
    return user


def shown(user):
    return int(user.page.locator("[data-test=kept]").inner_text().replace(",", ""))


def all_scores(user, run):
    """Every pick's score, from the binary tables of all micrographs."""
    found = []
    for row in user.fetch("micrographs")["rows"]:
        found += user.module(
            "api.js",
            """async (m, [mid, run]) => {
                const answer = await m.ask(`micrographs/${mid}/picks`, {query: {run}});
                const data = await answer.arrayBuffer();
                const n = new DataView(data).getUint32(4, true);
                return [...new Float32Array(data, 16 + 8 * n, n)];
            }""",
            [row["id"], run["id"]],
        )
    return np.array(found, np.float32)


def test_a_stopped_training_keeps_its_best_model_and_can_be_resumed(stopped_and_resumed):
    stopped, done = stopped_and_resumed

    assert (stopped["state"], stopped["has_picks"]) == ("stopped", False)
    assert (done["state"], done["has_picks"]) == ("done", True)
    both = [*done["curves"]["partner_loss"], *done["curves"]["loss"]]
    assert 1 < sum(loss is not None for loss in both) < 16  # of 8 checkpoints of each network


def test_the_count_is_exact_at_any_threshold(expert, trained):
    scores = all_scores(expert, trained)
    edges = expert.module("store.js", "(m) => [...m.scores.value.edges]")

    for at in np.linspace(0, len(edges) - 1, 20).astype(int).tolist():
        expert.module("picks.js", "(m, t) => m.setThreshold(t, false)", edges[at])
        rejected, added = expert.module(
            "store.js", "(m, k) => [m.scores.value.rejections[k], m.scores.value.added[k]]", at
        )
        expected = int((scores >= np.float32(edges[at])).sum()) - rejected + added
        assert expert.wait_for_value(lambda: shown(expert), expected) == expected


def test_most_particles_of_an_unlabelled_micrograph_are_picked(expert):
    found = expert.module(
        "store.js",
        """(m) => { const p = m.picks.value; const kept = [];
            for (let i = 0; i < p.n; i++) if (p.score[i] >= 0) kept.push([p.x[i], p.y[i]]);
            return kept; }""",
    )

    truth = particles(3)[1]
    distance = np.hypot(*(truth[:, None] - np.array(found)[None]).transpose(2, 0, 1))
    assert (distance.min(axis=1) < DIAMETER_ANG / 4 / 3).mean() > 0.6


def test_the_threshold_is_saved(expert, server, trained):
    expert.key("]").key("]")
    chosen = expert.module("store.js", "(m) => m.threshold.value")
    histogram = f"runs/{trained['id']}/histogram"
    expert.wait_for_value(lambda: server.ask("GET", histogram)["threshold"], chosen)
    expert.reload().step("inspect")
    expert.page.locator("[data-test=kept]").wait_for()

    assert expert.module("store.js", "(m) => m.threshold.value") == pytest.approx(chosen)


def test_precision_is_estimated_beside_unknown_until_it_is_measured(expert):
    page = expert.page

    expect(page.locator("[data-test=precision]")).to_have_text("unknown")
    estimate = page.locator("[data-test=estimated-precision]")
    expect(estimate).to_have_text(re.compile(r"\d+ % \(\d+ to \d+ %\)"))


def test_runs_are_compared_in_a_table(expert, trained):
    expert.step("train")
    row = expert.page.locator("table.runs tbody tr", has_text=trained["title"])
    per_micrograph = row.locator("td").nth(5)
    expect(per_micrograph).to_have_text(re.compile(r"^\d+$"))

    expect(row.locator("td").nth(2)).to_have_text(str(trained["labels"]))
    assert 0 < int(per_micrograph.inner_text()) < 2 * COUNT


def test_the_chart_of_a_training_shrinks_with_the_window(expert):
    page = expert.step("train").page
    chart = page.locator(".chart svg").first
    page.set_viewport_size({"width": 3000, "height": 900})
    chart.wait_for()

    def has_room():
        card = chart.locator("xpath=ancestor::*[contains(@class, 'card')]").bounding_box()
        box = chart.bounding_box()
        return box["x"] + box["width"] <= card["x"] + card["width"] <= page.viewport_size["width"]

    assert expert.wait_for(lambda: chart.bounding_box()["width"], lambda width: width > 700) > 700
    page.set_viewport_size({"width": 1280, "height": 720})
    assert expert.wait_for_value(has_room, True)


def test_the_export_contains_the_displayed_picks_with_corrections(expert, server):
    expert.page.get_by_label("Threshold, score").fill("0")
    expert.page.get_by_label("Threshold, score").press("Tab")
    picks = expert.module(
        "store.js",
        """(m) => { const p = m.picks.value; return [...p.score.keys()]
            .filter((i) => p.score[i] >= m.threshold.value).map((i) => [p.x[i], p.y[i]]); }""",
    )
    kept = shown(expert)
    expert.click(*picks[0], button="right").saved()
    expert.step("export")
    page = expert.page
    page.get_by_label("RELION").uncheck()
    page.get_by_label("CSV").check()
    page.get_by_role("button", name=re.compile(r"^Export \d")).click()
    page.locator("[data-test=written]").wait_for()

    with page.expect_download() as download:
        page.locator("[data-test=download]").click()
    written = (server.project / "exports" / "particles.csv").read_text()
    rows = list(csv.DictReader(written.splitlines()))
    said = int(page.locator("[data-test=export-count]").inner_text().replace(",", ""))
    assert len(rows) == said == kept - 1
    assert download.value.path().read_text() == written


def test_a_threshold_that_was_just_changed_is_used_for_the_export(expert, server):
    page = expert.page
    for _ in range(3):
        expert.key("]")
    kept = shown(expert)
    expert.step("export")
    page.get_by_label("File name").fill("moment")
    page.get_by_label("File name").press("Tab")
    page.get_by_role("button", name=re.compile(r"^Export \d")).click()
    page.locator("[data-test=written]").wait_for()

    assert sum(part[1] for part in expert_parts(expert)) == kept
    assert len(read_picks(server.project / "exports" / "moment.star")) == int(
        page.locator("[data-test=export-count]").inner_text().replace(",", "")
    )


def test_a_preview_is_not_called_exported(expert):
    page = expert.page
    expert.step("export")
    page.get_by_label("Replace existing files").check()
    page.get_by_role("button", name=re.compile(r"^Export \d")).click()
    page.locator("[data-test=written]").wait_for()
    expect(page.get_by_label("Preview", exact=True)).to_have_text(re.compile("^Exported"))
    expert.step("inspect").key("]").step("export")
    page.get_by_role("button", name=re.compile(r"^Export \d")).wait_for()

    expect(page.get_by_label("Preview", exact=True)).to_have_text(re.compile("^Preview"))


def test_a_file_name_is_kept_while_the_page_is_drawn_again(expert, server):
    page = expert.page
    expert.step("export")
    page.get_by_role("button", name=re.compile(r"^Export \d")).wait_for()
    page.get_by_label("File name").press_sequentially("x")
    expert.module("panels/export.js", "(m) => { m.preview.value = { ...m.preview.value }; }")

    page.get_by_label("File name").press("Tab")

    assert "x" in page.get_by_label("File name").input_value()
    assert "x" in expert.module("panels/export.js", "(m) => m.request.value.name")


def expert_parts(user):
    return user.module("panels/export.js", "(m) => m.preview.value.parts")


def test_answers_in_the_review_become_labels_and_can_be_undone(expert, trained):
    expert.step("review")
    page = expert.page
    card = page.get_by_label("Review a pick")
    card.wait_for()
    before = kinds(expert)
    expert.key("y").key("n").key("u").key("b").key("y").saved()
    after = kinds(expert)
    heading = card.get_by_role("heading").inner_text()
    expert.key("Control+z").saved()
    card.get_by_role("heading", name="3 of").wait_for()

    assert heading.startswith("4 of")
    assert after - before == {"pos": 2, "neg": 1}  # the third answer was replaced
    assert kinds(expert) - before == {"pos": 1, "neg": 1}
    expert.module("unsaved_verdicts.js", "(m) => m.allSent()")
    asked = expert.fetch("review", run=trained["id"], kind="uncertain", k=500)["items"]
    third = expert.module("panels/review.js", "(m) => m.queue.value.items[2].pick")
    assert third in [item["pick"] for item in asked]


def test_the_micrographs_to_label_next_are_suggested(expert):
    expert.step("label")
    expert.page.get_by_role("button", name="Suggest micrographs").click()
    order = expert.page.get_by_label("Order")
    expect(order).to_have_value("suggested", timeout=240_000)

    ranked = expert.fetch("micrographs", sort="suggested")["rows"]
    assert [row["suggested"] for row in ranked] == [1, 2, 3, 4]
    rows = expert.page.locator(".list .row")
    expect(rows).to_contain_text([Path(row["name"]).stem for row in ranked])


def kinds(user):
    """Count the labels of each kind on the server."""
    found = Counter()
    for row in user.fetch("micrographs")["rows"]:
        found.update(one["kind"] for one in user.fetch("labels", mid=row["id"])["labels"])
    return found


def test_only_answers_on_random_samples_measure_the_precision(expert):
    page = expert.page
    expert.step("review")
    page.get_by_role("button", name="Random sample").click()
    page.get_by_role("button", name="Random sample", pressed=True).wait_for()
    page.get_by_label("Review a pick").wait_for()
    queue = expert.module("panels/review.js", "(m) => m.queue.value.items.length")
    for _ in range(min(queue, 20)):
        expert.key("y")
    expert.module("unsaved_verdicts.js", "(m) => m.allSent()")
    expert.step("inspect").reload().step("inspect")

    assert queue >= 12
    expect(page.locator("[data-test=precision]")).to_have_text(re.compile("^100 %"))
