"""Particle size and minimum distance that rank targets best.

- `choose_by_targets`: open a model at the best size, and choose the distance.
- `search_size`: choose the size only; `SizeSearch`: result.
"""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.detectors import (
    Detector,
    ScoredImage,
    load_model_of_name,
    open_detector,
    searches_size,
)
from cryopick.clients.topaz_cli.particle_size import choose_pick_settings, list_diameters
from cryopick.clients.topaz_cli.tables import read_tables
from cryopick.errors import CryopickError, InputError, SettingsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.io.names import micrograph_stem
from cryopick.model.device import AnyDevice
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate

__all__ = ["SizeSearch", "choose_by_targets", "search_size"]

_MAX_MICROGRAPHS = 4  # that are scored at every size
_MATCH_PX = 8.0  # between a pick and a target at every size, if the user gives no distance


@dataclass(frozen=True)
class SizeSearch:
    """Size at which a model ranks targets best.

    Attributes:
        settings: Settings of picking with this size.
        scored: Scores at this size, by the path of the micrograph; not of all micrographs.
    """

    settings: PickSettings
    scored: Mapping[Path, ScoredImage]


def choose_by_targets(
    values: Namespace, paths: Sequence[Path], device: AnyDevice
) -> tuple[Detector, float]:
    """Open the model at the size, and choose the distance, with the best average precision.

    The results of all tested distances go to stderr, or to stdout with `--only-validate`.

    Args:
        values: Options of `extract`, with targets.
        paths: Micrographs.
        device: Device to score on.

    Raises:
        InputError: No target lies on the micrographs.
        SettingsError: There is no distance to test.
    """
    targets = read_tables([values.targets])
    labelled = [path for path in paths if micrograph_stem(path.name) in targets.micrographs]
    if not labelled:
        raise InputError(
            f"{values.targets}: its particles lie on none of the {len(paths)} micrographs"
        )
    detector = _open_at_best_size(values, paths, labelled, targets, device)
    scores = {path: detector.score(path) for path in labelled}
    detector = detector.with_scores(scores)
    scored = {micrograph_stem(path.name): one for path, one in scores.items()}
    if values.radius is not None:
        radii = [detector.choose_radius(values.radius)]
    else:
        radii = list(np.arange(values.min_radius, values.max_radius + 1e-9, values.step_radius))
        if not radii or radii[0] <= 0:
            raise SettingsError("--min-radius, --max-radius and --step-radius leave no radius")
    given_px = values.assignment_radius
    rows = [
        (
            radius,
            *_evaluate(
                scored, targets, radius, given_px if given_px >= 0 else radius, values.threshold
            ),
        )
        for radius in map(float, radii)
    ]
    table = ["radius\tauprc\trecall\tpredicted"]
    table += [f"{r:g}\t{auprc:.6g}\t{recall:.6g}\t{count}" for r, auprc, recall, count in rows]
    text = "\n".join([*table, ""])
    (sys.stdout if values.only_validate else sys.stderr).write(text)
    return detector, max(rows, key=lambda row: (row[1], -row[0]))[0]


def _open_at_best_size(
    values: Namespace,
    paths: Sequence[Path],
    labelled: Sequence[Path],
    targets: Picks,
    device: AnyDevice,
) -> Detector:
    """Open the model at the size with the best average precision, if it depends on the size."""
    if values.particle_diameter is not None or not searches_size(values.model):
        return open_detector(values.model, paths, device, diameter_px=values.particle_diameter)
    images = {micrograph_stem(path.name): path for path in labelled}
    search = search_size(
        values.model, images, targets, device, match_px=_find_match_distance(values)
    )
    detector = open_detector(values.model, paths, device, settings=search.settings)
    return detector.with_scores(search.scored)


def _find_match_distance(values: Namespace) -> float | None:
    if values.assignment_radius >= 0:
        return float(values.assignment_radius)
    return None if values.radius is None else float(values.radius)


def search_size(
    name: str,
    images: Mapping[str, Path],
    targets: Picks,
    device: AnyDevice,
    *,
    match_px: float | None = None,
) -> SizeSearch:
    """Choose the size at which a model ranks the targets best.

    Args:
        name: Name of the model, as the user gives it.
        images: Micrographs by the names that they have in `targets`.
        targets: Labelled particles, some or all.
        device: Device to score on.
        match_px: Maximum distance between a pick and a target.
    """
    match_px = match_px or _MATCH_PX
    sample = dict(list(images.items())[:_MAX_MICROGRAPHS])
    paths = list(sample.values())
    estimated = choose_pick_settings(name, load_model_of_name(name), device, paths)
    best_precision, best = -1.0, SizeSearch(estimated, {})
    for diameter_px in list_diameters(paths):
        settings = replace(
            estimated, diameter_ang=diameter_px, scale_ang=diameter_px, width_ang=None
        )
        detector = open_detector(name, paths, device, settings=settings)
        try:
            scored = {image: detector.score(path) for image, path in sample.items()}
        except CryopickError:  # too small or too large for the images
            continue
        radius_px = detector.choose_radius(None)
        precision = _evaluate(scored, targets, radius_px, match_px, threshold=-np.inf)[0]
        if precision > best_precision:
            best_precision = precision
            best = SizeSearch(settings, {sample[image]: one for image, one in scored.items()})
    chosen = best.settings
    report(
        f"# {name}: {chosen.contrast} particles of {chosen.scale_ang:.3g} pixels, at which the "
        f"targets are ranked best, with an average precision of {best_precision:.3f}"
    )
    return best


def _evaluate(
    scored: Mapping[str, ScoredImage],
    targets: Picks,
    radius_px: float,
    match_px: float,
    threshold: float,
) -> tuple[float, float, int]:
    """Compute average precision, recall and number of picks for a minimum distance."""
    picks = concatenate(
        [
            Picks.for_micrograph(name, *one.particles(radius_px, threshold))
            for name, one in scored.items()
        ]
    )
    evaluation = evaluate_picks(picks, targets.restrict(list(scored)), match_px)
    return evaluation.average_precision or 0.0, evaluation.all_picks.recall, len(picks)
