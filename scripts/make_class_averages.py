"""Draw the class averages that the commands of `docs/howto/relion.md` make.

python scripts/make_class_averages.py [FOLDER]

Needs RELION. The commands run in FOLDER, or in a temporary one.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mrcfile
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.docs import markdown  # noqa: E402  # found by the line above

OUT = ROOT / "docs" / "images" / "relion-classes.webp"
SIDE_PX, GAP_PX = 180, 8


def main() -> None:
    """Run the commands of the page, and draw the last averages."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        text = (ROOT / "docs" / "howto" / "relion.md").read_text(encoding="utf-8")
        commands = [
            command
            for block in markdown.blocks(text)
            if block.is_run
            for command in block.command_lines
        ]
        for command in commands:
            environment = os.environ | {"PATH": programs}
            subprocess.run(["bash", "-c", command], cwd=folder, check=True, env=environment)
        draw(sorted(folder.glob("Class2D/*/run_it*_classes.mrcs"))[-1])


def draw(path: Path) -> None:
    """Draw the averages side by side, the most populated ones first."""
    from gemmi import cif

    model = path.with_name(path.name.replace("classes.mrcs", "model.star"))
    loop = cif.read(str(model)).find_block("model_classes").find_loop("_rlnClassDistribution")
    share = np.array([float(value) for value in loop])
    averages = mrcfile.read(path)
    picture = Image.new("L", (len(share) * (SIDE_PX + GAP_PX) - GAP_PX, SIDE_PX), 255)
    for column, index in enumerate(np.argsort(-share).tolist()):
        average = averages.reshape(len(share), *averages.shape[-2:])[index]
        low, high = np.percentile(average, (0.5, 99.8))
        grey = np.clip((average - low) / max(high - low, 1e-9), 0, 1) * 255
        tile = Image.fromarray(grey.astype(np.uint8)).resize((SIDE_PX, SIDE_PX), Image.BICUBIC)
        picture.paste(tile, (column * (SIDE_PX + GAP_PX), 0))
    picture.save(OUT, quality=80, method=6)
    print(OUT.name, OUT.stat().st_size, "shares", np.sort(share)[::-1].round(2).tolist())


if __name__ == "__main__":
    main()
