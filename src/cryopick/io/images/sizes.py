"""How large micrographs are, told without reading their pixels where the format allows.

- `micrograph_shape`: height and width of one.
- `known_shapes`: those of all micrographs of a table.
- `HEIGHT`, `WIDTH`: the columns in which a table carries them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cryopick.array_types import Integer
from cryopick.errors import SettingsError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import inspect_mrc
from cryopick.picks import Picks

__all__ = ["HEIGHT", "WIDTH", "known_shapes", "micrograph_shape"]

HEIGHT, WIDTH = "micrograph_height_px", "micrograph_width_px"


def micrograph_shape(path: Path) -> tuple[int, int]:
    """Look up (height, width) of a micrograph.

    Raises:
        MicrographError: The file is missing or cannot serve as a micrograph.
    """
    if path.suffix.lower() == ".mrc" and path.is_file():
        image = inspect_mrc(path)
        if image.fault is None and len(image.shape) >= len(("height", "width")):
            return image.shape[-2], image.shape[-1]
    height, width = read_micrograph(path).pixels.shape
    return height, width


def known_shapes(
    picks: Picks, given: Mapping[str, tuple[int, int]], why: str
) -> Integer[np.ndarray, "micrographs 2"]:
    """Find (height, width) of each micrograph with picks; 1 x 1 stands for those without.

    Args:
        picks: The table.
        given: Sizes by name; they come before those that the table carries, and these before
            those of files that the table names.
        why: What needs them, for the message.

    Raises:
        SettingsError: The size of a micrograph is not known.
        MicrographError: Its file cannot serve as a micrograph.
    """
    shapes = np.ones((len(picks.micrographs), 2), np.int64)
    carried = [picks.extra.get(side) for side in (HEIGHT, WIDTH)]
    for i, (name, rows) in enumerate(picks.rows().items()):
        own = [side[rows[0]] for side in carried if side is not None and len(rows)]
        if name in given:
            shapes[i] = given[name]
        elif len(own) == len(carried) and all(float(side) >= 1 for side in own):
            shapes[i] = own
        elif len(rows) and Path(name).is_file():
            shapes[i] = micrograph_shape(Path(name))
        elif len(rows):
            raise SettingsError(
                f"{why}, and the size of {name} is not known: give the micrographs with -m, or "
                "--shape-px HEIGHT WIDTH"
            )
    return shapes
