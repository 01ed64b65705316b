"""`cryopick size`: estimate the particle diameter; `resolve_size`: the same for other commands."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Device, Json, Micrographs
from cryopick.cli.progress import open_events
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.pick.settings import PickSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryopick.model.device import AnyDevice
    from cryopick.workflows.size_estimate import SizeEstimate

__all__ = ["resolve_size", "size"]


@app.command()
@expand_settings
def size(
    micrographs: Micrographs,
    options: Annotated[
        SettingsOptions[PickSettings],
        Fields(
            only=("diameter_ang", "contrast", "pixel_size_ang"),
            ranges={"diameter_ang": "diameter_range_ang"},
        ),
    ],
    out: Annotated[
        Path | None, Option("--out", "-o", metavar="FILE", help="JSON file to write as well.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Estimate the particle diameter.

    Scores the first micrographs with the general model at several sizes, as `cryopick pick` does
    without --diameter-ang, and prints the size with the highest scores in ångströms. It is
    accurate to a step of 1.25 at best: check it on particles. The evidence at each size
    in the JSON output is relative to that of the best one. --diameter-ang takes a range here.

    Example: cryopick size micrographs
    """
    from cryopick.io.inputs import find_micrographs
    from cryopick.model.device import require_device
    from cryopick.model.model_file import GENERAL_MODEL, load_model
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.workflows.size_estimate import estimate_size

    settings = options.build()
    if settings.diameter_ang is not None:
        raise BadParameter("--diameter-ang takes a range here, such as 120-180")
    with open_events() as events:
        estimate = estimate_size(
            load_model(GENERAL_MODEL),
            settings,
            require_device(device),
            find_micrographs(micrographs),
            events,
        )
    text = _format_estimate(estimate)
    if out is not None:
        with atomic_write(out, overwrite=True) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    echo(text if as_json else f"{estimate.settings.diameter_ang:.0f}")


def _format_estimate(estimate: "SizeEstimate") -> str:
    """Format an estimate as JSON."""
    settings = estimate.settings
    evidence = [
        {"size_ang": round(size_ang, 1), "evidence": round(value, 4)}
        for size_ang, value in estimate.evidence_by_size.items()
    ]
    facts = {"diameter_ang": settings.diameter_ang, "contrast": settings.contrast}
    return json.dumps({**facts, "evidence_by_size": evidence}, indent=2)


def resolve_size(
    model: Path, settings: PickSettings, device: "AnyDevice", micrographs: "Sequence[Path]"
) -> PickSettings:
    """Estimate the particle size if the general model is used without a diameter, and report it."""
    from cryopick.model.model_file import load_model
    from cryopick.workflows.size_estimate import estimate_size

    loaded = load_model(model)
    if settings.diameter_ang is not None or not loaded.detects_contrast:
        return settings
    with open_events() as events:
        return estimate_size(loaded, settings, device, micrographs, events).settings
