"""STAR file of particle images for RELION.

- `build_stack_table`: rows of one micrograph.
- `read_optics_groups`, `build_optics`: optics table above them.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool
from cryopick.errors import SettingsError
from cryopick.io.tables.codec import StarContext
from cryopick.io.tables.pick_tables import read_star_context
from cryopick.io.tables.star_merge import ContextParts, render_optics, split_context
from cryopick.io.tables.star_text import Columns
from cryopick.picks import Picks
from cryopick.stack.settings import StackSettings

__all__ = ["build_optics", "build_stack_table", "read_optics_groups"]

_IMAGE, _GROUP = "rlnImageName", "rlnOpticsGroup"


def build_stack_table(picks: Picks, in_stack: Bool[np.ndarray, " picks"], stack: Path) -> Picks:
    """Build the rows of a stack: its picks, each with the name of its image.

    Args:
        picks: Picks of one micrograph, as passed to `write_stack`.
        in_stack: Result of `write_stack`.
        stack: Path of the stack relative to RELION's working folder.
    """
    rows = picks.select(in_stack)
    names = np.array([f"{i:06d}@{stack.as_posix()}" for i in range(1, len(rows) + 1)], np.str_)
    extra = {_GROUP: np.ones(len(rows), np.int64), **rows.extra, _IMAGE: names}
    return replace(rows, extra=extra)


def read_optics_groups(picks: Path, settings: StackSettings) -> ContextParts:
    """Read the optics groups of a table of picks, or create one; settings take precedence.

    Returns:
        The optics table, and the other blocks around the picks.

    Raises:
        SettingsError: The acceleration voltage or the spherical aberration is unknown.
    """
    parts = split_context(read_star_context([picks]), picks)
    groups: Columns = {"_rlnOpticsGroupName": ("opticsGroup1",), "_rlnOpticsGroup": ("1",)}
    groups = dict(parts.optics or groups)
    count = len(groups["_rlnOpticsGroup"])
    for tag, value in (
        ("_rlnVoltage", settings.voltage_kv),
        ("_rlnSphericalAberration", settings.cs_mm),
        ("_rlnAmplitudeContrast", settings.amplitude_contrast),
    ):
        if value is not None:
            groups[tag] = [f"{value:g}"] * count
    if not {"_rlnVoltage", "_rlnSphericalAberration"} <= groups.keys():
        raise SettingsError(
            "RELION requires the acceleration voltage and spherical aberration in STAR files, "
            f"and {picks} does not state them; add --voltage-kv and --cs-mm"
        )
    return ContextParts(optics=groups, others=parts.others)


def build_optics(parts: ContextParts, pixel_size_ang: float, side: int) -> StarContext:
    """Build the optics table above the particles, with the size of the images.

    Args:
        parts: Result of `read_optics_groups`.
        pixel_size_ang: Pixel size of the images.
        side: Side of the images, in pixels.
    """
    groups = parts.optics
    count = len(groups["_rlnOpticsGroup"])
    size = {"PixelSize": f"{pixel_size_ang:.6f}", "Size": str(side), "Dimensionality": "2"}
    columns = {**groups, **{f"_rlnImage{name}": [text] * count for name, text in size.items()}}
    blocks = [render_optics(columns), *([parts.others] if parts.others else [])]
    return StarContext(others="\n\n\n".join(blocks))
