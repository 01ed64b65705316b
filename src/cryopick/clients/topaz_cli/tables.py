"""Commands on tables of particles.

The format of a table is detected from its content. Micrographs are named by their stems, as in
Topaz, unless two of a table have the same stem.

- `convert`, `split`: convert formats, and write one table per micrograph.
- `train_test_split`: split micrographs into a training and a test set.
- `precision_recall_curve`: compare a table with the true particles.
- `scale_coordinates`, `star_to_coordinates`, `coordinates_to_star`, `boxes_to_coordinates`,
  `coordinates_to_boxes`, `coordinates_to_eman2_json`, `star_particles_threshold`: names that older
  scripts use.
- `read_tables`: read tables as one.
"""

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.table_files import (
    FORMATS,
    add_columns,
    add_image_suffix,
    choose_format,
    rescale_coordinates,
    write_table,
    write_table_per_micrograph,
)
from cryopick.errors import InputError, SettingsError, format_count
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.set_operations import hold_out
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.io.images.sizes import read_micrograph_shape
from cryopick.io.names import MICROGRAPH_SUFFIXES, micrograph_stem
from cryopick.io.tables.formats import detect_codec
from cryopick.io.tables.pick_tables import read_picks, read_picks_many
from cryopick.picks import Picks
from cryopick.runs.atomic_write import atomic_write

__all__ = [
    "boxes_to_coordinates",
    "convert",
    "coordinates_to_boxes",
    "coordinates_to_eman2_json",
    "coordinates_to_star",
    "precision_recall_curve",
    "read_tables",
    "scale_coordinates",
    "split",
    "star_particles_threshold",
    "star_to_coordinates",
    "train_test_split",
]


def convert(values: Namespace) -> None:
    """Write tables as one, or as one per micrograph if the output is a folder."""
    picks = read_tables(values.files, values.from_)
    picks = _apply_threshold(picks, values.threshold)
    if values.invert_y:
        picks = flip_coordinates(picks, values.imagedir, values.image_ext)
    picks = rescale_coordinates(picks, values.up_scale, values.down_scale)
    output = values.output
    if output and (output.endswith("/") or Path(output).is_dir()):
        format_name = values.to if values.to != "auto" else "box" if values.boxsize > 0 else "json"
        kind = FORMATS[format_name]
        table_paths = _table_paths(picks, Path(output), values.suffix)
    else:
        kind = FORMATS[values.to] if values.to != "auto" else choose_format(output or "")
        table_paths = None
    _require_box_size(kind, values)
    if kind == "star":
        picks = add_columns(add_image_suffix(picks, values.image_ext), _columns(values))
        table_paths = table_paths and {
            f"{micrograph_stem(name)}{values.image_ext}": at for name, at in table_paths.items()
        }
    if table_paths is None:
        write_table(picks, output, kind, values.boxsize)
    else:
        write_table_per_micrograph(picks, table_paths, kind, values.boxsize)


def split(values: Namespace) -> None:
    """Write one table per micrograph, in the format of the input."""
    source = Path(values.file)
    kind = FORMATS[values.format] if values.format != "auto" else detect_codec(source).name
    picks = read_tables([values.file], values.format)
    picks = _apply_threshold(picks, values.threshold)
    write_table_per_micrograph(picks, _table_paths(picks, Path(values.output), values.suffix), kind)


def train_test_split(values: Namespace) -> None:
    """Split micrographs and their particles: four files beside the table.

    Particles on micrographs without an image are skipped.

    Raises:
        InputError: No micrograph of the table has an image.
    """
    source, folder = Path(values.file), Path(values.image_dir)
    picks = read_tables([values.file], values.format)
    images = {name: _find_image(name, folder, values.image_ext) for name in picks.micrographs}
    image_paths = {name: path for name, path in images.items() if path is not None}
    if missing := [name for name in images if name not in image_paths]:
        report(
            f"# skipped {format_count(len(missing), 'micrograph')} without an image, "
            f"such as {missing[0]}"
        )
    if not 1 <= values.number < len(image_paths):
        raise InputError(
            f"{source}: expected more than {values.number} micrographs with an image in "
            f"{folder}, found {len(image_paths)}; check --image-dir, --image-ext and --number"
        )
    sides = hold_out(list(image_paths), values.number, values.seed)
    for side, names in (("train", sides.train), ("test", sides.test)):
        subset = picks.restrict(names)
        write_table(subset, str(source.with_name(f"{source.stem}_{side}.txt")))
        lines = [f"{micrograph_stem(name)}\t{image_paths[name].absolute()}" for name in names]
        with atomic_write(source.with_name(f"image_list_{side}.txt"), overwrite=True) as temporary:
            temporary.write_text("\n".join(["image_name\tpath", *lines, ""]), encoding="utf-8")
        report(
            f"# {side}: {format_count(len(subset), 'particle')} on "
            f"{format_count(len(names), 'micrograph')}"
        )


def precision_recall_curve(values: Namespace) -> None:
    """Write the precision-recall curve to stdout, with its area and the mean distance."""
    predicted, targets = (read_tables([name]) for name in (values.predicted, values.targets))
    chosen = {
        "target": targets.micrographs,
        "predicted": predicted.micrographs,
        "union": (*targets.micrographs, *predicted.micrographs),
    }[values.images]
    evaluation = evaluate_picks(predicted, targets, values.assignment_radius, only=chosen)
    if evaluation.curve is None:
        raise SettingsError(f"{values.predicted}: its particles have no scores")
    error_px = _mean_distance(predicted, targets, values.assignment_radius)
    sys.stdout.write(f"# auprc={evaluation.curve.average_precision()}, mae={error_px}\n")
    columns = (
        evaluation.curve.threshold,
        evaluation.curve.precision,
        evaluation.curve.recall,
        evaluation.curve.f1,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines = ["\t".join(map(str, row)) for row in rows]
    sys.stdout.write("\n".join(["threshold\tprecision\trecall\tf1", *lines, ""]))


def read_tables(files: Sequence[str], kind: str = "auto") -> Picks:
    """Read tables as one.

    Args:
        files: Their names.
        kind: Format name of a client; "auto" and "csv" are detected from the content.
    """
    format_name = None if kind in ("auto", "csv") else FORMATS[kind]
    picks = read_picks_many([Path(name) for name in files], format=format_name)
    stems = {name: micrograph_stem(name) for name in picks.micrographs}
    return picks.rename(stems) if len(set(stems.values())) == len(stems) else picks


def flip_coordinates(picks: Picks, folder: str | None, image_ext: str) -> Picks:
    """Flip coordinates vertically.

    Raises:
        SettingsError: The folder of the micrographs is missing.
        InputError: A micrograph is not in the folder.
    """
    if folder is None:
        raise SettingsError("--invert-y needs the heights of the micrographs; add --imagedir")
    heights = []
    for name in picks.micrographs:
        image = _find_image(name, Path(folder), None if image_ext == "*" else image_ext)
        if image is None:
            raise InputError(
                f"{folder}: no micrograph {micrograph_stem(name)} with {image_ext} in it"
            )
        heights.append(read_micrograph_shape(image)[0])
    return picks.invert_y(np.array(heights, np.int64))


def _apply_threshold(picks: Picks, threshold: float | None) -> Picks:
    """Apply a threshold; tables without scores are not changed."""
    if threshold is None:
        return picks
    if not picks.is_scored:
        report("# the particles have no scores; all are kept")
        return picks
    return apply_threshold(picks, threshold)


def _find_image(name: str, folder: Path, image_ext: str | None) -> Path | None:
    """Find the file of a micrograph in a folder."""
    endings: Iterable[str] = (image_ext,) if image_ext else MICROGRAPH_SUFFIXES
    paths = (folder / f"{micrograph_stem(name)}{ending}" for ending in endings)
    return next((path for path in paths if path.is_file()), None)


def _table_paths(picks: Picks, folder: Path, suffix: str) -> dict[str, Path]:
    """Return the path of the table of each micrograph, without suffix."""
    return {name: folder / f"{micrograph_stem(name)}{suffix}" for name in picks.micrographs}


def _columns(values: Namespace) -> dict[str, float]:
    return {
        "rlnVoltage": values.voltage,
        "rlnDetectorPixelSize": values.detector_pixel_size,
        "rlnMagnification": values.magnification,
        "rlnAmplitudeContrast": values.amplitude_contrast,
    }


def _require_box_size(kind: str, values: Namespace) -> None:
    if kind == "box" and values.boxsize < 1:
        values.parser.error("box files need --boxsize, the box size in pixels")


def _mean_distance(picks: Picks, targets: Picks, radius_px: float) -> float:
    """Compute the mean distance between matched picks and targets in pixels; NaN without any."""
    subset = picks.restrict(targets.micrographs)
    target_index = match_picks(subset, targets, radius_px)
    image_paths = target_index >= 0
    offsets: Float[np.ndarray, "found 2"] = (
        subset.xy_px[image_paths] - targets.xy_px[target_index[image_paths]]
    )
    return float(np.hypot(*offsets.T).mean()) if image_paths.any() else float("nan")


def scale_coordinates(values: Namespace) -> None:
    """Scale coordinates."""
    write_table(rescale_coordinates(read_tables([values.file]), values.scale, 1.0), values.output)


def star_to_coordinates(values: Namespace) -> None:
    """Convert a STAR file to a tab-separated table."""
    write_table(read_tables([values.file], "star"), values.output)


def coordinates_to_star(values: Namespace) -> None:
    """Convert a table to a STAR file on stdout."""
    columns = {
        "rlnVoltage": values.voltage,
        "rlnDefocusU": values.defocus_u,
        "rlnDefocusV": values.defocus_v,
        "rlnDefocusAngle": values.defocus_angle,
        "rlnSphericalAberration": values.spherical_aberation,
        "rlnAmplitudeContrast": values.amplitude_contrast,
        "rlnDetectorPixelSize": values.detector_pixel_size,
        "rlnMagnification": values.magnification,
    }
    picks = add_image_suffix(read_tables([values.file]), values.image_ext)
    write_table(add_columns(picks, columns), None, "star")


def boxes_to_coordinates(values: Namespace) -> None:
    """Convert box files to one tab-separated table."""
    picks = read_tables(values.files, "box")
    if values.invert_y:
        picks = flip_coordinates(picks, values.imagedir, values.image_ext)
    write_table(picks, values.output)


def coordinates_to_boxes(values: Namespace) -> None:
    """Write a box file per micrograph."""
    _write_per_micrograph(values, "box", values.boxsize)


def coordinates_to_eman2_json(values: Namespace) -> None:
    """Write an EMAN2 file per micrograph."""
    _write_per_micrograph(values, "eman")


def star_particles_threshold(values: Namespace) -> None:
    """Remove particles with low scores from a STAR file."""
    picks = apply_threshold(read_picks(Path(values.file), format="star"), values.threshold)
    write_table(picks, values.output, "star")


def _write_per_micrograph(values: Namespace, kind: str, box_px: int = 0) -> None:
    picks = read_tables(values.paths)
    if values.invert_y:
        picks = flip_coordinates(picks, values.imagedir, values.image_ext)
    folder = Path(values.destdir)
    write_table_per_micrograph(
        picks, {name: folder / name for name in picks.micrographs}, kind, box_px
    )
