"""Record the animation of the README: click particles, train, inspect the picks.

Needs Chromium and the micrographs of ../shared/data/empiar10017; takes some minutes, since a
model is trained: python scripts/make_label_animation.py [FOLDER]. If FOLDER has a trained project
of an earlier call, the clicks and the beginning of a training are recorded in a new project, and
the end of the training and the picks in that of FOLDER.
"""

import io
import os
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
OUT = ROOT / "docs" / "images" / "label-animation.webp"
NAMES = tuple(f"Falcon_2012_06_12-{time}_0" for time in ("15_46_37", "14_33_35", "16_44_07"))
PIXEL_SIZE_ANG, DIAMETER_ANG, EXPECTED = 1.77, 190, 650
WINDOW_PX, WIDTH_PX = (1120, 700), 800
ZOOM, ZOOM_ALL = 0.22, 0.07
HALF_WINDOW = (850.0, 620.0)  # raw pixels that are visible around the centre
MAX_BYTES, MAX_FRAMES = 1_500_000, 12  # of the file; of the training
PROJECT, BEGINNING = "beta-galactosidase.cryopick", "new/beta-galactosidase.cryopick"


class Recorder:
    """Frames of the page, each with the time that it is shown."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.durations_ms: list[int] = []

    def shoot(self, duration_ms: int) -> None:
        """Add what the page shows now."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        height = round(WIDTH_PX * WINDOW_PX[1] / WINDOW_PX[0])
        self.frames.append(picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS))
        self.durations_ms.append(duration_ms)

    def save(self) -> None:
        """Write the animation, small enough for a repository."""
        first, *others = self.frames
        for quality in (60, 45, 30, 20):
            first.save(
                OUT,
                save_all=True,
                append_images=others,
                duration=self.durations_ms,
                loop=0,
                quality=quality,
                method=6,
                minimize_size=True,
            )
            if OUT.stat().st_size < MAX_BYTES:
                break
        seconds = sum(self.durations_ms) / 1000
        print(f"{OUT.name}: {len(self.frames)} frames, {seconds:.0f} s, {OUT.stat().st_size} bytes")


def read_labels() -> dict[str, list[tuple[float, float]]]:
    """Return the labels on the micrographs of the project, by micrograph."""
    by_name: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for line in (DATA / "labels_100.tsv").read_text().splitlines()[1:]:
        name, x, y = line.split("\t")
        if name in by_name:
            by_name[name].append((float(x), float(y)))
    return by_name


def main() -> None:
    """Use the page, and write the animation."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(sys.argv[1] if len(sys.argv) > 1 else folder).absolute()
        (home / "micrographs").mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            link = home / "micrographs" / f"{name}.jpg"
            if not link.is_symlink():
                link.symlink_to(DATA / "micrographs" / link.name)
        os.chdir(home)  # so that paths on the page are short
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        width, height = WINDOW_PX
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.set_default_timeout(300_000)
        recorder = Recorder(page)
        try:
            if (home / PROJECT).exists():
                shutil.rmtree(home / BEGINNING, ignore_errors=True)
                use(BEGINNING, Path(folder) / "log", recorder, MAX_FRAMES // 2)
            use(PROJECT, Path(folder) / "log", recorder, None)
            recorder.save()
        finally:
            browser.close()


def use(project: str, log: Path, recorder: Recorder, most: int | None) -> None:
    """Serve a project, and record its steps; with `most`, only that many of its training."""
    server = Server(project, log=log)
    try:
        record(Driver(recorder.page, server), recorder, most)
    finally:
        server.stop()


def record(user: Driver, recorder: Recorder, most: int | None) -> None:
    """Go through the steps of a new user."""
    page = user.open().step("data").page
    if not user.fetch("micrographs")["rows"]:
        page.locator("input[name=path]").fill("micrographs")
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_label("Pixel size, Å").fill(str(PIXEL_SIZE_ANG))
        page.get_by_label("Pixel size, Å").press("Tab")
        page.get_by_label("Particle diameter, Å").fill(str(DIAMETER_ANG))
        page.get_by_label("Particle diameter, Å").press("Tab")
        page.wait_for_timeout(4000)
    if most is not None or not user.fetch("state")["n_labels"]:
        record_clicks(user, recorder)
    record_training(user, recorder, most)
    if most is None:
        record_inspection(user, recorder)


def record_clicks(user: Driver, recorder: Recorder) -> None:
    """Click on particles of the first micrograph, then place the other labels."""
    page, labels = user.page, read_labels()
    user.step("label").micrograph(NAMES[0])
    page.get_by_label("Hide detail finer than, Å").fill("40")
    page.get_by_label("Hide detail finer than, Å").press("Tab")
    page.wait_for_timeout(4000)
    centre, clicked = choose_clicks(labels[NAMES[0]])
    user.look_at(*centre, ZOOM)
    page.wait_for_timeout(3000)
    if not user.labels():
        recorder.shoot(1200)
        for x, y in clicked:
            user.click(x, y)
            page.wait_for_timeout(250)
            recorder.shoot(350)
        for name in NAMES:
            user.micrograph(name)
            page.wait_for_timeout(3000)
            user.look_at(2048, 2048, ZOOM_ALL)
            page.wait_for_timeout(500)
            for place in labels[name]:
                if name != NAMES[0] or place not in clicked:
                    user.click(*place)
        user.saved()
        user.micrograph(NAMES[0])
        page.wait_for_timeout(2000)
        user.look_at(*centre, ZOOM)
        page.wait_for_timeout(3000)
    recorder.shoot(900)


def choose_clicks(
    places: list[tuple[float, float]],
) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """Choose the window with most labels; return its centre, and the labels in it."""

    def in_window(centre: tuple[float, float]) -> list[tuple[float, float]]:
        return [
            (x, y)
            for x, y in places
            if abs(x - centre[0]) < HALF_WINDOW[0] and abs(y - centre[1]) < HALF_WINDOW[1]
        ]

    best = max(places, key=lambda centre: len(in_window(centre)))
    return best, in_window(best)


def record_training(user: Driver, recorder: Recorder, most: int | None) -> None:
    """Train unless the project has a model, and show the progress."""
    page = user.page
    has_picks = any(run["has_picks"] for run in user.fetch("state")["runs"])
    user.step("train")
    page.wait_for_timeout(2500)
    if has_picks:
        recorder.shoot(1500)
        return
    page.get_by_label("Particles per micrograph").fill(str(EXPECTED))
    page.get_by_label("Particles per micrograph").press("Tab")
    recorder.shoot(900)
    page.get_by_role("button", name="Start training").click()
    done = page.locator("[data-test=run-state]", has_text="done")
    pictures: list[Image.Image] = []
    while not done.count() and (most is None or len(pictures) < most):
        page.wait_for_timeout(2500)
        before = len(recorder.frames)
        recorder.shoot(180)
        pictures += recorder.frames[before:]
    thin(recorder, pictures)
    page.wait_for_timeout(1500)
    recorder.shoot(1200)


def thin(recorder: Recorder, pictures: list[Image.Image]) -> None:
    """Keep at most some of the pictures of the progress, evenly spaced."""
    step = max(1, len(pictures) // MAX_FRAMES)
    dropped = {id(one) for index, one in enumerate(pictures) if index % step}
    pairs = zip(recorder.frames, recorder.durations_ms, strict=True)
    kept = [(frame, time) for frame, time in pairs if id(frame) not in dropped]
    recorder.frames = [frame for frame, _ in kept]
    recorder.durations_ms = [time for _, time in kept]


def record_inspection(user: Driver, recorder: Recorder) -> None:
    """Show the picks, and move the threshold."""
    page = user.page
    page.get_by_role("button", name="Inspect the picks").click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Automatic").click()
    page.wait_for_timeout(3000)
    user.look_at(2000, 1800, ZOOM)
    page.wait_for_timeout(4000)
    recorder.shoot(1800)
    for _ in range(7):
        user.key("]")
        page.wait_for_timeout(250)
        recorder.shoot(200)
    recorder.shoot(700)
    for _ in range(7):
        user.key("[")
        page.wait_for_timeout(250)
        recorder.shoot(140)
    recorder.shoot(1200)
    user.key("g")
    page.locator("#crop-0 .picture[style*=blob]").wait_for()
    page.wait_for_timeout(3000)
    recorder.shoot(2500)


if __name__ == "__main__":
    main()
