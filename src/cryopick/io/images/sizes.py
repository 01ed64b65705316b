"""Find the size of micrographs and of their pixels, without reading pixels if the format allows.

- `read_micrograph_shape`: height and width of one micrograph.
- `find_micrograph_shapes`: height and width of all micrographs of a table.
- `read_pixel_size`, `list_pixel_sizes`: pixel size of one micrograph, and of all.
- `HEIGHT`, `WIDTH`: table columns that store them.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from cryopick.array_types import Integer
from cryopick.errors import CryopickError, SettingsError
from cryopick.io.images.micrograph import describe_micrograph, read_micrograph
from cryopick.io.images.mrc import inspect_mrc
from cryopick.picks import Picks
from cryopick.runs.file_errors import translate_file_errors
from cryopick.runs.listed_path import listed_pixel_size

__all__ = [
    "HEIGHT",
    "WIDTH",
    "find_micrograph_shapes",
    "list_pixel_sizes",
    "read_micrograph_shape",
    "read_pixel_size",
]

HEIGHT, WIDTH = "micrograph_height_px", "micrograph_width_px"


def read_micrograph_shape(path: Path) -> tuple[int, int]:
    """Read (height, width) of a micrograph.

    Raises:
        MicrographError: The file is missing or cannot be used as a micrograph.
    """
    if path.suffix.lower() == ".mrc" and path.is_file():
        image = inspect_mrc(path)
        if image.fault is None and len(image.shape) >= len(("height", "width")):
            return image.shape[-2], image.shape[-1]
    height, width = read_micrograph(path).pixels.shape
    return height, width


def read_pixel_size(path: Path) -> float | None:
    """Read the pixel size in ångströms from the list or the header; None if neither states it."""
    listed_ang = listed_pixel_size(path)
    if listed_ang is not None:
        return listed_ang
    with suppress(CryopickError), translate_file_errors(path):
        return describe_micrograph(path, with_pixels=False).pixel_size_ang
    return None


def list_pixel_sizes(paths: Iterable[Path], given_ang: float | None) -> list[float]:
    """List the pixel sizes of micrographs in ångströms, each once, or the one that was given."""
    if given_ang is not None:
        return [given_ang]
    sizes_ang = {read_pixel_size(path) for path in paths}
    return sorted(size for size in sizes_ang if size is not None)


def find_micrograph_shapes(
    picks: Picks, shapes_px: Mapping[str, tuple[int, int]], purpose: str
) -> Integer[np.ndarray, "micrographs 2"]:
    """Find (height, width) of each micrograph with picks; the others get 1 x 1.

    Args:
        picks: The table.
        shapes_px: Sizes by name. They take precedence over sizes in the table, which take
            precedence over those of the files that the table names.
        purpose: What needs the sizes, for the message.

    Raises:
        SettingsError: The size of a micrograph is unknown.
        MicrographError: A file cannot be used as a micrograph.
    """
    shapes = np.ones((len(picks.micrographs), 2), np.int64)
    columns = [picks.extra.get(side) for side in (HEIGHT, WIDTH)]
    for i, (name, rows) in enumerate(picks.rows_by_micrograph().items()):
        stored = [side[rows[0]] for side in columns if side is not None and len(rows)]
        if name in shapes_px:
            shapes[i] = shapes_px[name]
        elif len(stored) == len(columns) and all(float(side) >= 1 for side in stored):
            shapes[i] = [round(float(side)) for side in stored]
        elif len(rows) and Path(name).is_file():
            shapes[i] = read_micrograph_shape(Path(name))
        elif len(rows):
            raise SettingsError(
                f"{purpose}, and the size of {name} is unknown: give the micrographs with -m, or "
                "--shape-px HEIGHT WIDTH"
            )
    return shapes
