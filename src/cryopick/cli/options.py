"""Options that several commands share, so that each is named and explained once.

Options that are fields of a settings class come from `cryopick.cli.settings` instead.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Option

if TYPE_CHECKING:
    from cryopick.regions import Regions

__all__ = [
    "BoxSize",
    "Config",
    "Device",
    "Force",
    "Ignore",
    "Json",
    "Micrographs",
    "ModelFile",
    "PixelSizeAng",
    "RadiusPx",
    "ShardName",
    "Table",
    "TableFormat",
    "choose_model_file",
    "convert_to_pixels",
    "read_ignored_regions",
]

MICROGRAPHS = (
    "Files, quoted patterns, folders, a STAR or .cs file, or @LIST, a text file with one name per "
    "line."
)

Micrographs = Annotated[list[str], Argument(metavar="MIC", help=f"Micrographs. {MICROGRAPHS}")]
Table = Annotated[
    str,
    Option(
        "--out",
        "-o",
        metavar="OUT",
        help="Table to write. A name that ends in / is a folder, with one table per micrograph.",
    ),
]
TableFormat = Annotated[
    str | None,
    Option(
        "--format",
        help="Format of the table: tsv, csv, star, box, cs, cbox, eman, via, json or xy. [default: "
        "from the suffix]",
    ),
]
BoxSize = Annotated[
    int | None, Option(min=1, help="Box size in pixels; required by the .box and .cbox formats.")
]
Config = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Settings file (TOML), such as the settings.toml of a run; options take precedence.",
    ),
]
Force = Annotated[bool, Option("--force", help="Overwrite existing output files.")]
Json = Annotated[bool, Option("--json", help="Write JSON to stdout instead of text.")]
PixelSizeAng = Annotated[
    float | None, Option("--pixel-size-ang", min=0.0, help="Pixel size in ångströms.")
]
ModelFile = Annotated[
    Path | None,
    Option(
        "--model",
        metavar="MODEL",
        help="Model file written by `cryopick train`. [default: the general model]",
    ),
]
Device = Annotated[
    str,
    Option("--device", help="Device to compute on: cpu, cuda, mps, or auto (the fastest one)."),
]
Ignore = Annotated[
    Path | None,
    Option(
        "--ignore",
        metavar="REGIONS",
        help="JSON file of exclusion regions, in which nothing is picked or learned.",
    ),
]
ShardName = Annotated[
    str | None,
    Option(
        "--shard",
        metavar="I/N",
        help="Process only shard I of N. auto takes I and N from an array job of Slurm, PBS, SGE "
        "or LSF. `cryopick merge` combines the shards.",
    ),
]
RadiusPx = Annotated[
    float | None,
    Option(
        "--radius-px",
        min=0.0,
        help="Maximum distance between positions of the same particle, in pixels.",
    ),
]


def choose_model_file(
    model: Path | None, diameter_ang: float | None, *, needs_diameter: bool = True
) -> Path:
    """Choose the given model, or the general model, which needs a particle diameter.

    Args:
        model: The given model.
        diameter_ang: The given diameter.
        needs_diameter: The command cannot estimate the diameter.

    Raises:
        BadParameter: Neither a model nor a diameter was given.
    """
    if model is not None:
        return model
    if diameter_ang is None and needs_diameter:
        raise BadParameter(
            "add --diameter-ang, the particle diameter in ångströms, to use the general model, "
            "or --model with a trained model"
        )
    from cryopick.model.model_file import GENERAL_MODEL

    return GENERAL_MODEL


def read_ignored_regions(micrographs: Sequence[Path | str], file: Path | None) -> "Regions":
    """Read the exclusion regions of these micrographs; without a file there are none."""
    from cryopick.io.tables.region_files import read_regions
    from cryopick.regions import Regions

    return read_regions(file, micrographs) if file else Regions({})


def convert_to_pixels(
    length_px: float | None, length_ang: float | None, pixel_size_ang: float | None, option: str
) -> float:
    """Return a length in pixels that may be given in ångströms together with a pixel size.

    Args:
        length_px: Length in pixels, if given.
        length_ang: Length in ångströms, if given.
        pixel_size_ang: Pixel size in ångströms.
        option: Name of the option that takes ångströms, for messages.

    Raises:
        BadParameter: Both lengths were given, or neither, or the pixel size is missing.
    """
    if (length_px is None) == (length_ang is None):
        raise BadParameter(f"add either --radius-px, or {option} with --pixel-size-ang")
    if length_px is not None:
        return length_px
    if not pixel_size_ang:
        raise BadParameter(f"{option} needs --pixel-size-ang, above 0, to convert to pixels")
    return (length_ang or 0.0) / pixel_size_ang
