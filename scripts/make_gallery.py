"""Draw the picks of the general model on real micrographs, for `docs/gallery.md` and the README.

python scripts/make_gallery.py [FOLDER]

The pictures of micrographs whose licence permits it are written to docs/images as
gallery-NAME.webp. With FOLDER, pictures of all micrographs below ../shared/data are written there
instead; most of these state no licence. Micrographs are picked without labels, with the diameter
below and the automatic threshold.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from cryopick import Picks, PickSettings, pick_particles
from cryopick.evaluate.expectation import select_automatically
from cryopick.io.images.micrograph import read_micrograph
from cryopick.report.pictures import MicrographView

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "docs" / "images"
SIDE_PX, OVERSAMPLING = 560, 2
MARK_RGB, LINE_PX = (255, 196, 64), 1.5
WINDOW_DIAMETERS = 26  # side of the part of a micrograph that is shown, if it is larger
QUALITIES, MAX_BYTES = (60, 50, 40, 30, 20), 65_000


class Example(NamedTuple):
    """A micrograph to pick.

    Attributes:
        name: Name of the picture.
        path: The micrograph, below the folder of data.
        diameter_ang: Longest extent of the particle.
        pixel_size_ang: Raw pixel size.
        is_published: The licence of the micrograph permits a picture of it in the documentation.
    """

    name: str
    path: str
    diameter_ang: float
    pixel_size_ang: float
    is_published: bool = True


_FALCON = "empiar10017/micrographs/Falcon_2012_06_12"
EXAMPLES = (
    Example("carbon", f"{_FALCON}-15_30_21_0.jpg", 190.0, 1.77),  # CC0
    Example("crowded", f"{_FALCON}-16_51_03_0.jpg", 190.0, 1.77),  # CC0
    Example("apoferritin", "real/apoferritin_raw/apof_24dec03a.mrc", 130.0, 6.32),  # Apache-2.0
    Example("stain", "real/negative_stain_groel/groel_ns.mrc", 150.0, 14.0),  # Apache-2.0
    Example("t20s", "real/t20s/t20s_29721757.png", 150.0, 7.84, is_published=False),
    Example("ice", "real/problem_fields/s064_133.png", 200.0, 2.79, is_published=False),
    Example("aggregates", "real/problem_fields/s065_140.png", 200.0, 3.47, is_published=False),
    Example("contamination", "real/problem_fields/s067_138.png", 200.0, 3.73, is_published=False),
)


def main() -> None:
    """Pick and draw each micrograph."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    folder.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        if example.is_published or folder != OUT:
            draw_example(example, folder)


def draw_example(example: Example, folder: Path) -> None:
    """Pick a micrograph and draw the picks above the automatic threshold."""
    settings = PickSettings(
        diameter_ang=example.diameter_ang, pixel_size_ang=example.pixel_size_ang
    )
    path = DATA / example.path
    picks = select_automatically(pick_particles([path], settings=settings)).picks
    picture = draw_picks(path, picks, example.diameter_ang / example.pixel_size_ang)
    target = folder / f"gallery-{example.name}.webp"
    for quality in QUALITIES:
        picture.save(target, quality=quality, method=6)
        if target.stat().st_size < MAX_BYTES:
            break
    print(f"{target.name}: {len(picks)} picks, {target.stat().st_size} bytes")


def draw_picks(path: Path, picks: Picks, diameter_px: float) -> Image.Image:
    """Draw circles of the particle diameter on the right two thirds of a part of a micrograph.

    The part begins at the first stored row and column.
    """
    view = MicrographView.from_pixels(read_micrograph(path).pixels, diameter_px)
    window = round(WINDOW_DIAMETERS * diameter_px / view.raw_per_px[0])
    grey = view.grey[:window, :window]
    height, width = grey.shape
    scale = SIDE_PX * OVERSAMPLING / max(height, width)
    size = (round(width * scale), round(height * scale))
    picture = Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS).convert("RGB")
    draw = ImageDraw.Draw(picture)
    centres = picks.xy_px / np.array(view.raw_per_px) * scale
    radius = diameter_px / 2 / view.raw_per_px[0] * scale
    for x, y in centres[centres[:, 0] > size[0] / 3].tolist():
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, outline=MARK_RGB, width=round(LINE_PX * OVERSAMPLING))
    edge = size[0] / 3
    draw.line((edge, 0, edge, size[1]), fill=MARK_RGB, width=OVERSAMPLING)
    final = (size[0] // OVERSAMPLING, size[1] // OVERSAMPLING)
    return picture.resize(final, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
