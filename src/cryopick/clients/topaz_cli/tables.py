"""The commands on tables of particles: convert, split, set aside, judge.

Tables are told by their content. Micrographs are named by their stems, as Topaz does, unless two
of a table share one.

- `convert`, `split`: from format to format, and one table for each micrograph.
- `train_test_split`: micrographs to learn from and to judge by.
- `precision_recall_curve`: a table against the known particles.
- `read_tables`, `turned_over`: what the commands of older scripts share with these.
"""

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.clients.topaz_cli.manners import say
from cryopick.clients.topaz_cli.writing import (
    FORMATS,
    format_of,
    named,
    rescaled,
    with_columns,
    write_each,
    write_one,
)
from cryopick.errors import InputError, SettingsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.set_operations import hold_out
from cryopick.evaluate.thresholds import thresholded
from cryopick.io.images.sizes import micrograph_shape
from cryopick.io.inputs import MICROGRAPH_SUFFIXES
from cryopick.io.names import stem_of
from cryopick.io.tables.formats import codec_of
from cryopick.io.tables.pick_tables import read_picks_many
from cryopick.picks import Picks
from cryopick.runs.atomic_write import whole

__all__ = [
    "convert",
    "precision_recall_curve",
    "read_tables",
    "split",
    "train_test_split",
    "turned_over",
]


def convert(values: Namespace) -> None:
    """Write tables as one, or as one for each micrograph where the output is a folder."""
    picks = read_tables(values.files, values.from_)
    picks = _above(picks, values.threshold)
    if values.invert_y:
        picks = turned_over(picks, values.imagedir, values.image_ext)
    picks = rescaled(picks, values.up_scale, values.down_scale)
    output = values.output
    if output and (output.endswith("/") or Path(output).is_dir()):
        wanted = values.to if values.to != "auto" else "box" if values.boxsize > 0 else "json"
        kind = FORMATS[wanted]
        places = _in_folder(picks, Path(output), values.suffix)
    else:
        kind = FORMATS[values.to] if values.to != "auto" else format_of(output or "")
        places = None
    _need_boxsize(kind, values)
    if kind == "star":
        picks = with_columns(named(picks, values.image_ext), _columns(values))
        places = places and {
            f"{stem_of(name)}{values.image_ext}": at for name, at in places.items()
        }
    if places is None:
        write_one(picks, output, kind, values.boxsize)
    else:
        write_each(picks, places, kind, values.boxsize)


def split(values: Namespace) -> None:
    """Write one table for each micrograph, in the format of the whole."""
    source = Path(values.file)
    kind = FORMATS[values.format] if values.format != "auto" else codec_of(source).name
    picks = read_tables([values.file], values.format)
    picks = _above(picks, values.threshold)
    write_each(picks, _in_folder(picks, Path(values.output), values.suffix), kind)


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
        say(f"# left out: {len(missing)} micrographs without an image, such as {missing[0]}")
    if not 1 <= values.number < len(found):
        raise InputError(
            f"{source}: expected more than {values.number} micrographs with an image in "
            f"{folder}, found {len(found)}; check --image-dir, --image-ext and --number"
        )
    sides = hold_out(list(found), values.number, values.seed)
    for side, names in (("train", sides.train), ("test", sides.test)):
        own = picks.restrict(names)
        write_one(own, str(source.with_name(f"{source.stem}_{side}.txt")))
        lines = [f"{stem_of(name)}\t{found[name].absolute()}" for name in names]
        with whole(source.with_name(f"image_list_{side}.txt"), overwrite=True) as temporary:
            temporary.write_text("\n".join(["image_name\tpath", *lines, ""]), encoding="utf-8")
        say(f"# {side}: {len(own)} particles on {len(names)} micrographs")


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
    stems = {name: stem_of(name) for name in picks.micrographs}
    return picks.rename(stems) if len(set(stems.values())) == len(stems) else picks


def turned_over(picks: Picks, folder: str | None, image_ext: str) -> Picks:
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
            raise InputError(f"{folder}: no micrograph {stem_of(name)} with {image_ext} in it")
        heights.append(micrograph_shape(image)[0])
    return picks.inverted_y(np.array(heights, np.int64))


def _above(picks: Picks, threshold: float | None) -> Picks:
    """The picks that score at least so much; labels without scores all stay."""
    if threshold is None:
        return picks
    if not picks.is_scored:
        say("# the particles have no scores, so all of them stay")
        return picks
    return thresholded(picks, threshold)


def _image_of(name: str, folder: Path, image_ext: str | None) -> Path | None:
    """The file of a micrograph in a folder, if it is there."""
    endings: Iterable[str] = (image_ext,) if image_ext else MICROGRAPH_SUFFIXES
    paths = (folder / f"{stem_of(name)}{ending}" for ending in endings)
    return next((path for path in paths if path.is_file()), None)


def _in_folder(picks: Picks, folder: Path, suffix: str) -> dict[str, Path]:
    """Where each micrograph's table goes, without the ending of its format."""
    return {name: folder / f"{stem_of(name)}{suffix}" for name in picks.micrographs}


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
