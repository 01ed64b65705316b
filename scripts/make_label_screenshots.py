"""Take the screenshots of `docs/howto/label.md` by using the labelling page like a user.

Needs Chromium and the micrographs of ../shared/data/empiar10017; takes some minutes, since all
micrographs are picked and a model is trained: python scripts/make_label_screenshots.py [FOLDER]
[--without-training]. If FOLDER is given, later calls reuse its runs and take only the screenshots
again. Without training, the picks are those of the general model, and the screenshot of the
training is not taken. The path of FOLDER is visible in one of them.
"""

import argparse
import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.driver import Driver, Server  # noqa: E402  # found by the line above

DATA = ROOT.parent / "shared" / "data" / "empiar10017"
OUT = ROOT / "docs" / "images"
THEMES = ("light", "dark")
MAX_BYTES = 150_000
PIXEL_SIZE_ANG, DIAMETER_ANG = 1.77, 180


def labels() -> dict[str, list[tuple[float, float]]]:
    """Return the 25 labels by micrograph."""
    by_name: dict[str, list[tuple[float, float]]] = {}
    for line in (DATA / "labels_25.tsv").read_text().splitlines()[1:]:
        name, x, y = line.split("\t")
        by_name.setdefault(name, []).append((float(x), float(y)))
    return by_name


def shoot(page: Page, name: str) -> None:
    """Save a screenshot as label-NAME-THEME.webp in both themes, small enough for a repository."""
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(5, 5)
    page.locator(".toast .note").first.wait_for(state="hidden")
    for theme in THEMES:
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.evaluate(
            "async (t) => (await import(document.baseURI + 'js/store.js')).theme.value = t", theme
        )
        page.wait_for_timeout(900)
        page.get_by_text(re.compile("Reading…|Denoising…")).wait_for(state="hidden")
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        path = OUT / f"label-{name}-{theme}.webp"
        for quality in (90, 80, 70, 60, 50, 40):
            picture.save(path, quality=quality, method=6)
            if path.stat().st_size < MAX_BYTES:
                break
        print(path.name, path.stat().st_size)


def train(user: Driver) -> None:
    """Start a training and wait for the picks."""
    page = user.page
    user.step("train")
    page.get_by_role("button", name="Start training").click()
    progress = page.get_by_label("Progress", exact=True).filter(has_text="Training")
    progress.locator("[data-test=run-state]", has_text="done").wait_for(timeout=3_600_000)


def main() -> None:
    """Go through the six steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--without-training", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = options.folder or Path(folder)
        home.mkdir(exist_ok=True)
        os.chdir(home)  # so that relative paths are short in the pictures
        link = home / "micrographs"
        if not link.is_symlink():
            link.symlink_to(DATA / "micrographs")
        server = Server("beta-galactosidase.cryopick", log=Path(folder) / "log")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(300_000)
        user = Driver(page, server)
        try:
            go_through(user, with_training=not options.without_training)
        finally:
            browser.close()
            server.stop()


def show_candidates(user: Driver) -> None:
    """Pick all micrographs with the general model, and show its first candidate."""
    page = user.page
    if not any(run["kind"] == "pick" for run in user.fetch("state")["runs"]):
        page.get_by_role("button", name="See what the general model finds").click()
    else:
        user.module("candidates.js", "(m) => m.begin('r1')")
    page.get_by_label("Candidate", exact=True).wait_for()
    page.wait_for_timeout(2000)
    shoot(page, "candidates")
    user.key("Escape")
    while any(run["state"] == "running" for run in user.fetch("state")["runs"]):
        page.wait_for_timeout(1000)


def go_through(user: Driver, *, with_training: bool) -> None:
    """Perform the steps of a new user."""
    page = user.open().step("data").page
    page.locator("input[name=path]").fill("micrographs")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Pixel size, Å").fill(str(PIXEL_SIZE_ANG))
    page.get_by_label("Pixel size, Å").press("Tab")
    page.get_by_label("Particle diameter, Å").fill(str(DIAMETER_ANG))
    page.get_by_label("Particle diameter, Å").press("Tab")
    page.wait_for_timeout(5000)
    shoot(page, "data")

    user.step("label")
    show_candidates(user)
    if not user.fetch("state")["n_labels"]:
        for name, places in labels().items():
            user.micrograph(name)
            for place in places:
                user.click(*place)
        user.saved()
    page.get_by_role("button", name="Labels", exact=True).click()
    name = max(labels(), key=lambda one: len(labels()[one]))
    user.micrograph(name)
    page.get_by_label("Hide detail finer than, Å").fill("40")
    page.get_by_label("Hide detail finer than, Å").press("Tab")
    x, y = labels()[name][0]
    user.look_at(x, y, 0.42)
    page.wait_for_timeout(4000)
    shoot(page, "label")
    page.get_by_role("button", name="Both", exact=True).click()

    if with_training and not any(run["kind"] == "train" for run in user.fetch("state")["runs"]):
        train(user)
    user.step("train")
    page.wait_for_timeout(4000)
    if with_training:
        shoot(page, "train")
    page.get_by_role("button", name="Inspect the picks").click()
    page.get_by_role("button", name="Automatic").click()
    user.look_at(2000, 2000, 0.3)
    page.wait_for_timeout(6000)
    shoot(page, "inspect")
    user.key("s").key("s")
    page.wait_for_timeout(8000)
    shoot(page, "scores")
    user.key("s").key("s")
    user.key("g")
    page.locator("#crop-0 .picture[style*=blob]").wait_for()
    page.wait_for_timeout(3000)
    shoot(page, "gallery")
    user.key("Escape")

    user.step("review")
    page.wait_for_timeout(6000)
    shoot(page, "review")
    user.step("export")
    page.wait_for_timeout(3000)
    shoot(page, "export")
    user.key("?")
    shoot(page, "keys")


if __name__ == "__main__":
    main()
