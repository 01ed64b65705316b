"""`cryopick evaluate --regions`: average precision of all regions of micrographs.

- `evaluate_model`: run and print the evaluation.
- `RegionOptions`: its options.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typer import echo

from cryopick.cli.options import choose_model_file
from cryopick.cli.progress import progress
from cryopick.cli.tables import align_names
from cryopick.train.settings import GENERAL

if TYPE_CHECKING:
    from cryopick.workflows.region_evaluation import RegionEvaluation

__all__ = ["RegionOptions", "evaluate_model"]


@dataclass(frozen=True)
class RegionOptions:
    """Options of the evaluation of regions.

    Attributes:
        radius_px: Distance from a particle within which a region is positive, in working pixels.
        step_px: Distance between regions in working pixels.
        pixel_size_ang: Pixel size of the raw micrographs; None takes that of the file headers.
        diameter_ang: Particle diameter; None takes that of the model.
    """

    radius_px: float
    step_px: int
    pixel_size_ang: float | None
    diameter_ang: float | None


def evaluate_model(
    model: Path,
    truth: Path,
    micrographs: Sequence[str],
    options: RegionOptions,
    *,
    device: str,
    as_json: bool,
) -> None:
    """Evaluate a model on all regions of micrographs, and print the result.

    Args:
        model: Model file, or `general`.
        truth: Table of all particles.
        micrographs: Input patterns.
        options: Options of the evaluation.
        device: Name of the device.
        as_json: Print JSON.
    """
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.model.device import choose_device
    from cryopick.pick.batch import PickBatch
    from cryopick.pick.settings import PickSettings
    from cryopick.workflows.region_evaluation import evaluate_regions

    is_general = str(model) == GENERAL
    file = choose_model_file(None if is_general else model, options.diameter_ang)
    settings = PickSettings(
        pixel_size_ang=options.pixel_size_ang,
        diameter_ang=options.diameter_ang,
        step_px=options.step_px,
    )
    paths = find_micrographs(list(micrographs))
    picker = PickBatch.open(file, settings, choose_device(device), paths).picker
    particles = align_names(read_picks(truth), [str(path) for path in paths])
    with progress(len(paths), "Scoring regions") as advance:
        evaluation = evaluate_regions(
            picker, paths, particles, radius_px=options.radius_px, on_done=lambda: advance(1)
        )
    echo(json.dumps(evaluation.to_dict(), indent=2) if as_json else _as_text(evaluation))


def _as_text(evaluation: "RegionEvaluation") -> str:
    lines = [
        f"{evaluation.n_regions} regions, {evaluation.n_positive} of them within "
        f"{evaluation.radius_px:g} working pixels of a particle",
        f"average precision  {_format(evaluation.average_precision)}",
        "",
        f"{'regions':>9} {'positive':>9} {'AP':>7}  micrograph",
    ]
    lines += [
        f"{one.n_regions:9d} {one.n_positive:9d} {_format(one.average_precision):>7}  {one.name}"
        for one in evaluation.micrographs
    ]
    return "\n".join(lines)


def _format(value: float | None) -> str:
    return "nan" if value is None else f"{value:.4f}"
