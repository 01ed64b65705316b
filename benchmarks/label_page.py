"""Measure the labelling page with many micrographs and a million picks, in a real Chromium.

It prints how long after the command the first of 300 micrographs is painted, how long the next
one takes, how soon a threshold, a label and other keys are painted with a million picks (on the
micrograph, the wall of thumbnails and the gallery), and how many frames a second the gallery of a
million crops shows while it scrolls. With --candidates, it prints instead how long the first
candidates of the general model take after the button, on micrographs in a folder. Needs Debian's
Chromium and Playwright:
python benchmarks/label_page.py [--gzip] [--side 4096] [--candidates FOLDER].
"""

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from cryopick.io.images.mrc import write_mrc
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.run_picks import PickFilter

MICROGRAPHS, PICKS = 300, 1_000_000
PIXEL_ANG, DIAMETER_ANG = 1.5, 150.0
FLAGS = ["--no-sandbox", "--disable-gpu"]
MILLION = re.compile(r"(1,000|999),\d{3} crops")  # labels at picks are no crops
LINK = re.compile(r"(https?://\S+?/#t=\S+)")


def write_micrographs(folder: Path, side: int, *, compress: bool) -> None:
    """Write two micrographs, and link to them under the other names."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    suffix = ".mrc.gz" if compress else ".mrc"
    for number in range(MICROGRAPHS):
        path = folder / f"mic_{number:03d}{suffix}"
        if number >= 2:
            path.hardlink_to(folder / f"mic_{number % 2:03d}{suffix}")
            continue
        plain = folder / "plain.mrc"
        image = rng.normal(100, 20, (side, side)).astype(np.float32)
        write_mrc(plain, image, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))
        if compress:
            path.write_bytes(gzip.compress(plain.read_bytes(), 1))
        else:
            shutil.copy(plain, path)
        plain.unlink()


def add_picks(folder: Path, side: int) -> None:
    """Store a run with a million random picks on the micrographs of a project."""
    project = AnnotationProject.open(folder)
    project.database.set_meta("diameter_ang", repr(DIAMETER_ANG))
    mids = np.array(sorted(project.micrographs.usable()))
    rng = np.random.default_rng(0)
    run = project.runs.create("pick", "Random picks", {"diameter_ang": DIAMETER_ANG})
    pick_mids = np.sort(rng.choice(mids, PICKS))
    score = rng.normal(0, 2, PICKS)
    order = np.lexsort((-score, pick_mids))
    np.savez(
        project.runs.folder(run) / "picks.npz",
        mids=pick_mids[order],
        xy_px=rng.uniform(0, side - 1, (PICKS, 2)),
        score=score[order],
        micrographs=mids,
    )
    project.runs.set_pick_filter(run, PickFilter(0.0))
    project.runs.change(run, state="done", started=0.0, ended=1.0)
    project.close()


def start(project: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server, and wait for its link."""
    command = [sys.executable, "-m", "cryopick", "label", str(project), "--no-browser", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        found = LINK.search(line)
        if found:
            return process, found.group(1)
    raise SystemExit("the server did not start")


def measures(page: Page, name: str) -> list[float]:
    """Return the durations in ms that the page measured under a name."""
    script = "(name) => performance.getEntriesByName(name).map((e) => e.duration)"
    found: list[float] = page.evaluate(script, name)
    return found


def report(name: str, values: list[float], unit: str = "ms") -> None:
    """Print median and 95th percentile."""
    if not values:
        raise SystemExit(f"{name}: nothing was measured")
    middle, high = np.median(values), np.quantile(values, 0.95)
    print(f"{name}: median {middle:.0f}, 95 % {high:.0f} {unit} (n = {len(values)})", flush=True)


def measure_opening(page: Page, folder: Path, mics: Path) -> None:
    """Measure the time from the command to the first painted micrograph of a new project."""
    began = time.monotonic()
    process, link = start(folder / "new.cryopick", "-m", str(mics))
    print(f"link printed after {time.monotonic() - began:.2f} s")
    page.goto(link)
    while not measures(page, "micrograph-painted"):
        page.wait_for_timeout(10)
    print(f"first micrograph painted {time.monotonic() - began:.2f} s after the command")
    for _ in range(10):
        page.wait_for_timeout(700)
        page.keyboard.press("d")
    page.wait_for_timeout(1000)
    report("next micrograph", measures(page, "micrograph-painted")[1:])
    process.terminate()
    process.wait()


def press_keys(page: Page, keys: str | list[str]) -> list[float]:
    """Press keys one after the other; return the time in ms from each to the next paint.

    This is the browser's own measure, in steps of 8 ms; it does not list times below 16 ms.
    """
    page.evaluate(
        """() => {
            performance.clearMeasures();
            window.paints = [];
            const add = (list) => window.paints.push(...list.getEntries());
            window.observer = new PerformanceObserver(add);
            window.observer.observe({type: "event", durationThreshold: 16});
        }"""
    )
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(60)
    page.wait_for_timeout(500)
    found: list[float] = page.evaluate(
        """() => {
            window.observer.disconnect();
            return window.paints.filter((e) => e.name === "keydown").map((e) => e.duration);
        }"""
    )
    return [*found, *[16.0] * (len(keys) - len(found))]


def measure_picks(page: Page) -> None:
    """Measure threshold, wall and gallery with a million picks."""
    page.locator("nav.steps button", has_text="Inspect").click()
    page.locator("[data-test=kept]").wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    painted = press_keys(page, "]" * 15 + "[" * 15)
    report("threshold to painted micrograph", measures(page, "threshold-painted"))
    report("threshold key to the next paint of the page", painted)
    page.locator("[data-test=stage]").focus()
    painted = press_keys(page, ["ArrowRight", "Enter"] * 10)
    report("label key to the next paint of the page", painted)
    page.keyboard.press("w")
    page.wait_for_timeout(15_000)
    page.locator(".wall-threshold").focus()
    painted = press_keys(page, ["ArrowRight"] * 20)
    report("threshold to painted wall", measures(page, "wall-threshold"))
    report("threshold key to the next paint of the wall", painted)
    rings = page.evaluate("performance.getEntriesByName('wall-threshold').at(-1).detail")
    print(f"  with {rings} rings on the visible thumbnails")
    page.keyboard.press("Escape")
    measure_gallery(page)


def measure_gallery(page: Page) -> None:
    """Measure scrolling and moving in the gallery of all picks."""
    page.keyboard.press("g")
    page.get_by_label("only at or above").uncheck()
    page.locator("[data-test=gallery-total]", has_text=MILLION).wait_for()
    page.locator("#crop-0 .picture[style*=blob]").wait_for(timeout=60_000)
    frames: list[float] = page.evaluate(
        """async () => {
            const root = document.querySelector("[data-test=crops]");
            const times = [];
            for (let k = 0, last = performance.now(); k < 240; k++) {
                root.scrollTop += 90;
                const now = await new Promise(requestAnimationFrame);
                times.push(now - last);
                last = now;
            }
            return times.slice(5);
        }"""
    )
    print(page.locator("[data-test=gallery-total]").inner_text())
    report("gallery scroll, time of a frame", frames)
    print(f"gallery scroll: {1000 / np.mean(frames):.0f} frames a second")
    page.locator("[data-test=crops]").focus()
    report("key to the next paint of the gallery", press_keys(page, ["ArrowRight"] * 20))
    report("accept or reject key to its next paint", press_keys(page, ["y", "n"] * 5))
    page.wait_for_timeout(3000)
    shorter = [page.evaluate(REJECT) for _ in range(10)]
    report("reject key to the shorter list, saved and loaded again", shorter)


REJECT = """async () => {
    const total = document.querySelector("[data-test=gallery-total]");
    const [before, began] = [total.textContent, performance.now()];
    const press = new KeyboardEvent("keydown", {key: "n", code: "KeyN", bubbles: true});
    document.querySelector("[data-test=crops]").dispatchEvent(press);
    while (total.textContent === before) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""


def measure_candidates(page: Page, folder: Path, mics: Path, pixel_size_ang: float) -> None:
    """Measure the time from the button to the first candidate of the general model."""
    words = ("-m", str(mics), "--pixel-size-ang", f"{pixel_size_ang:g}", "--diameter-ang", "180")
    process, link = start(folder / "candidates.cryopick", *words)
    page.goto(link)
    page.wait_for_selector("html[data-ready]")
    button = page.get_by_role("button", name="See what the general model finds")
    button.wait_for()
    page.wait_for_timeout(3000)
    began = time.monotonic()
    button.click()
    page.get_by_label("Candidate", exact=True).wait_for()
    print(f"first candidate shown {time.monotonic() - began:.2f} s after the button")
    page.evaluate(
        """async () => {
            const {get, post} = await import(document.baseURI + "js/api.js");
            await post("runs/r1:stop", {});
            while ((await get("runs/r1")).state === "running")
                await new Promise((wake) => setTimeout(wake, 200));
        }"""
    )
    process.terminate()
    process.wait()


def main() -> None:
    """Run all measurements in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="side of a micrograph in pixels")
    parser.add_argument("--gzip", action="store_true", help="compress the micrographs")
    parser.add_argument("--candidates", type=Path, help="folder of micrographs to pick")
    parser.add_argument("--pixel-size-ang", type=float, default=1.77, help="of these micrographs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        page.set_default_timeout(120_000)
        if options.candidates:
            measure_candidates(page, folder, options.candidates, options.pixel_size_ang)
        else:
            measure_page(page, folder, options.side, compress=options.gzip)
        browser.close()


def measure_page(page: Page, folder: Path, side: int, *, compress: bool) -> None:
    """Measure opening, and the page with a million picks."""
    mics = folder / "mics"
    write_micrographs(mics, side, compress=compress)
    measure_opening(page, folder, mics)
    add_picks(folder / "new.cryopick", side)
    process, link = start(folder / "new.cryopick")
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector("html[data-ready]")
    measure_picks(page)
    process.terminate()
    process.wait()


if __name__ == "__main__":
    main()
