"""`cryopick models`: list and describe models, and import those of Topaz."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option, echo

from cryopick.cli.app import Application, app
from cryopick.cli.messages import note, warn
from cryopick.cli.options import Force, Json
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.clients.topaz_models.settings import ImportSettings
from cryopick.errors import CryopickError, FormatError, NotFoundError

__all__ = ["MODEL_SUFFIX", "describe_model", "model_lines", "models_app"]

MODEL_SUFFIX = ".safetensors"

models_app: typer.Typer = Application(
    name="models",
    help="List and describe models, and import those of Topaz.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(models_app)


@models_app.command()
def show(
    model: Annotated[Path, Argument(metavar="MODEL", help="Model file.")],
    as_json: Json = False,
) -> None:
    """Show the contents of a model file.

    Prints network, particle, preprocessing, training and results.

    Example: cryopick models show particle.safetensors
    """
    facts = describe_model(model)
    echo(json.dumps(facts, indent=2) if as_json else "\n".join([str(model), *model_lines(facts)]))


@models_app.command("list")
def list_models(
    folder: Annotated[Path, Argument(metavar="FOLDER", help="Folder to search.")] = Path(),
    as_json: Json = False,
) -> None:
    """List the models in a folder, one per line.

    Example: cryopick models list models
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; check the name")
    models = {}
    for path in sorted(folder.glob(f"*{MODEL_SUFFIX}")):
        try:
            models[str(path)] = describe_model(path)
        except CryopickError as error:
            warn(f"skipped {error}")
    if as_json:
        echo(json.dumps(models, indent=2))
        return
    for name, facts in models.items():
        precision = (facts["summary"].get("held_out") or {}).get("particle_average_precision")
        quality = "not evaluated" if precision is None else f"held-out AP {precision:.3f}"
        echo(f"{name}  {facts['network']['name']}  {facts['diameter_ang']:g} Å  {quality}")


@models_app.command("import")
@expand_settings
def import_model(
    detector: Annotated[Path, Argument(metavar="DETECTOR", help="Detector file of Topaz (.sav).")],
    out: Annotated[Path, Option("--out", "-o", metavar="MODEL", help="Model file to write.")],
    options: Annotated[SettingsOptions[ImportSettings], Fields(skip=("label_radius_px",))],
    force: Force = False,
) -> None:
    """Convert a trained Topaz detector to a model. No code in the file is executed.

    Supports resnet8, resnet16, conv31, conv63 and conv127 with any number of units. Scores equal
    those of Topaz on the same preprocessed images.

    Example: cryopick models import a.sav -o a.safetensors --factor 8 --pixel-size-ang 1
    --diameter-ang 120
    """
    from cryopick.clients.topaz_models.model import import_topaz_model
    from cryopick.model.model_file import save_model

    model = import_topaz_model(detector, options.build())
    save_model(model, out, overwrite=force)
    network = model.network.settings
    note(
        f"model {network.name} of width {network.width}, for a pixel size of "
        f"{model.working_pixel_size_ang:g} Å, written to {out}"
    )


def describe_model(path: Path) -> dict[str, Any]:
    """Read the metadata of a model file, without the weights.

    Raises:
        NotFoundError: The file does not exist.
        FormatError: The file is not a cryopick model.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise NotFoundError(f"{path}: no such model file; check the name")
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
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{path}: a safetensors file, but not a cryopick model; "
            "use a file written by `cryopick train`"
        ) from error
    return dict(facts)


def model_lines(facts: Mapping[str, Any]) -> list[str]:
    """Format the metadata of a model as indented lines."""
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
