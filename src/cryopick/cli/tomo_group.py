"""The group `cryopick tomo`, and the options that its commands share.

- `tomo`: the group.
- `TomogramFiles`, `TomogramOption`, `VoxelSizeAng`, `UnbinnedAng`: shared arguments and options.
"""

from typing import Annotated

import typer
from typer import Argument, Option

from cryopick.cli.app import Application, app

__all__ = ["TomogramFiles", "TomogramOption", "UnbinnedAng", "VoxelSizeAng", "tomo"]

TOMOGRAMS = "MRC volumes, quoted patterns, folders, or RELION's tomograms.star."

TomogramFiles = Annotated[list[str], Argument(metavar="TOMO", help=f"Tomograms. {TOMOGRAMS}")]
TomogramOption = Annotated[
    list[str],
    Option("--tomograms", "-t", metavar="TOMO", help=f"Tomograms; repeatable. {TOMOGRAMS}"),
]
VoxelSizeAng = Annotated[
    float | None,
    Option(min=0.1, help="Voxel size of the tomograms in ångströms. [default: from the files]"),
]
UnbinnedAng = Annotated[
    float | None,
    Option(
        min=0.1,
        help="Pixel size of the tilt series in ångströms, in whose pixels RELION and EMAN2 count. "
        "[default: from tomograms.star or the table]",
    ),
]

tomo: typer.Typer = Application(
    name="tomo",
    help="Find particles in tomograms, and train on them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(tomo)
