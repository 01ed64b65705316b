"""Sides of boxes, carried from the formats that store them to those that need them.

- `WIDTH`, `HEIGHT`: names of the carried columns.
- `find_box_sizes`: sides of the boxes to write.
- `scale_box_sizes`: adapt carried sides to scaled coordinates.
"""

from dataclasses import replace

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import SettingsError
from cryopick.io.tables.codec import TableLayout, convert_to_floats
from cryopick.picks import Picks

__all__ = ["HEIGHT", "WIDTH", "find_box_sizes", "scale_box_sizes"]

WIDTH, HEIGHT = "Width", "Height"


def find_box_sizes(picks: Picks, layout: TableLayout, kind: str) -> Float[np.ndarray, "picks 2"]:
    """Return the sides of the boxes along x and y: the requested side, or those that were read.

    Args:
        picks: The table.
        layout: Options of the output.
        kind: Name of the output, for the message.

    Raises:
        SettingsError: No side is requested, and the table states none.
    """
    if layout.box_px is not None and layout.box_px >= 1:
        return np.full((len(picks), 2), float(layout.box_px))
    sides = []
    for name in (WIDTH, HEIGHT):
        column = picks.extra.get(name)
        side = None if column is None else convert_to_floats(column)
        if side is None or not np.isfinite(side).all():
            raise SettingsError(f"{kind} stores boxes: give their side in pixels with --box-px")
        sides.append(side)
    return np.column_stack(sides)


def scale_box_sizes(picks: Picks, factor: float) -> Picks:
    """Multiply carried sides by the factor that coordinates were multiplied by."""
    scaled = {}
    for name in (WIDTH, HEIGHT):
        column = picks.extra.get(name)
        side = None if column is None else convert_to_floats(column)
        if side is not None:
            scaled[name] = side * factor
    return replace(picks, extra={**picks.extra, **scaled})
