"""Score maps, particles and filaments of micrographs.

- `extract_here`: `extract` in this process.
- `write_score_maps`: `segment` in this process.
- `trace_straight_pieces`: filaments as RELION's branch of Topaz returns them: start and end points
  of straight pieces.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.detectors import (
    ImageScorer,
    ScoredImage,
    choose_torch_device,
    open_image_scorer,
)
from cryopick.clients.topaz_cli.images import write_image
from cryopick.clients.topaz_cli.micrographs import find_images, report_failures
from cryopick.clients.topaz_cli.table_files import (
    FORMATS,
    rescale_coordinates,
    write_table,
    write_table_per_micrograph,
)
from cryopick.clients.topaz_cli.tables import read_tables
from cryopick.errors import CryopickError, InputError, SettingsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.io.names import micrograph_stem
from cryopick.pick.filaments.lines import compute_line_scores
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import trace_filaments
from cryopick.picks import Picks, concatenate

__all__ = ["extract_here", "trace_straight_pieces", "write_score_maps"]

_BENT = 0.5  # radii from the straight line at which a piece is parted

Found = tuple[Float[np.ndarray, "picks 2"], Float[np.ndarray, " picks"]]


def extract_here(values: Namespace) -> int:
    """Find the particles of micrographs and write their tables.

    A table has its header whatever was found, also where a micrograph could not be used: a client
    that waits for the file goes on to the next.

    Returns:
        The exit status.

    Raises:
        InputError: The model is missing, or the targets lie on none of the micrographs.
    """
    paths = find_images(values.paths)
    device = choose_torch_device(values.device)
    look = open_image_scorer(values.model, paths, device, radius_px=values.radius)
    radius_px = values.radius
    if values.targets:
        radius_px = _judged_radius(values, paths, look)
        if values.only_validate:
            return 0
    failures: list[Exception] = []
    tables = list(_tables(values, paths, look, radius_px, failures))
    picks = rescale_coordinates(concatenate(tables), values.up_scale, values.down_scale)
    kind = FORMATS[values.format]
    if values.per_micrograph:
        places = {str(path): _place(path, values) for path in paths}
        write_table_per_micrograph(picks, places, kind, round(2 * radius_px))
    else:
        output = values.output
        if output and Path(output).is_dir():
            output = str(Path(output) / "extracted.txt")
            report(f"# {values.output} is a folder; the table goes to {output}")
        write_table(picks, output, kind, round(2 * radius_px))
    return report_failures(len(paths), failures)


def _tables(
    values: Namespace,
    paths: list[Path],
    look: ImageScorer,
    radius_px: float,
    failures: list[Exception],
) -> Iterator[Picks]:
    """The particles of each micrograph, named by its path; none where it cannot be used."""
    for path in paths:
        try:
            seen = look(path)
        except CryopickError as error:
            failures.append(error)
            yield Picks.for_micrograph(str(path), np.zeros((0, 2)))
            continue
        xy_px, score = _found(values, seen, radius_px)
        if values.verbose:
            report(f"# Extracted {len(xy_px)} particles from {micrograph_stem(path.name)}")
        yield Picks.for_micrograph(str(path), xy_px, score)


def _found(values: Namespace, seen: ScoredImage, radius_px: float) -> Found:
    if not values.filaments:
        return seen.particles(radius_px, values.threshold)
    length_px = values.filaments_length
    pieces = trace_straight_pieces(
        seen,
        radius_px=radius_px,
        length_px=2 * radius_px if length_px is None or length_px <= 0 else length_px,
        threshold=values.threshold,
    )
    return pieces.reshape(-1, 2), np.zeros(2 * len(pieces))


def _place(path: Path, values: Namespace) -> Path:
    """Where the table of one micrograph goes, without the ending of its format."""
    folder = Path(values.output) if values.output else path.parent
    return folder / f"{micrograph_stem(path.name)}{values.suffix}"


def _judged_radius(values: Namespace, paths: list[Path], look: ImageScorer) -> float:
    """The radius given, or the one tried that ranks the targets best; judged on stderr or stdout.

    Raises:
        InputError: The targets lie on none of the micrographs.
        SettingsError: There is no radius to try.
    """
    targets = read_tables([values.targets])
    labelled = [path for path in paths if micrograph_stem(path.name) in targets.micrographs]
    if not labelled:
        raise InputError(
            f"{values.targets}: its particles lie on none of the {len(paths)} micrographs"
        )
    seen = {micrograph_stem(path.name): look(path) for path in labelled}
    radii = [values.radius]
    if values.radius is None:
        radii = list(np.arange(values.min_radius, values.max_radius + 1e-9, values.step_radius))
        if not radii or radii[0] <= 0:
            raise SettingsError("--min-radius, --max-radius and --step-radius leave no radius")
    rows = [(radius, *_judge(values, seen, targets, radius)) for radius in map(float, radii)]
    table = ["radius\tauprc\trecall\tpredicted"]
    table += [f"{r:g}\t{auprc:.6g}\t{recall:.6g}\t{count}" for r, auprc, recall, count in rows]
    text = "\n".join([*table, ""])
    (sys.stdout if values.only_validate else sys.stderr).write(text)
    return max(rows, key=lambda row: (row[1], -row[0]))[0]


def _judge(
    values: Namespace, seen: Mapping[str, ScoredImage], targets: Picks, radius_px: float
) -> tuple[float, float, int]:
    """Average precision, recall and number of what a radius finds."""
    reach = values.assignment_radius if values.assignment_radius >= 0 else radius_px
    picks = concatenate(
        [
            Picks.for_micrograph(name, *own.particles(radius_px, values.threshold))
            for name, own in seen.items()
        ]
    )
    judged = evaluate_picks(picks, targets.restrict(list(seen)), reach)
    return judged.average_precision or 0.0, judged.all_picks.recall, len(picks)


def trace_straight_pieces(
    seen: ScoredImage, *, radius_px: float, length_px: float, threshold: float
) -> Float[np.ndarray, "pieces 4"]:
    """Find filaments, and part them where they leave the line between their ends.

    Args:
        seen: What a model says of the micrograph.
        radius_px: Half a filament's width.
        length_px: Least length of a filament.
        threshold: Least mean score along one.

    Returns:
        x and y of the start, x and y of the end, in pixels of the micrograph; the surest filament
        first, its pieces in order along it.
    """
    step = seen.scores.step_px
    place_px = step * np.array(seen.scale_yx[::-1])  # pixels along x and y for each place
    width = 2 * radius_px / float(place_px.mean())
    margin = round(width / 2)  # scores rise along the edges as if along a filament
    rows, columns = seen.scores.logits.shape
    usable = np.zeros((rows, columns), bool)
    inner = np.s_[margin : rows - margin, margin : columns - margin]
    usable[inner] = seen.usable[::step, ::step][inner]
    paths = trace_filaments(
        compute_line_scores(seen.scores.logits, usable, width),
        width,
        contrast=FilamentSettings().contrast,
        min_length=length_px / float(place_px.mean()),
    )
    pieces = [np.zeros((0, 4))]
    for path in paths:
        if path.score.mean() >= threshold:
            points = path.xy * place_px
            corners = points[_corners(points, _BENT * radius_px)]
            pieces.append(np.hstack([corners[:-1], corners[1:]]))
    return np.concatenate(pieces)


def _corners(points: Float[np.ndarray, "points 2"], tolerance: float) -> list[int]:
    """Points between which a path is straight, both ends among them.

    Source: Douglas and Peucker 1973, "Algorithms for the reduction of the number of points
    required to represent a digitized line", Cartographica 10:112.
    """
    first, last = points[0], points[-1]
    along = (last - first) / max(float(np.hypot(*(last - first))), 1e-9)
    aside = np.abs((points - first) @ np.array([-along[1], along[0]]))
    middle = int(aside.argmax())
    if aside[middle] <= tolerance or len(points) < 3:
        return [0, len(points) - 1]
    before = _corners(points[: middle + 1], tolerance)
    return [*before[:-1], *(middle + corner for corner in _corners(points[middle:], tolerance))]


def write_score_maps(values: Namespace) -> int:
    """Write the scores of all pixels of micrographs, `<destdir>/<stem>.tiff`.

    `extract --model none` finds particles in them.
    """
    paths = find_images(values.paths)
    look = open_image_scorer(
        values.model, paths, choose_torch_device(values.device), radius_px=None, dense=True
    )
    failures: list[Exception] = []
    for path in paths:
        try:
            seen = look(path)
        except CryopickError as error:
            failures.append(error)
            continue
        output = Path(values.destdir) / f"{micrograph_stem(path.name)}.tiff"
        write_image(output, seen.whole_map(), None)
        if values.verbose:
            report(f"# scored: {path} -> {output}")
    return report_failures(len(paths), failures)
