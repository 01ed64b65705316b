"""The STAR file of particle images, as RELION reads it.

- `stack_table`: the rows of one micrograph.
- `optics_groups`, `optics`: what stands above them.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool
from cryopick.errors import SettingsError
from cryopick.io.tables.codec import StarFrame
from cryopick.io.tables.pick_tables import read_star_frame
from cryopick.io.tables.star_text import Columns, columns_of, document
from cryopick.picks import Picks
from cryopick.stack.settings import StackSettings

__all__ = ["optics", "optics_groups", "stack_table"]

_IMAGE, _GROUP = "rlnImageName", "rlnOpticsGroup"


def stack_table(picks: Picks, kept: Bool[np.ndarray, " picks"], stack: Path) -> Picks:
    """The rows of a stack: those picks that are in it, each with its image's name.

    Args:
        picks: The picks of one micrograph, as they were given to `write_stack`.
        kept: What that returned.
        stack: The stack's name as RELION is to find it, from the folder it runs in.
    """
    rows = picks.select(kept)
    names = np.array([f"{i:06d}@{stack.as_posix()}" for i in range(1, len(rows) + 1)], np.str_)
    extra = {_GROUP: np.ones(len(rows), np.int64), **rows.extra, _IMAGE: names}
    return replace(rows, extra=extra)


def optics_groups(picks: Path, settings: StackSettings) -> Columns:
    """The optics groups of a table of picks, or one, with what the settings say of them.

    Raises:
        SettingsError: The microscope's voltage or spherical aberration is not known.
    """
    frame = read_star_frame([picks]) if not picks.is_dir() else StarFrame()
    groups: Columns = {"_rlnOpticsGroupName": ("opticsGroup1",), "_rlnOpticsGroup": ("1",)}
    for block in document(frame.others, picks) if frame.others else ():
        if block.name == "optics":
            groups = dict(columns_of(block, "_rlnOpticsGroup"))
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
            "RELION reads no STAR file without the microscope's voltage and spherical aberration, "
            f"and {picks} does not tell them; add --voltage-kv and --cs-mm"
        )
    return groups


def optics(groups: Columns, pixel_size_ang: float, side: int) -> StarFrame:
    """What stands above the particles: the optics groups, with the size of the images.

    Args:
        groups: What `optics_groups` gave.
        pixel_size_ang: Of the images.
        side: Of the images, in pixels.
    """
    count = len(groups["_rlnOpticsGroup"])
    size = {"PixelSize": f"{pixel_size_ang:.6f}", "Size": str(side), "Dimensionality": "2"}
    columns = {**groups, **{f"_rlnImage{name}": [text] * count for name, text in size.items()}}
    lines = ["# version 30001", "", "data_optics", "", "loop_"]
    lines += [f"{tag} #{i}" for i, tag in enumerate(columns, start=1)]
    lines += [" ".join(row) for row in zip(*columns.values(), strict=True)]
    return StarFrame(others="\n".join(lines))
