"""Scale and sight: pixel sizes, single pixels, score maps, damaged micrographs, small windows."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from tests.browser.conftest import particles
from tests.browser.driver import Server

from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks
from cryopick.web.project.project import AnnotationProject

SIDE = 2600  # more than an overview has


@pytest.fixture(scope="module")
def server(tmp_path_factory, chromium):
    """A large micrograph of single bright pixels, one with particles, a constant and a lost one."""
    folder = tmp_path_factory.mktemp("sight")
    (folder / "m").mkdir()
    rng = np.random.default_rng(0)
    large = rng.uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)  # nowhere white
    large[1000:1100:4, 1000:1100:4] = 12
    image, xy = particles(1)
    constant = np.full((512, 512), 7, np.float32)
    for name, pixels in (("a_large", large), ("b_disc", image), ("c_flat", constant)):
        write_mrc(folder / "m" / f"{name}.mrc", pixels, pixel_size_ang=(4.0, 4.0))
    write_mrc(folder / "m" / "d_lost.mrc", image, pixel_size_ang=(4.0, 4.0))
    (folder / "m" / "e_cut.mrc").write_bytes((folder / "m" / "d_lost.mrc").read_bytes()[:9000])
    project = AnnotationProject.open(folder / "p.cryopick")
    project.micrographs.add([str(folder / "m")])
    project.database.set_meta("diameter_ang", "100.0")
    run = project.runs.create("pick", "Run", {"diameter_ang": 100.0})
    name = str(project.micrographs.path(2))
    write_picks(
        Picks.for_micrograph(name, xy, np.linspace(3, 1, len(xy))),
        project.runs.folder(run) / "picks.json",
    )
    project.runs.take_picks(run)
    project.runs.change(run, state="done", started=0.0, ended=1.0)
    project.close()
    (folder / "m" / "d_lost.mrc").unlink()
    begun = Server(folder / "p.cryopick", log=folder / "log")
    yield begun
    begun.stop()


@pytest.fixture(autouse=True)
def refusals(make_page):
    """The browser reports refused requests, which these tests provoke, as errors."""
    make_page.expected.append("Failed to load resource")


def shot(user):
    box = user.page.locator("[data-test=stage]").bounding_box()
    image = Image.open(io.BytesIO(user.page.screenshot(clip=box))).convert("L")
    return np.asarray(image).astype(int), np.array([box["x"], box["y"]])


@pytest.mark.parametrize("ratio", [1, 2])
def test_one_to_one_shows_single_pixels_of_a_large_micrograph(make_page, ratio):
    user = make_page(device_scale_factor=ratio).open().step("label").micrograph("a_large")
    user.module("store.js", "(m) => (m.lens.value = {...m.lens.value, view: 'raw'})")
    user.look_at(1050.3, 1050.7, 1).key("1")
    user.until(
        """async () => {
            const {stage} = await import(document.baseURI + 'js/viewer/viewer.js');
            const {name, wanted, tiles} = stage.now.tiles;
            return name === '[1,{}]' && wanted.length > 0
                && wanted.every((key) => tiles.get(key)?.bytes?.length > 0);
        }"""
    )
    user.painted()

    image = np.asarray(Image.open(io.BytesIO(user.page.screenshot())).convert("L")).astype(int)

    x, y = np.floor(np.array(user.place(1020, 1020)) * ratio + 1e-6).astype(int)
    bright = np.zeros((40, 40), bool)
    bright[::4, ::4] = True
    part = image[y : y + 40, x : x + 40]
    assert part[bright].min() > part[~bright].max()


def test_a_wrong_pixel_size_is_not_used_without_confirmation(make_page):
    user = make_page().open().step("data")
    wrong = {"17.7": "17.7 Å is", "-3": "positive", "0.177": "0.177 Å is", "5000": "1000 Å"}
    for typed, reason in wrong.items():
        box = user.page.get_by_label("Pixel size, Å")
        box.fill(typed)
        box.press("Tab")
        user.page.get_by_role("alert").filter(has_text=reason).wait_for()
        assert user.fetch("state")["pixel_size_ang"] == 4.0
        assert box.input_value() in ("4", typed)
        keep = user.page.get_by_role("button", name="Keep the old value")
        if keep.count():
            keep.click()


def test_a_micrograph_that_cannot_be_shown_says_so_and_takes_no_clicks(make_page):
    user = make_page().open().step("label")
    reasons = {"c_flat": "value 7", "d_lost": "cannot be read", "e_cut": "truncated"}
    for name, reason in reasons.items():
        user.micrograph(name)
        user.page.locator(".over[role=alert]", has_text=reason).wait_for()
        box = user.page.locator("[data-test=stage]").bounding_box()
        user.page.mouse.click(box["x"] + 300, box["y"] + 300)
        user.page.locator("[data-test=stage]").focus()
        user.key("Enter").saved()

        assert user.labels() == user.stored() == []
        assert user.module("store.js", "(m) => m.greys.value") is None  # not those of another
        assert "null" not in user.page.locator(".foot").inner_text()
        assert "pixel size" not in user.page.locator("[data-test=guide]").inner_text()


def test_the_score_map_is_blended_over_the_image_by_key(make_page):
    user = make_page().open().step("inspect").micrograph("b_disc").painted()
    plain, _ = shot(user)
    user.key("s")
    user.until("() => performance.getEntriesByName('scores-shown').length > 0", timeout_s=60)
    user.painted()
    blended, _ = shot(user)
    opacity = user.module("store.js", "(m) => m.scoreOpacity.value")
    user.key("s").key("s")
    full = user.module("store.js", "(m) => m.scoreOpacity.value")
    user.key("s")

    assert (opacity, full) == (0.4, 1)
    assert np.abs(blended - plain).mean() > 5
    assert np.corrcoef(blended.ravel(), plain.ravel())[0, 1] > 0.4  # the image is still visible


def test_the_denoised_view_is_smoother_than_the_raw_one(make_page):
    user = make_page().open().step("label").micrograph("b_disc").key("Alt+1").painted()

    def noise():
        return np.abs(np.diff(shot(user)[0][100:300, 100:300])).mean()

    raw = noise()
    user.key("Alt+3")
    denoised = user.wait_for(noise, lambda now: now < raw / 2, timeout_s=120)  # takes some seconds
    user.key("Alt+2")

    assert 0 < denoised < raw / 2


def test_boxes_have_a_size_of_their_own(make_page):
    user = make_page().open().step("inspect").micrograph("b_disc").painted()
    plain, _ = shot(user)
    user.page.get_by_label("Box size, px").fill("60")
    user.page.get_by_label("Box size, px").press("Tab")
    user.page.get_by_role("button", name="Reset", exact=True).wait_for()
    user.page.get_by_label("Box size, px").fill("-5")
    user.page.get_by_label("Box size, px").press("Tab")
    user.page.locator(".toast", has_text="-5 is not used").wait_for()
    user.key("Shift+B").painted()
    boxed, _ = shot(user)
    state = user.fetch("state")
    user.page.get_by_role("button", name="Reset", exact=True).click()

    assert (state["box_px"], state["diameter_ang"]) == (60, 100.0)
    assert (np.abs(boxed - plain) > 40).sum() > 500


def test_labels_and_picks_differ_in_shape(make_page):
    user = make_page().open()
    marks = user.module("viewer/stamps.js", "(m) => m.MARKS")

    assert len({marks[kind]["shape"] for kind in ("pos", "neg", "unsure", "pick")}) == 4


@pytest.mark.parametrize("size", [(1280, 720), (853, 480)])
def test_a_small_window_shows_a_usable_micrograph(make_page, size):
    """853 × 480 is what a window of 1280 × 720 shows at 150 %."""
    width, height = size
    user = make_page(viewport={"width": width, "height": height}).open()
    page = user.page
    unfold = page.get_by_role("button", name="Show steps and list")
    if unfold.count():  # a narrow window hides the list at first
        unfold.click()
    user.step("inspect")
    for panel in (".side", ".tools"):
        assert page.locator(panel).evaluate("(one) => one.scrollWidth <= one.clientWidth")
    if width < 1000:
        page.get_by_role("button", name="Hide steps and list").click()
    open_stage = user.page.locator("[data-test=stage]").bounding_box()
    user.key("\\")
    folded = user.wait_for(
        user.page.locator("[data-test=stage]").bounding_box,
        lambda box: box["width"] >= 0.95 * width,
    )

    assert open_stage["width"] >= 0.45 * width
    assert open_stage["height"] >= 0.6 * height
    assert folded["width"] >= 0.95 * width
    assert user.page.evaluate("document.documentElement.scrollHeight") <= height


def test_micrographs_are_filtered_by_what_a_list_states(make_page, tmp_path, start_server, studio):
    rows = "".join(f"{studio}/mic_{n:02d}.mrc {3 + n}\n" for n in range(4))
    head = "data_\nloop_\n_rlnMicrographName #1\n_rlnCtfMaxResolution #2\n"
    (tmp_path / "ctf.star").write_text(head + rows)
    listed = start_server(tmp_path / "p", "-m", str(tmp_path / "ctf.star"), log=tmp_path / "log")
    user = make_page(listed).open().step("label")
    user.page.get_by_text("Filter", exact=True).click()
    user.page.get_by_label("CTF resolution, maximum").fill("4.5")
    user.page.get_by_label("CTF resolution, maximum").press("Tab")

    expect(user.page.locator(".list .row .file")).to_have_text(["mic_00", "mic_01"])


def test_files_are_imported_with_a_preview_and_conversions(make_page, own_server, tmp_path):
    paths = []
    for number in range(3):
        _, xy = particles(number)
        lines = [f"{x / 2 - 10:.2f}\t{(511 - y) / 2 - 10:.2f}\t20\t20" for x, y in xy]
        paths.append(tmp_path / f"mic_{number:02d}.box")
        paths[-1].write_text("\n".join(lines) + "\n")
    user = make_page(own_server).open().step("data")
    user.page.get_by_role("button", name="Import particles").click()
    user.page.get_by_label("Files on this computer").set_input_files(paths)
    user.page.get_by_role("button", name="Flip y").click()
    user.page.get_by_label("Binning").fill("2")
    user.page.get_by_label("Binning").press("Tab")
    user.page.locator("[data-test=import-preview][aria-label*='24 positions']").wait_for()
    user.page.locator("[data-test=import-count]", has_text="72").wait_for()
    user.page.locator("dialog footer .primary").click()
    user.page.locator(".toast", has_text="72 particles imported").wait_for()

    user.page.get_by_role("button", name="Import particles").click()
    user.page.get_by_role("button", name="To compare").click()
    user.page.get_by_label("Files on this computer").set_input_files(paths[:1])
    user.page.locator("dialog footer .primary", has_text="Compare 24").click()
    user.page.locator("dialog").wait_for(state="detached")
    assert user.fetch("state")["n_labels"] == 72  # as before
    assert [run["kind"] for run in user.fetch("state")["runs"]] == ["import"]

    user.step("label").micrograph("mic_00")
    _, xy = particles(0)
    for (x, y), expected in zip(user.stored("pos"), sorted(map(tuple, xy)), strict=True):
        assert (x, y) == pytest.approx(expected, abs=1.1)
