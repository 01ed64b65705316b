"""T10: the page answers in time, also with thousands of picks (`pytest -s` shows the numbers).

The targets are for a quiet machine with two cores; three times as long fails.
"""

import numpy as np
import pytest
from tests.browser.driver import Server

from cryopick import io

pytestmark = pytest.mark.slow

SLACK = 3
SIDE = 2048


@pytest.fixture(scope="module")
def server(tmp_path_factory, chromium):
    folder = tmp_path_factory.mktemp("speed")
    (folder / "mics").mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        image = rng.normal(100, 20, (SIDE, SIDE)).astype(np.float32)
        io.write_mrc(folder / "mics" / f"big_{number}.mrc", image, pixel_size_ang=(1.5, 1.5))
    begun = Server(folder / "p.cryopick", "-m", str(folder / "mics"), log=folder / "log")
    yield begun
    begun.stop()


@pytest.fixture
def user(make_page):
    user = make_page().open().step("inspect").micrograph("big_0")
    user.page.wait_for_timeout(2500)
    return user


def show_picks(user, count):
    """Put picks on the stage as if a run had made them."""
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


def measure(user, name, act, times=20):
    """The durations in ms of what `name` measures while something is done again and again."""
    act(0)
    user.page.wait_for_timeout(300)
    user.page.evaluate("performance.clearMeasures()")
    for number in range(times):
        act(number)
        user.page.wait_for_timeout(70)
    return user.page.evaluate(
        "(name) => performance.getEntriesByName(name).map((e) => e.duration)", name
    )


def tell(text):
    print(text)  # noqa: T201  # the numbers are what is asked for


def judge(what, durations_ms, target_ms):
    p95 = float(np.percentile(durations_ms, 95))
    tell(f"{what}: median {np.median(durations_ms):.1f} ms, p95 {p95:.1f} (target {target_ms})")
    assert len(durations_ms) >= 10
    assert p95 <= SLACK * target_ms


def test_a_label_is_painted_at_once(user):
    show_picks(user, 1500)
    rng = np.random.default_rng(1)
    box = user.page.locator("[data-test=stage]").bounding_box()

    def click(_):
        x, y = rng.uniform([100, 60], [box["width"] - 100, box["height"] - 100])
        user.page.mouse.click(box["x"] + x, box["y"] + y)

    judge("click to painted label", measure(user, "edit-painted", click), 50)


@pytest.mark.parametrize(("count", "target_ms"), [(1500, 33), (20_000, 100)])
def test_moving_and_zooming_are_smooth(user, count, target_ms):
    show_picks(user, count)

    def zoom(number):
        user.key("+" if number % 2 else "-")

    judge(f"zoom with {count} picks", measure(user, "frame", zoom), target_ms)


def test_contrast_follows_the_slider(user):
    judge("contrast step", measure(user, "frame", lambda _: user.key("i")), 50)


def test_the_threshold_follows_the_slider(user):
    show_picks(user, 20_000)

    def step(number):
        user.module("store.js", "(m, t) => (m.threshold.value = t)", number % 7)

    judge("threshold step with 20,000 picks", measure(user, "frame", step), 100)


def test_the_page_is_ready_soon(make_page):
    ready = []
    for _ in range(3):
        user = make_page().open()
        ready.append(user.page.evaluate("performance.now()"))
    tell(f"page ready: {min(ready):.0f} ms (target 1500)")

    assert min(ready) <= SLACK * 1500


def test_the_next_micrograph_comes_soon(user):
    def frame(_):
        user.key("d")
        user.page.locator(".foot", has_text="big_1").wait_for()
        user.key("a")
        user.page.locator(".foot", has_text="big_0").wait_for()

    began = user.page.evaluate("performance.now()")
    for number in range(3):
        frame(number)
    took = (user.page.evaluate("performance.now()") - began) / 6
    tell(f"next micrograph, kept: {took:.0f} ms (target 150)")

    assert took <= SLACK * 150 + 300  # and what driving the browser costs
