"""The page responds in time, also with thousands of picks (`pytest -s` shows the numbers).

The targets are for the 95th percentile on a quiet machine with two cores. What the browser computed
for each step is said beside it: that holds on a busy machine too. There most steps wait for others,
so that a test fails only where even the quickest of its steps takes three times as long.
"""

import itertools
import os
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from tests.browser.driver import Server

from cryopick.io.images.mrc import write_mrc
from cryopick.web.assets import Assets
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.run_picks import RunPicks

pytestmark = pytest.mark.slow

SLACK = 3
SIDE = 2048
BROWSED = 120  # more than all caches of the server hold


def resident_mib(server):
    return psutil.Process(server.process.pid).memory_info().rss / 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory, chromium):
    folder = tmp_path_factory.mktemp("speed")
    (folder / "mics").mkdir()
    rng = np.random.default_rng(0)
    for number in range(BROWSED):
        path = folder / "mics" / f"big_{number:03d}.mrc"
        if number < 2:
            image = rng.normal(100, 20, (SIDE, SIDE)).astype(np.float32)
            write_mrc(path, image, pixel_size_ang=(1.5, 1.5))
        else:  # another micrograph for the server, at no cost
            path.hardlink_to(folder / "mics" / f"big_{number % 2:03d}.mrc")
    project = AnnotationProject.open(folder / "p.cryopick")
    project.micrographs.add([str(folder / "mics")])
    rows = [(f"/gone/mic_{n:05d}.mrc", f"mic_{n:05d}.mrc") for n in range(10_000)]
    with project.database.write() as db:
        db.executemany("INSERT INTO micrograph (path, name, problem) VALUES (?, ?, 'gone')", rows)
    project.close()
    begun = Server(folder / "p.cryopick", log=folder / "log")
    begun.idle_mib = resident_mib(begun)
    yield begun
    begun.stop()


# The picture and those of the neighbours are here: nothing was fetched for a while.
QUIET = """async () => {
    const count = () => performance.getEntriesByType("resource").length;
    for (let known = 0, same = 0; same < 5; same = count() === known && known > 0 ? same + 1 : 0) {
        known = count();
        await new Promise((wake) => setTimeout(wake, 100));
    }
}"""


@pytest.fixture
def user(make_page):
    user = make_page().open().step("inspect").micrograph("big_000")
    user.page.evaluate(QUIET)
    return user


def show_picks(user, count):
    """Show artificial picks."""
    user.module(
        "store.js",
        """(m, [n, side]) => {
            const some = (most) => Float32Array.from({length: n}, () => Math.random() * most);
            m.threshold.value = 0;
            m.picks.value = {n, x: some(side), y: some(side), score: some(6)};
        }""",
        [count, SIDE],
    )
    user.page.wait_for_timeout(400)


def browser_cpu_s():
    """Processor time that the browser has used so far, all its processes together."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if "chrom" in process.name():
                spent += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return spent


def measure(user, name, act, times=20):
    """The durations in ms of what `name` measures while something is done again and again."""
    act(0)
    user.page.wait_for_timeout(300)
    user.page.evaluate("performance.clearMeasures()")
    before = browser_cpu_s()
    found = []
    for number in range(times):
        act(number)
        user.page.wait_for_timeout(70)
        # On a busy machine the frame may come later.
        found = user.wait_for(lambda: durations(user, name), longer_than(found), 1.0)
    spent_ms = (browser_cpu_s() - before) / times * 1000
    return found, spent_ms


def longer_than(values):
    return lambda others: len(others) > len(values)


def durations(user, name):
    """The durations in ms that the page has measured under a name."""
    script = "(name) => performance.getEntriesByName(name).map((e) => e.duration)"
    return user.page.evaluate(script, name)


def tell(text):
    print(text)  # noqa: T201  # the numbers are what is asked for


def check_duration(what, measurement, target_ms):
    durations_ms, spent_ms = measurement
    p95 = float(np.percentile(durations_ms, 95))
    spent = "" if spent_ms is None else f"; {spent_ms:.0f} ms of processor time a step"
    typical = float(np.median(durations_ms))
    found = f"best {min(durations_ms):.1f} ms, median {typical:.1f}, p95 {p95:.1f}"
    tell(f"{what}: {found} (target {target_ms}){spent}")
    assert len(durations_ms) >= 10
    assert min(durations_ms) <= SLACK * target_ms


def test_a_label_is_painted_immediately(user):
    show_picks(user, 1500)
    rng = np.random.default_rng(1)
    box = user.page.locator("[data-test=stage]").bounding_box()

    def click(_):
        x, y = rng.uniform([100, 60], [box["width"] - 100, box["height"] - 100])
        user.page.mouse.click(box["x"] + x, box["y"] + y)

    check_duration("click to painted label", measure(user, "edit-painted", click), 50)


@pytest.mark.parametrize(("count", "target_ms"), [(1500, 33), (20_000, 100)])
def test_moving_and_zooming_are_smooth(user, count, target_ms):
    show_picks(user, count)

    def zoom(number):
        user.key("+" if number % 2 else "-")

    check_duration(f"zoom with {count} picks", measure(user, "frame", zoom), target_ms)


def test_contrast_follows_the_slider(user):
    check_duration("contrast step", measure(user, "frame", lambda _: user.key("i")), 50)


def test_the_threshold_follows_the_slider(user):
    show_picks(user, 20_000)

    def step(number):
        user.module("picks.js", "(m, t) => m.setThreshold(t, false)", number % 7)

    measured = measure(user, "threshold-painted", step)
    check_duration("threshold step with 20,000 picks", measured, 33)


def test_the_page_is_ready_soon(make_page):
    ready = []
    for _ in range(3):
        user = make_page().open()
        ready.append(user.page.evaluate("performance.now()"))
    user.page.evaluate(PAINTED)
    sent = sum(entry["transferSize"] for entry in user.page.evaluate(BEFORE_PAINTED)) / 1024
    tell(f"page ready: {min(ready):.0f} ms (target 1500)")
    tell(f"sent until the first micrograph is painted: {sent:.0f} KiB (target 900)")

    assert min(ready) <= SLACK * 1500
    assert sent <= 900


def test_neighbours_wait_until_the_micrograph_is_painted(make_page):
    user = make_page()
    user.page.add_init_script(SLOW_FRAMES)
    user.open()
    user.page.evaluate(PAINTED)
    names = [entry["name"] for entry in user.page.evaluate(BEFORE_PAINTED)]

    assert sum("/display?" in name for name in names) == 1


# As on a busy machine: a frame is drawn long after it was asked for.
SLOW_FRAMES = """(() => {
    const next = window.requestAnimationFrame;
    window.requestAnimationFrame = (draw) => next((now) => setTimeout(draw, 300, now));
})()"""

BEFORE_PAINTED = """() => {
    const painted = performance.getEntriesByName("micrograph-painted")[0];
    const until = painted.startTime + painted.duration;
    return ["navigation", "resource"]
        .flatMap((kind) => performance.getEntriesByType(kind))
        .filter((entry) => entry.startTime < until)
        .map(({name, transferSize}) => ({name, transferSize}));
}"""

PAINTED = """async () => {
    const name = "micrograph-painted";
    const found = () => performance.getEntriesByName(name);
    while (!found().length) await new Promise(requestAnimationFrame);
    return found().at(-1).duration;
}"""


def test_the_next_micrograph_is_shown_soon(user):
    took = []
    for key in [*("d" * 16), *("a" * 4)]:
        user.page.wait_for_timeout(300)  # a glance; the neighbours come meanwhile
        user.page.evaluate("performance.clearMeasures()")
        user.key(key)
        took.append(user.page.evaluate(PAINTED))

    check_duration("next micrograph, from the key to the end of painting it", (took, None), 150)


def test_a_micrograph_that_was_not_prefetched_is_shown_soon(user, server):
    took = []
    for number in [*range(20, 60, 6), *range(23, 60, 6)]:  # none is a neighbour of one before it
        found = server.ask("GET", f"micrographs?filter=big_{number:03d}")["rows"]
        user.page.evaluate("performance.clearMeasures()")
        user.module("session.js", "(m, id) => m.open(id)", found[0]["id"])
        took.append(user.page.evaluate(PAINTED))

    check_duration("any micrograph, read from disk", (took, None), 900)


TIMED = """async (m, [calls]) => {
    const took = [];
    for (const [path, query, body] of calls) {
        const began = performance.now();
        const answer = await m.ask(path, body ? {method: "POST", body} : {query});
        if (!body) await createImageBitmap(await answer.blob());
        took.push(performance.now() - began);
    }
    return took;
}"""


@pytest.mark.parametrize(("side", "target_ms"), [(512, 150), (1024, 150), (2048, 700)])
def test_a_filter_follows_its_slider(user, server, side, target_ms):
    mid = server.ask("GET", "micrographs?filter=big_000")["rows"][0]["id"]
    path = f"micrographs/{mid}/display"
    calls = [(path, {"n": side, "variant": "filtered", "lp": 10 + n, "hp": 600}) for n in range(21)]
    took = user.module("api.js", TIMED, [calls])[1:]

    check_duration(f"filtered picture of {side} px, asked for and decoded", (took, None), target_ms)


def test_an_edit_is_saved_soon(user, server):
    mid = server.ask("GET", "micrographs?filter=big_001")["rows"][0]["id"]
    added = (
        {"op": "add", "cid": f"s{n}", "id": f"s{n}", "mid": mid, "x": n, "y": 5} for n in range(30)
    )
    took = user.module("api.js", TIMED, [[("ops", None, {"ops": [op]}) for op in added]])

    check_duration("edit acknowledged as saved", (took, None), 100)


def test_a_label_is_painted_soon_during_training_on_both_cores(user):
    show_picks(user, 1500)
    busy = "import os; os.nice(5)\nwhile True: pass"
    at_work = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(os.cpu_count() or 2)]
    places = itertools.cycle([(300, 200), (420, 330), (350, 420), (280, 300)])
    box = user.page.locator("[data-test=stage]").bounding_box()

    def click(number):
        x, y = next(places)
        user.page.mouse.click(box["x"] + x + 11 * number, box["y"] + y)

    try:
        check_duration(
            "click to painted label, cores busy", measure(user, "edit-painted", click), 100
        )
    finally:
        for process in at_work:
            process.kill()
            process.wait()


def test_ten_thousand_micrographs_scroll(user):
    took = user.page.evaluate(
        """async () => {
            const box = document.querySelector(".list .rows");
            const took = [];
            for (let n = 0; n < 40; n++) {
                const began = performance.now();
                box.scrollTop = 46 * 230 * n;
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                took.push(performance.now() - began);
            }
            return took;
        }"""
    )

    check_duration("scrolling 10,000 micrographs, to the end of the frame", (took, None), 33)


def test_five_million_picks_are_counted_quickly():
    rng = np.random.default_rng(0)
    mids = np.repeat(np.arange(10_000), 500)
    picks = RunPicks(
        mids, np.zeros((len(mids), 2)), rng.random(len(mids), np.float32), tuple(range(10_000))
    )
    took = []
    for threshold in np.linspace(0.1, 0.9, 10):
        began = time.perf_counter()
        picks.count_per_micrograph(picks.score >= np.float32(threshold))
        took.append(1000 * (time.perf_counter() - began))

    check_duration("counts of 5,000,000 picks on 10,000 micrographs", (took, None), 150)


def test_the_page_is_small():
    plain, packed = (size / 1024 for size in Assets().sizes())
    tell(f"the page: {plain:.0f} KiB, {packed:.0f} KiB packed (targets 300, 120)")

    assert plain <= 300
    assert packed <= 120


def test_the_server_needs_little_memory_for_many_micrographs(server):
    ids = [row["id"] for row in server.ask("GET", "micrographs?filter=big_&limit=1000")["rows"]]
    token = {"Authorization": f"Bearer {server.token}"}

    def look(mid):
        url = f"{server.url}api/micrographs/{mid}/display?n=1024&variant=filtered&lp=20"
        with urllib.request.urlopen(urllib.request.Request(url, headers=token)) as answer:
            answer.read()

    with ThreadPoolExecutor(2) as two:
        list(two.map(look, ids))
    after = resident_mib(server)
    idle = server.idle_mib
    tell(f"server: {idle:.0f} MiB idle, {after:.0f} MiB after {len(ids)} micrographs (150, 800)")

    assert len(ids) == BROWSED
    assert idle <= 150
    assert after <= 800
