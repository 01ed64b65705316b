"""`cryopick models`: what the models at hand are, and models of other programs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Force, Json
from cryopick.cli.settings import settings_of
from cryopick.errors import CryopickError, FormatError, InputError

__all__ = ["MODEL_SUFFIX", "describe_model", "model_lines", "models_app"]

MODEL_SUFFIX = ".safetensors"

models_app: typer.Typer = typer.Typer(
    name="models",
    help="Tell what models are at hand and what made them; take in those of Topaz.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(models_app)


@models_app.command()
def show(
    model: Annotated[Path, Argument(metavar="MODEL", help="Model file.")],
    as_json: Json = False,
) -> None:
    """Tell what a model file holds: network, particle, preparation, training, results.

    Example: cryopick models show particle.safetensors
    """
    facts = describe_model(model)
    echo(json.dumps(facts, indent=2) if as_json else "\n".join([str(model), *model_lines(facts)]))


@models_app.command("list")
def list_models(
    folder: Annotated[Path, Argument(metavar="FOLDER", help="Where to look.")] = Path(),
    as_json: Json = False,
) -> None:
    """List the models in a folder, one a line.

    Example: cryopick models list models
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one with models")
    found = {}
    for path in sorted(folder.glob(f"*{MODEL_SUFFIX}")):
        try:
            found[str(path)] = describe_model(path)
        except CryopickError as error:
            echo(f"skipped {error}", err=True)
    if as_json:
        echo(json.dumps(found, indent=2))
        return
    for name, facts in found.items():
        precision = (facts["summary"].get("held_out") or {}).get("particle_average_precision")
        judged = "not judged" if precision is None else f"held-out AP {precision:.3f}"
        echo(f"{name}  {facts['network']['name']}  {facts['diameter_ang']:g} Å  {judged}")


@models_app.command("import")
def import_model(
    detector: Annotated[Path, Argument(metavar="DETECTOR", help="A .sav file of Topaz's.")],
    out: Annotated[Path, Option("--out", "-o", metavar="MODEL", help="Model file to write.")],
    factor: Annotated[
        float | None, Option(help="Binning of the micrographs it was trained on, such as 8.")
    ] = None,
    pixel_size_ang: Annotated[
        float | None, Option(help="Ångströms per raw pixel of those micrographs.")
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(help="Diameter of its particles in ångströms.")
    ] = None,
    normalization: Annotated[
        str | None,
        Option(
            help="How they were standardised: micrograph, as `topaz preprocess` does, or affine, "
            "as RELION does [micrograph]."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Make a model of a detector that Topaz trained; nothing in the file is run.

    Known are resnet8, resnet16, conv31, conv63 and conv127 of any number of units; scores are
    those of the original on images prepared alike.

    Example: cryopick models import a.sav -o a.st --factor 8 --pixel-size-ang 1 --diameter-ang 120
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.clients.topaz_models.model import ImportSettings, import_topaz_model
    from cryopick.model.model_file import save_model

    model = import_topaz_model(detector, settings_of(ImportSettings, options))
    save_model(model, out, overwrite=force)
    network = model.scorer.settings
    echo(
        f"{network.name} of width {network.width}, for {model.working_pixel_size_ang:g} Å per "
        f"pixel, written to {out}",
        err=True,
    )


def describe_model(path: Path) -> dict[str, Any]:
    """What a model file says of itself; the weights are not read.

    Raises:
        InputError: The file is missing.
        FormatError: It is no model of cryopick's.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: no such model file; check the name")
    try:
        with safe_open(path, framework="numpy") as model:
            metadata = model.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a safetensors file: {error}; train the model again"
        ) from error
    try:
        facts = json.loads(metadata["cryopick"])
        _ = facts["network"]["name"], facts["diameter_ang"], facts["summary"].get("held_out")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{path}: a safetensors file, but not a model of cryopick's; "
            "use a file that `cryopick train` wrote"
        ) from error
    return dict(facts)


def model_lines(facts: Mapping[str, Any]) -> list[str]:
    """A model's description as indented lines, each table of it under its name."""
    return list(_lines(facts, "  "))


def _lines(facts: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in facts.items():
        name = key.removesuffix("_ang").removesuffix("_px").replace("_", " ")
        unit = " Å" if key.endswith("_ang") else " px" if key.endswith("_px") else ""
        if isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from _lines(value, indent + "  ")
        elif value is not None:
            number = f"{value:.6g}" if isinstance(value, float) else str(value)
            yield f"{indent}{name:<28}{number}{unit}"
