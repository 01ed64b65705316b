"""Compare the coordinates of labels with the extents of their micrographs.

Labels made on micrographs of another binning are the same numbers times a factor. If the labels
were made on finer micrographs, many lie outside. If they were made on coarser ones, all lie in one
corner, and fill it as far as the factor says.

- `select_inside`: labels inside their micrographs; refuse tables of another scale.
- `find_outside`: picks outside their micrographs; refuse tables of another scale.
- `read_shapes`: height and width of the micrographs of a table.
- `find_corner_factor`: factor of labels that lie in a corner of all micrographs.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.errors import CryopickError, InputError
from cryopick.evaluate.scale_check import BINNINGS
from cryopick.io.images.sizes import list_pixel_sizes, read_micrograph_shape
from cryopick.picks import Picks
from cryopick.runs.file_errors import translate_file_errors

__all__ = ["find_corner_factor", "find_outside", "read_shapes", "select_inside"]

_MAX_OUTSIDE_FRAC = 0.05
_CORNER_FACTORS = tuple(factor for factor in BINNINGS if factor >= 1.5)
_MIN_CORNER_LABELS = 60
_MIN_CORNER_MICROGRAPHS = 3
_MIN_FILLED_FRAC = 0.9  # of the corner, along both axes
_TOLERANCE = 1.02  # of the extent, as some particles are cut by the edge
_MAX_MARGIN = 1.25  # between the farthest label and the edge
_MAX_HEADERS = 5  # that are read for their pixel size


def select_inside(
    labels: Picks, paths: Sequence[Path], source: Path, *, noun: str = "labels"
) -> Picks:
    """Select the labels that lie inside their micrographs.

    Args:
        labels: Labels, on micrographs named `str(path)`.
        paths: The micrographs. Files that cannot be read are not checked here.
        source: Table of the labels, for messages.
        noun: Word for the labels in messages.

    Raises:
        InputError: More than a few labels lie outside.
    """
    is_outside = find_outside(labels, read_shapes(labels, paths), source, paths, noun=noun)
    return labels.select(np.flatnonzero(~is_outside))


def find_outside(
    picks: Picks,
    shapes_px: Mapping[str, tuple[int, int]],
    source: Path,
    paths: Sequence[Path] = (),
    *,
    noun: str = "picks",
) -> Bool[np.ndarray, " picks"]:
    """Find the picks that lie outside their micrographs.

    Args:
        picks: The table.
        shapes_px: Height and width of micrographs by name.
        source: File of the table, for messages.
        paths: Micrographs, whose pixel sizes serve for advice.
        noun: Word for the picks in messages.

    Raises:
        InputError: More than a few lie outside.
    """
    extents = _relative_extents(picks, shapes_px)
    is_outside = ((extents > 1) | (extents < 0)).any(axis=1)
    if is_outside.sum() > max(1, _MAX_OUTSIDE_FRAC * len(picks)):
        raise InputError(
            f"{source}: {is_outside.sum()} of {len(picks)} {noun} lie outside their micrographs"
            f"{_advise(extents, list_pixel_sizes(paths[:_MAX_HEADERS], None))}"
        )
    return np.asarray(is_outside)


def find_corner_factor(labels: Picks, paths: Sequence[Path]) -> float | None:
    """Find the factor by which labels are too small, if they lie in a corner of all micrographs.

    Labels scattered over micrographs lie in such a corner by chance with a probability below 1e-20.
    Someone who labelled only this part of each micrograph would have stopped at the same fraction
    of width and height.

    Args:
        labels: Labels, on micrographs named `str(path)`.
        paths: The micrographs.

    Returns:
        A usual binning; None if the labels are too few, or not in such a corner.
    """
    rows = labels.rows_by_micrograph().values()
    if (
        len(labels) < _MIN_CORNER_LABELS
        or sum(len(of_one) > 0 for of_one in rows) < _MIN_CORNER_MICROGRAPHS
    ):
        return None
    extents = _relative_extents(labels, read_shapes(labels, paths))
    x_max, y_max = extents.max(axis=0).tolist()
    for factor in _CORNER_FACTORS:
        farthest, nearest = max(x_max, y_max) * factor, min(x_max, y_max) * factor
        if nearest >= _MIN_FILLED_FRAC and farthest <= _TOLERANCE:
            return float(factor)
    return None


def read_shapes(picks: Picks, paths: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Read height and width of the micrographs that have picks, by name.

    Args:
        picks: Table of micrographs named `str(path)`.
        paths: The micrographs. Those that cannot be read are reported when they are prepared.
    """
    by_name = {str(path): path for path in paths}
    shapes = {}
    for name, rows in picks.rows_by_micrograph().items():
        if len(rows) and name in by_name:
            with suppress(CryopickError), translate_file_errors(by_name[name]):
                shapes[name] = read_micrograph_shape(by_name[name])
    return shapes


def _relative_extents(
    picks: Picks, shapes_px: Mapping[str, tuple[int, int]]
) -> Float[np.ndarray, "picks 2"]:
    """Divide the coordinates by width and height; 0 where the size is unknown."""
    extents = np.zeros((len(picks), 2))
    for name, rows in picks.rows_by_micrograph().items():
        if name in shapes_px:
            height, width = shapes_px[name]
            extents[rows] = (picks.xy_px[rows] + 0.5) / (width, height)  # edges of pixels
    return extents


def _advise(extents: Float[np.ndarray, "labels 2"], pixel_sizes_ang: Sequence[float]) -> str:
    """Advise on the factor that brings the labels inside, the smallest of those in use."""
    farthest = float(extents.max())
    is_scaled = (extents >= 0).all() and (extents.min(axis=0) < farthest / 2).all()
    if not is_scaled:
        return "; check that the table belongs to these micrographs"
    factor = next((f for f in BINNINGS if farthest <= f * _TOLERANCE), None)
    for size_ang in pixel_sizes_ang:  # labels that reach most of the way to the edge
        is_nearer = factor is None or size_ang < factor
        if is_nearer and farthest <= size_ang * _TOLERANCE < farthest * _MAX_MARGIN:
            return (
                f": they are probably in ångströms, at {size_ang:g} Å per pixel; convert the table "
                f"with `cryopick convert --scale {1 / size_ang:.4g}`"
            )
    if factor is None:
        return "; check that the table belongs to these micrographs and is in pixels"
    return (
        f": they fit micrographs {factor:g} times larger, of another binning; convert the table "
        f"with `cryopick convert --scale {1 / factor:.4g}`, or give those micrographs"
    )
