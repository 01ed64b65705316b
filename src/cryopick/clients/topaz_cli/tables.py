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
from cryopick.errors import InputError, SettingsError
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
    """Write tables as one, or as one for each micrograph where the output is a folder."""
    picks = read_tables(values.files, values.from_)
    picks = _above(picks, values.threshold)
    if values.invert_y:
        picks = flip_coordinates(picks, values.imagedir, values.image_ext)
    picks = rescale_coordinates(picks, values.up_scale, values.down_scale)
    output = values.output
    if output and (output.endswith("/") or Path(output).is_dir()):
        wanted = values.to if values.to != "auto" else "box" if values.boxsize > 0 else "json"
        kind = FORMATS[wanted]
        places = _in_folder(picks, Path(output), values.suffix)
    else:
        kind = FORMATS[values.to] if values.to != "auto" else choose_format(output or "")
        places = None
    _need_boxsize(kind, values)
    if kind == "star":
        picks = add_columns(add_image_suffix(picks, values.image_ext), _columns(values))
        places = places and {
            f"{micrograph_stem(name)}{values.image_ext}": at for name, at in places.items()
        }
    if places is None:
        write_table(picks, output, kind, values.boxsize)
    else:
        write_table_per_micrograph(picks, places, kind, values.boxsize)


def split(values: Namespace) -> None:
    """Write one table for each micrograph, in the format of the whole."""
    source = Path(values.file)
    kind = FORMATS[values.format] if values.format != "auto" else detect_codec(source).name
    picks = read_tables([values.file], values.format)
    picks = _above(picks, values.threshold)
    write_table_per_micrograph(picks, _in_folder(picks, Path(values.output), values.suffix), kind)


def train_test_split(values: Namespace) -> None:
    """Set micrographs aside, with their particles: four files beside the table.

    Particles on micrographs that have no image are left out of both sides.

    Raises:
        InputError: No micrograph of the table has an image.
    """
    source, folder = Path(values.file), Path(values.image_dir)
    picks = read_tables([values.file], values.format)
    images = {name: _image_of(name, folder, values.image_ext) for name in picks.micrographs}
    found = {name: path for name, path in images.items() if path is not None}
    if missing := [name for name in images if name not in found]:
        report(f"# left out: {len(missing)} micrographs without an image, such as {missing[0]}")
    if not 1 <= values.number < len(found):
        raise InputError(
            f"{source}: expected more than {values.number} micrographs with an image in "
            f"{folder}, found {len(found)}; check --image-dir, --image-ext and --number"
        )
    sides = hold_out(list(found), values.number, values.seed)
    for side, names in (("train", sides.train), ("test", sides.test)):
        own = picks.restrict(names)
        write_table(own, str(source.with_name(f"{source.stem}_{side}.txt")))
        lines = [f"{micrograph_stem(name)}\t{found[name].absolute()}" for name in names]
        with atomic_write(source.with_name(f"image_list_{side}.txt"), overwrite=True) as temporary:
            temporary.write_text("\n".join(["image_name\tpath", *lines, ""]), encoding="utf-8")
        report(f"# {side}: {len(own)} particles on {len(names)} micrographs")


def precision_recall_curve(values: Namespace) -> None:
    """Write the curve of a table to stdout, with its area and the distance of what was found."""
    predicted, targets = (read_tables([name]) for name in (values.predicted, values.targets))
    chosen = {
        "target": targets.micrographs,
        "predicted": predicted.micrographs,
        "union": (*targets.micrographs, *predicted.micrographs),
    }[values.images]
    judged = evaluate_picks(predicted, targets, values.assignment_radius, only=chosen)
    if judged.curve is None:
        raise SettingsError(f"{values.predicted}: its particles have no score to rank them by")
    error_px = _mean_distance(predicted, targets, values.assignment_radius)
    sys.stdout.write(f"# auprc={judged.curve.average_precision()}, mae={error_px}\n")
    columns = (judged.curve.threshold, judged.curve.precision, judged.curve.recall, judged.curve.f1)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines = ["\t".join(map(str, row)) for row in rows]
    sys.stdout.write("\n".join(["threshold\tprecision\trecall\tf1", *lines, ""]))


def read_tables(files: Sequence[str], kind: str = "auto") -> Picks:
    """Read tables as one.

    Args:
        files: Their names.
        kind: As a client names the format; "auto" and "csv" are told by the content.
    """
    asked = None if kind in ("auto", "csv") else FORMATS[kind]
    picks = read_picks_many([Path(name) for name in files], format=asked)
    stems = {name: micrograph_stem(name) for name in picks.micrographs}
    return picks.rename(stems) if len(set(stems.values())) == len(stems) else picks


def flip_coordinates(picks: Picks, folder: str | None, image_ext: str) -> Picks:
    """Turn coordinates over, for images stored upside down.

    Raises:
        SettingsError: No folder was given.
        InputError: A micrograph is not in it.
    """
    if folder is None:
        raise SettingsError("--invert-y needs the micrographs' heights; add --imagedir")
    heights = []
    for name in picks.micrographs:
        image = _image_of(name, Path(folder), None if image_ext == "*" else image_ext)
        if image is None:
            raise InputError(
                f"{folder}: no micrograph {micrograph_stem(name)} with {image_ext} in it"
            )
        heights.append(read_micrograph_shape(image)[0])
    return picks.invert_y(np.array(heights, np.int64))


def _above(picks: Picks, threshold: float | None) -> Picks:
    """The picks that score at least so much; labels without scores all stay."""
    if threshold is None:
        return picks
    if not picks.is_scored:
        report("# the particles have no scores, so all of them stay")
        return picks
    return apply_threshold(picks, threshold)


def _image_of(name: str, folder: Path, image_ext: str | None) -> Path | None:
    """The file of a micrograph in a folder, if it is there."""
    endings: Iterable[str] = (image_ext,) if image_ext else MICROGRAPH_SUFFIXES
    paths = (folder / f"{micrograph_stem(name)}{ending}" for ending in endings)
    return next((path for path in paths if path.is_file()), None)


def _in_folder(picks: Picks, folder: Path, suffix: str) -> dict[str, Path]:
    """Where each micrograph's table goes, without the ending of its format."""
    return {name: folder / f"{micrograph_stem(name)}{suffix}" for name in picks.micrographs}


def _columns(values: Namespace) -> dict[str, float]:
    return {
        "rlnVoltage": values.voltage,
        "rlnDetectorPixelSize": values.detector_pixel_size,
        "rlnMagnification": values.magnification,
        "rlnAmplitudeContrast": values.amplitude_contrast,
    }


def _need_boxsize(kind: str, values: Namespace) -> None:
    if kind == "box" and values.boxsize < 1:
        values.parser.error("box files need --boxsize, the side of the boxes in pixels")


def _mean_distance(picks: Picks, targets: Picks, radius_px: float) -> float:
    """Mean distance in pixels of picks from the particles that they found; NaN where none did."""
    own = picks.restrict(targets.micrographs)
    partner = match_picks(own, targets, radius_px)
    found = partner >= 0
    away: Float[np.ndarray, "found 2"] = own.xy_px[found] - targets.xy_px[partner[found]]
    return float(np.hypot(*away.T).mean()) if found.any() else float("nan")


def scale_coordinates(values: Namespace) -> None:
    """Multiply coordinates."""
    write_table(rescale_coordinates(read_tables([values.file]), values.scale, 1.0), values.output)


def star_to_coordinates(values: Namespace) -> None:
    """Write a STAR file as a table with tabs."""
    write_table(read_tables([values.file], "star"), values.output)


def coordinates_to_star(values: Namespace) -> None:
    """Write a table as a STAR file to stdout."""
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
    """Write box files as one table with tabs."""
    picks = read_tables(values.files, "box")
    if values.invert_y:
        picks = flip_coordinates(picks, values.imagedir, values.image_ext)
    write_table(picks, values.output)


def coordinates_to_boxes(values: Namespace) -> None:
    """Write a box file for each micrograph."""
    _write_per_micrograph(values, "box", values.boxsize)


def coordinates_to_eman2_json(values: Namespace) -> None:
    """Write an EMAN2 file for each micrograph."""
    _write_per_micrograph(values, "eman")


def star_particles_threshold(values: Namespace) -> None:
    """Leave out the lower scores of a STAR file."""
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
