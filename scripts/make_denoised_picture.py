"""Write docs/images/denoised.webp: a corner of an EMPIAR-10017 micrograph, raw and denoised.

python scripts/make_denoised_picture.py MICROGRAPH
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from cryopick.denoise.denoiser import denoise_image
from cryopick.io.images.micrograph import read_micrograph
from cryopick.preprocess.display import bin_pixels, convert_to_greys, filter_band

PIXEL_SIZE_ANG = 1.77
CORNER_PX, SIDE_PX = (1400, 1400), 1440  # row and column, and side, in raw pixels
BINNING = 4
OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "denoised.webp"


def main() -> None:
    """Denoise the micrograph and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("micrograph", type=Path)
    raw = np.array(read_micrograph(parser.parse_args().micrograph).pixels, np.float32)
    panels = []
    for image in (
        raw,
        filter_band(raw, PIXEL_SIZE_ANG, low_pass_ang=25.0),
        denoise_image(raw, PIXEL_SIZE_ANG),
    ):
        (top, left), side = CORNER_PX, SIDE_PX
        corner = bin_pixels(image[top : top + side, left : left + side], BINNING)
        panels += [convert_to_greys(corner), np.full((len(corner), 6), 255, np.uint8)]
    Image.fromarray(np.concatenate(panels[:-1], axis=1)).save(OUT, quality=80)
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
