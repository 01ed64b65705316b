"""Options that several commands share, so that each is spelt and explained once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Option

if TYPE_CHECKING:
    from cryopick.regions import Regions

__all__ = [
    "Device",
    "Force",
    "Ignore",
    "Json",
    "Micrographs",
    "ModelDiameterAng",
    "ModelFile",
    "PickRadiusAng",
    "PixelSizeAng",
    "RadiusPx",
    "RawPixelSizeAng",
    "ShardName",
    "Table",
    "TableFormat",
    "chosen_model",
    "in_pixels",
    "regions_on",
]

MICROGRAPHS = "Files, quoted patterns, folders, a STAR or .cs file, or @LIST with one name a line."

Micrographs = Annotated[list[str], Argument(metavar="MIC", help=f"Micrographs. {MICROGRAPHS}")]
Table = Annotated[
    str, Option("--out", "-o", metavar="OUT", help="Table to write; DIR/ writes one a micrograph.")
]
TableFormat = Annotated[
    str | None, Option("--format", help="Format of what is written: tsv, csv, star, box, cs, …")
]
Force = Annotated[bool, Option("--force", help="Replace what exists.")]
Json = Annotated[bool, Option("--json", help="Write JSON to stdout instead of text.")]
PixelSizeAng = Annotated[
    float | None, Option("--pixel-size-ang", min=0.0, help="Ångströms per pixel.")
]
PickRadiusAng = Annotated[
    float | None, Option("--radius-ang", help="Least distance between picks [half the diameter].")
]
ModelDiameterAng = Annotated[
    float | None,
    Option("--diameter-ang", help="Particle diameter in ångströms [the model's]."),
]
RawPixelSizeAng = Annotated[
    float | None,
    Option("--pixel-size-ang", help="Ångströms per raw pixel [as the files say]."),
]
ModelFile = Annotated[
    Path | None,
    Option("--model", metavar="MODEL", help="Model that `cryopick train` wrote [the general one]."),
]
Device = Annotated[
    str, Option("--device", help="Where to compute: cpu, cuda, mps, or the best there is (auto).")
]
Ignore = Annotated[
    Path | None,
    Option("--ignore", metavar="REGIONS", help="Outlined regions to leave out: a JSON file."),
]
ShardName = Annotated[
    str | None,
    Option(
        "--shard",
        metavar="I/N",
        help="Do the I-th of N parts; auto takes I and N from Slurm, PBS, SGE or LSF. "
        "`cryopick merge` puts the parts together.",
    ),
]
RadiusPx = Annotated[
    float | None,
    Option("--radius-px", min=0.0, help="Greatest distance of the same particle, in pixels."),
]


def chosen_model(model: Path | None, diameter_ang: float | None) -> Path:
    """The model that was given, or the general one, which must be told a diameter.

    Raises:
        BadParameter: Neither a model nor a diameter was given.
    """
    if model is not None:
        return model
    if diameter_ang is None:
        raise BadParameter(
            "give --diameter-ang, the particle's diameter in ångströms, to pick with the general "
            "model, or --model with a model of yours"
        )
    from cryopick.model.model_file import GENERAL_MODEL

    return GENERAL_MODEL


def regions_on(micrographs: Sequence[Path | str], file: Path | None) -> "Regions":
    """The regions to ignore on these micrographs; none without a file."""
    from cryopick.io.tables.region_files import read_regions
    from cryopick.regions import Regions

    return read_regions(file, micrographs) if file else Regions({})


def in_pixels(
    length_px: float | None, length_ang: float | None, pixel_size_ang: float | None, option: str
) -> float:
    """A length that may be given in pixels, or in ångströms together with a pixel size.

    Args:
        length_px: The length in pixels, if it was given so.
        length_ang: The length in ångströms, if it was given so.
        pixel_size_ang: Ångströms per pixel.
        option: The option that gives ångströms, for the message.

    Raises:
        BadParameter: Both were given, neither was, or the pixel size is missing.
    """
    if (length_px is None) == (length_ang is None):
        raise BadParameter(f"give either --radius-px, or {option} with --pixel-size-ang")
    if length_px is not None:
        return length_px
    if not pixel_size_ang:
        raise BadParameter(f"{option} needs --pixel-size-ang, above 0, to become pixels")
    return (length_ang or 0.0) / pixel_size_ang
