"""Draw the pictures of `docs/tutorial.md` from the files that its commands write.

python scripts/make_tutorial_pictures.py [FOLDER]

The commands run in FOLDER, or in a temporary one; in a FOLDER where they ran before, only the
pictures are drawn. Needs the micrographs of ../shared/data/empiar10017, and Chromium for the
picture of the report; takes some minutes.
"""

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.docs import markdown  # noqa: E402  # found by the line above

from cryopick import Picks, evaluate_picks, read_picks  # noqa: E402  # below the line above
from cryopick.evaluate.thresholds import apply_threshold  # noqa: E402
from cryopick.io.images.micrograph import read_micrograph  # noqa: E402
from cryopick.io.names import match_names  # noqa: E402
from cryopick.report.pictures import (  # noqa: E402
    MicrographView,
    PickMarks,
    window_crop_uris,
)

OUT = ROOT / "docs" / "images"
DIAMETER_PX = 190 / 1.77
RADIUS_PX = 40.0
MICROGRAPHS = Path("data/empiar10017/micrographs")
TRUTH, LABELS = Path("data/empiar10017/particles.tsv"), Path("data/empiar10017/labels_100.tsv")
COLORS = {"right": "#5bd65b", "wrong": "#ff9f1c", "missed": "#38bdf8"}
CROPS, LINE_PT = 10, 1.8


def main() -> None:
    """Run the commands where that is necessary, and draw."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        folder.mkdir(exist_ok=True, parents=True)
        os.chdir(folder)
        run_tutorial()
        draw_labels()
        draw_training()
        draw_picks()
        draw_thresholds()
        draw_suggestions()
        draw_report()


def run_tutorial() -> None:
    """Run the commands of the tutorial, except those that ran before."""
    if Path("more.star").exists():
        return
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for name in markdown.shared_folders(text):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).symlink_to(markdown.SHARED / name)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for block in markdown.blocks(text):
        for command in block.commands if block.is_run else ():
            print(f"$ {command}", flush=True)
            subprocess.run(["bash", "-c", command], check=True, env=environment)


def save(figure: Figure, name: str) -> None:
    """Save a figure as tutorial-NAME.webp."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, facecolor="white", bbox_inches="tight", pad_inches=0.08)
    save_picture(Image.open(buffer), name)


def save_picture(picture: Image.Image, name: str) -> None:
    """Save a picture as NAME.webp, small enough for a repository."""
    path = OUT / f"{name}.webp"
    for quality in (80, 70, 60, 50, 40):
        picture.convert("RGB").save(path, quality=quality, method=6)
        if path.stat().st_size < 90_000:
            break
    print(path.name, path.stat().st_size)


def show_micrograph(axes: Axes, path: Path) -> MicrographView:
    """Show a micrograph with axes in raw pixels."""
    view = MicrographView.from_pixels(read_micrograph(path).pixels, DIAMETER_PX)
    height, width = (np.array(view.grey.shape) * view.raw_per_px[::-1]).tolist()
    axes.imshow(view.grey, cmap="gray", extent=(0, width, height, 0), vmin=0, vmax=255)
    axes.set_axis_off()
    return view


def mark(axes: Axes, kind: str, xy_px: np.ndarray) -> None:
    """Draw circles on correct picks, squares on wrong ones, dashed circles on missed particles."""
    color, half = COLORS[kind], DIAMETER_PX / 2
    for x, y in xy_px.tolist():
        if kind == "wrong":
            corner = (x - half, y - half)
            axes.add_patch(
                Rectangle(corner, 2 * half, 2 * half, fill=False, color=color, lw=LINE_PT)
            )
        else:
            style = "--" if kind == "missed" else "-"
            axes.add_patch(Circle((x, y), half, fill=False, color=color, lw=LINE_PT, ls=style))


def find_test_micrographs() -> list[Path]:
    """List the held-out micrographs."""
    return [Path(line) for line in Path("parts/test.txt").read_text().split()]


def draw_labels() -> None:
    """Draw the micrograph with most labels, and the labels on it."""
    labels = read_picks(LABELS)
    counts = {name: len(rows) for name, rows in labels.rows_by_micrograph().items()}
    name = max(counts, key=lambda one: counts[one])
    path = next(MICROGRAPHS.glob(f"{name}*"))
    figure = Figure((6.2, 6.2))
    axes = figure.subplots()
    show_micrograph(axes, path)
    mark(axes, "right", labels.restrict([name]).xy_px)
    save(figure, "tutorial-labels")


def draw_training() -> None:
    """Convert the training curves."""
    save_picture(Image.open("beta-gal.run/curves.png"), "tutorial-training")


def draw_picks() -> None:
    """Draw picks at the threshold of best F1 on a test micrograph, and the curve."""
    picks, tests = read_picks(Path("picks.tsv")), find_test_micrographs()
    picks = match_names(picks, tests).picks
    truth = match_names(read_picks(TRUTH), tests).picks
    best = evaluate_picks(picks, truth, RADIUS_PX, picks.micrographs).best
    assert best is not None
    assert best.threshold is not None
    figure = Figure((11, 5))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    name = str(tests[0])
    show_micrograph(left, tests[0])
    selected = apply_threshold(picks, best.threshold).restrict([name])
    marks = PickMarks.from_matching(
        selected.xy_px, selected.score, truth.restrict([name]).xy_px, RADIUS_PX
    )
    for kind in COLORS:
        mark(left, kind, getattr(marks, kind))
    left.set(xlim=(900, 2900), ylim=(2900, 900))
    left.set_title("found (green), wrong (orange), missed (dashed)", fontsize=11)
    right.imshow(np.asarray(Image.open("curve.png").convert("RGB")))
    right.set_axis_off()
    save(figure, "tutorial-picks")


def crop(picks: Picks) -> list[np.ndarray]:
    """Cut a picture of each pick."""
    pictures = []
    for row in range(len(picks)):
        path = next(MICROGRAPHS.glob(f"{Path(picks.micrographs[picks.index[row]]).stem}*"))
        pixels = read_micrograph(path).pixels
        (uri,) = window_crop_uris(pixels, picks.xy_px[row : row + 1], DIAMETER_PX)
        pictures.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))))
    return pictures


def draw_rows(rows: dict[str, Picks], name: str) -> None:
    """Draw a row of crops with their scores for each title."""
    figure = Figure((11, 1.55 * len(rows)), layout="constrained")
    for part, (title, picks) in zip(
        np.atleast_1d(np.array(figure.subfigures(len(rows), 1))), rows.items(), strict=True
    ):
        part.suptitle(title, fontsize=11, x=0.01, ha="left")
        for axes, picture, score in zip(
            part.subplots(1, CROPS), crop(picks), picks.score.tolist(), strict=False
        ):
            axes.imshow(picture, cmap="gray")
            axes.set_axis_off()
            axes.set_title(f"{score:.2f}".replace("-", "\N{MINUS SIGN}"), fontsize=9)
    save(figure, name)


def draw_thresholds() -> None:
    """Draw crops on both sides of a threshold."""
    picks = read_picks(Path("picks.tsv"))
    order = np.argsort(-picks.score, kind="stable")
    count = int((picks.score >= 0).sum())
    draw_rows(
        {
            "highest scores": picks.select(order[:CROPS]),
            "just above a threshold of 0": picks.select(order[count - CROPS : count]),
            "just below a threshold of 0": picks.select(order[count : count + CROPS]),
            "lowest scores": picks.select(order[-CROPS:]),
        },
        "tutorial-thresholds",
    )


def draw_suggestions() -> None:
    """Draw the first candidates to label."""
    picks = read_picks(Path("candidates.star"))
    first = picks.select(np.arange(CROPS))
    draw_rows({"the first ten candidates, with their scores": first}, "tutorial-suggestions")


def draw_report() -> None:
    """Take a picture of the beginning of the report of the picks."""
    page_file = Path("picks.report.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1180, "height": 1500})
        page.goto(page_file.absolute().as_uri())
        page.wait_for_timeout(500)
        picture = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    save_picture(picture, "report")
    assert re.search("Just above the threshold", page_file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
