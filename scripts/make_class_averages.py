"""Classify picks of real micrographs with RELION, for the picture of `docs/howto/relion.md`.

python scripts/make_class_averages.py FOLDER

The steps are those of the page: pick, extract, classify. Needs RELION and the micrographs of
../shared/data/empiar10017, which are converted to MRC. Files are kept in FOLDER, and steps whose
output exists are not repeated. Takes some minutes on one core.
"""

import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
from PIL import Image

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "empiar10017" / "micrographs"
OUT = ROOT / "docs" / "images" / "relion-classes.webp"
NAMES = ("Falcon_2012_06_12-15_53_09_0", "Falcon_2012_06_12-16_51_03_0")
PIXEL_ANG, DIAMETER_ANG, BOX_PX, SCALED_PX = 1.77, 190, 192, 36
N_CLASSES, ITERATIONS = 6, 15
SIDE_PX, GAP_PX = 150, 6


def main() -> None:
    """Pick, extract, classify and draw."""
    folder = Path(sys.argv[1])
    (folder / "Micrographs").mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        path = folder / "Micrographs" / f"{name}.mrc"
        if not path.exists():
            pixels = np.asarray(read_micrograph(DATA / f"{name}.jpg").pixels, np.float32)
            write_mrc(path, pixels, pixel_size_ang=(PIXEL_ANG, PIXEL_ANG))
    run(
        folder,
        "Import/job001/micrographs.star",
        "relion_import --do_micrographs --i Micrographs/*.mrc --odir Import/job001/ "
        f"--ofile micrographs.star --angpix {PIXEL_ANG} --kV 300 --Cs 2.7 --Q0 0.1",
    )
    run(
        folder,
        "External/job002/autopick.star",
        f"{Path(sys.executable).parent}/cryopick relion-job --o External/job002/ "
        f"--in_mics Import/job001/micrographs.star --diameter_ang {DIAMETER_ANG} "
        "--threshold 1 --j 1",
    )
    run(
        folder,
        "Extract/job003/particles.star",
        "relion_preprocess --i Import/job001/micrographs.star --coord_dir External/job002/ "
        "--coord_suffix _autopick.star --part_star Extract/job003/particles.star --part_dir "
        f"Extract/job003/ --extract --extract_size {BOX_PX} --scale {SCALED_PX} --norm "
        f"--bg_radius {round(0.375 * SCALED_PX)} --invert_contrast",
    )
    averages = f"Class2D/job004/run_it{ITERATIONS:03d}_classes.mrcs"
    run(
        folder,
        averages,
        f"relion_refine --i Extract/job003/particles.star --o Class2D/job004/run --K {N_CLASSES} "
        f"--iter {ITERATIONS} --tau2_fudge 2 --particle_diameter {1.15 * DIAMETER_ANG:.0f} "
        "--zero_mask --norm --scale --flatten_solvent --oversampling 0 --psi_step 10 "
        "--offset_range 4 --offset_step 1 --pad 1 --j 1",
    )
    draw(folder / averages)


def run(folder: Path, output: str, command: str) -> None:
    """Run a step in the folder unless its output exists."""
    path = folder / output
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command.split(), cwd=folder, check=True)


def draw(path: Path) -> None:
    """Draw the class averages side by side, the most populated ones first."""
    from gemmi import cif

    model = path.with_name(path.name.replace("classes.mrcs", "model.star"))
    loop = cif.read(str(model)).find_block("model_classes").find_loop("_rlnClassDistribution")
    share = np.array([float(value) for value in loop])
    averages = mrcfile.read(path).reshape(len(share), SCALED_PX, SCALED_PX)
    width = len(share) * (SIDE_PX + GAP_PX) - GAP_PX
    picture = Image.new("L", (width, SIDE_PX), 255)
    for column, index in enumerate(np.argsort(-share).tolist()):
        average = averages[index]
        low, high = np.percentile(average, (0.5, 99.8))
        grey = np.clip((average - low) / max(high - low, 1e-9), 0, 1) * 255
        tile = Image.fromarray(grey.astype(np.uint8)).resize((SIDE_PX, SIDE_PX), Image.BICUBIC)
        picture.paste(tile, (column * (SIDE_PX + GAP_PX), 0))
    picture.save(OUT, quality=80, method=6)
    print(OUT.name, OUT.stat().st_size, "shares", np.sort(share)[::-1].round(2).tolist())


if __name__ == "__main__":
    main()
