"""Score maps, particles and filaments of micrographs.

- `extract_here`: `extract` in this process.
- `write_score_maps`: `segment` in this process.
- `trace_straight_pieces`: filaments as RELION's branch of Topaz returns them: start and end points
  of straight pieces.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.detectors import (
    Detector,
    ScoredImage,
    choose_numbered_device,
    open_detector,
)
from cryopick.clients.topaz_cli.images import write_image
from cryopick.clients.topaz_cli.micrographs import find_images, report_failures
from cryopick.clients.topaz_cli.table_files import (
    FORMATS,
    PICKED_ENDINGS,
    rescale_coordinates,
    write_table,
    write_table_per_micrograph,
)
from cryopick.clients.topaz_cli.target_search import choose_by_targets
from cryopick.errors import CryopickError
from cryopick.io.names import micrograph_stem
from cryopick.pick.filaments.lines import compute_line_scores
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import trace_filaments
from cryopick.picks import Picks, concatenate
from cryopick.runs.file_errors import translate_file_errors

__all__ = ["extract_here", "trace_straight_pieces", "write_score_maps"]

_MAX_DEVIATION = 0.5  # from a straight line, in radii, before a piece is split

PositionsAndScores = tuple[Float[np.ndarray, "picks 2"], Float[np.ndarray, " picks"]]


def extract_here(values: Namespace) -> int:
    """Pick particles on micrographs and write their tables.

    Each table is written with its header, also without particles or for a micrograph that cannot be
    used, because clients wait for the file.

    Returns:
        The exit status.

    Raises:
        InputError: The model is missing, or no target lies on the micrographs.
        SettingsError: The minimum distance between particles is unknown.
    """
    paths = find_images(values.paths)
    device = choose_numbered_device(values.device)
    if values.targets:
        detector, radius_px = choose_by_targets(values, paths, device)
        if values.only_validate:
            return 0
    else:
        detector = open_detector(values.model, paths, device, diameter_px=values.particle_diameter)
        radius_px = detector.choose_radius(values.radius)
    box_px = round(2 * detector.choose_particle_radius(values.radius, radius_px))
    failures: list[Exception] = []
    tables = list(_tables(values, paths, detector, radius_px, failures))
    picks = rescale_coordinates(concatenate(tables), values.up_scale, values.down_scale)
    kind = FORMATS[values.format]
    if values.per_micrograph:
        table_paths = {str(path): _table_path(path, values) for path in paths}
        write_table_per_micrograph(picks, table_paths, kind, box_px, endings=PICKED_ENDINGS)
    else:
        output = values.output
        if output and Path(output).is_dir():
            output = str(Path(output) / "extracted.txt")
            report(f"# {values.output} is a folder; writing the table to {output}")
        write_table(picks, output, kind, box_px)
    return report_failures(len(paths), failures)


def _tables(
    values: Namespace,
    paths: list[Path],
    detector: Detector,
    radius_px: float,
    failures: list[Exception],
) -> Iterator[Picks]:
    """Pick each micrograph; yield an empty table for one that cannot be used."""
    for path in paths:
        try:
            with translate_file_errors(path):
                scored = detector.score(path)
        except CryopickError as error:
            failures.append(error)
            yield Picks.for_micrograph(str(path), np.zeros((0, 2)))
            continue
        if values.filaments:
            half_width_px = detector.choose_particle_radius(values.radius, radius_px)
            xy_px, score = _trace(values, scored, half_width_px)
        else:
            xy_px, score = scored.particles(radius_px, values.threshold)
        if values.verbose:
            report(f"# Extracted {len(xy_px)} particles from {micrograph_stem(path.name)}")
        yield Picks.for_micrograph(str(path), xy_px, score)


def _trace(values: Namespace, scored: ScoredImage, radius_px: float) -> PositionsAndScores:
    """Trace filaments of this half width; the start and end point of each piece are rows."""
    length_px = values.filaments_length
    pieces = trace_straight_pieces(
        scored,
        radius_px=radius_px,
        length_px=2 * radius_px if length_px is None or length_px <= 0 else length_px,
        threshold=values.threshold,
    )
    return pieces.reshape(-1, 2), np.zeros(2 * len(pieces))


def _table_path(path: Path, values: Namespace) -> Path:
    """Return the path of the table of a micrograph, without suffix."""
    folder = Path(values.output) if values.output else path.parent
    return folder / f"{micrograph_stem(path.name)}{values.suffix}"


def trace_straight_pieces(
    scored: ScoredImage, *, radius_px: float, length_px: float, threshold: float
) -> Float[np.ndarray, "pieces 4"]:
    """Trace filaments, and split them where they deviate from a straight line.

    Args:
        scored: Scores of the micrograph.
        radius_px: Half the width of a filament.
        length_px: Minimum length of a filament.
        threshold: Minimum mean score along a filament.

    Returns:
        x and y of the start, x and y of the end, in pixels of the micrograph; the filament with the
        highest score first, its pieces in order.
    """
    step = scored.scores.step_px
    step_px = step * np.array(scored.scale_yx[::-1])  # pixels along x and y per element of the map
    width = 2 * radius_px / float(step_px.mean())
    margin = round(width / 2)  # scores rise along the edges as if along a filament
    rows, columns = scored.scores.logits.shape
    usable = np.zeros((rows, columns), bool)
    inner = np.s_[margin : rows - margin, margin : columns - margin]
    usable[inner] = scored.usable[::step, ::step][inner]
    paths = trace_filaments(
        compute_line_scores(scored.scores.logits, usable, width),
        width,
        contrast=FilamentSettings().contrast,
        min_length=length_px / float(step_px.mean()),
    )
    pieces = [np.zeros((0, 4))]
    for path in paths:
        if path.score.mean() >= threshold:
            points = path.xy * step_px
            corners = points[_corners(points, _MAX_DEVIATION * radius_px)]
            pieces.append(np.hstack([corners[:-1], corners[1:]]))
    return np.concatenate(pieces)


def _corners(points: Float[np.ndarray, "points 2"], tolerance: float) -> list[int]:
    """Find the points between which a path is straight, including both ends.

    Source: Douglas and Peucker 1973, "Algorithms for the reduction of the number of points
    required to represent a digitized line", Cartographica 10:112.
    """
    first, last = points[0], points[-1]
    along = (last - first) / max(float(np.hypot(*(last - first))), 1e-9)
    deviations = np.abs((points - first) @ np.array([-along[1], along[0]]))
    farthest = int(deviations.argmax())
    if deviations[farthest] <= tolerance or len(points) < 3:
        return [0, len(points) - 1]
    before = _corners(points[: farthest + 1], tolerance)
    return [*before[:-1], *(farthest + corner for corner in _corners(points[farthest:], tolerance))]


def write_score_maps(values: Namespace) -> int:
    """Write the score of each pixel to `<destdir>/<stem>.tiff`.

    `extract --model none` picks particles in these maps.
    """
    paths = find_images(values.paths)
    detector = open_detector(
        values.model,
        paths,
        choose_numbered_device(values.device),
        diameter_px=values.particle_diameter,
        dense=True,
    )
    failures: list[Exception] = []
    for path in paths:
        try:
            with translate_file_errors(path):
                scored = detector.score(path)
        except CryopickError as error:
            failures.append(error)
            continue
        output = Path(values.destdir) / f"{micrograph_stem(path.name)}.tiff"
        write_image(output, scored.whole_map(), None)
        if values.verbose:
            report(f"# scored: {path} -> {output}")
    return report_failures(len(paths), failures)
