"""Particles of all micrographs in one stack, with a STAR file, as older scripts expect.

Number, order and normalization of the images are those of Topaz: micrographs in the order of their
names, the particles of each in the order of the table, and boxes over an edge kept. `cryopick
stack` writes what RELION reads.

- `particle_stack`: write the stack and its table.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Float32
from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.table_files import add_image_suffix, write_table
from cryopick.clients.topaz_cli.tables import read_tables
from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.io.images.micrograph import describe_micrograph, read_micrograph
from cryopick.io.images.mrc_stack import write_mrc_stack
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.star_text import find_columns, parse_star, unquote_values
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.fourier import resample
from cryopick.runs.text_files import read_text
from cryopick.stack.boxes import cut_boxes

__all__ = ["particle_stack"]

_MICROGRAPH = "_rlnMicrographName"
_MIN_RELATIVE_STD = 1e-6  # standard deviation of a box that is not constant, relative to its mean


def particle_stack(values: Namespace) -> None:
    """Write the particles of a table to one stack, with a STAR file beside it.

    Raises:
        SettingsError: A size is below 2.
        InputError: A micrograph is missing, or the table has no particle.
        FormatError: The table of metadata has no column of micrographs.
    """
    side = values.size
    image_side = values.resize if values.resize > 0 else side
    if min(side, image_side) < 2:
        raise SettingsError(f"--size and --resize must be at least 2; got {side}, {image_side}")
    picks = read_tables([values.file])
    if np.isfinite(values.threshold):
        picks = apply_threshold(picks, values.threshold)
    if not len(picks):
        raise InputError(f"{values.file}: has no particles, or none above the threshold")
    picks = _sort_micrographs(picks)
    paths = {
        name: Path(values.image_root) / f"{name}{values.image_ext}" for name in picks.micrographs
    }
    output = Path(values.output)
    _write_stack(output, picks, paths, side, image_side)
    extra = {"rlnImageName": np.array([f"{i:06d}@{output.name}" for i in range(1, len(picks) + 1)])}
    if values.metadata:
        extra |= _read_metadata(Path(values.metadata), picks)
    table = replace(add_image_suffix(picks, values.image_ext), extra=extra)
    write_table(table, str(output.with_suffix(".star")), "star")
    report(f"# {len(picks)} particles written to {output}")


def _sort_micrographs(picks: Picks) -> Picks:
    """Sort a table by the names of its micrographs; drop micrographs without particles."""
    tables = sorted(picks.split_by_micrograph(), key=lambda pair: pair[0])
    return concatenate([table for _, table in tables if len(table)])


def _write_stack(
    output: Path, picks: Picks, paths: Mapping[str, Path], side: int, image_side: int
) -> None:
    sizes_ang = [
        describe_micrograph(paths[name], with_pixels=False).pixel_size_ang
        for name, _ in picks.split_by_micrograph()
    ]
    size_ang = next((size for size in reversed(sizes_ang) if size), 0.0)

    def cut() -> Iterator[Float32[np.ndarray, "out out"]]:
        for name, picks_of_one in picks.split_by_micrograph():
            pixels = read_micrograph(paths[name]).pixels
            for box in cut_boxes(pixels, picks_of_one.xy_px, side):
                image = _standardize(box)
                if image_side != side:
                    image = _standardize(resample(image, (image_side, image_side)))
                yield image

    scale = side / image_side
    write_mrc_stack(
        output, cut(), count=len(picks), side=image_side, pixel_size_ang=size_ang * scale
    )


def _standardize(box: Float32[np.ndarray, "side side"]) -> Float32[np.ndarray, "side side"]:
    """Scale the pixels inside the micrograph to mean 0 and standard deviation 1; 0 outside.

    >>> _standardize(np.array([[1.0, 3.0], [np.nan, np.nan]], np.float32))
    array([[-1.,  1.],
           [ 0.,  0.]], dtype=float32)
    """
    is_inside = np.isfinite(box)
    image = np.zeros_like(box)
    if is_inside.any():
        pixels = box[is_inside].astype(np.float64)
        mean, std = pixels.mean(), pixels.std()
        is_constant = std <= _MIN_RELATIVE_STD * abs(mean)
        image[is_inside] = 0.0 if is_constant else (pixels - mean) / std
    return image


def _read_metadata(path: Path, picks: Picks) -> dict[str, np.ndarray]:
    """Read the columns of a STAR file with a row per micrograph, for each particle.

    Raises:
        FormatError: The file has no column of micrographs, or not the micrograph of a particle.
    """
    for block in parse_star(read_text(path), path):
        columns = find_columns(block, _MICROGRAPH)
        if _MICROGRAPH in columns:
            break
    else:
        raise FormatError(f"{path}: expected a STAR file with the column {_MICROGRAPH}")
    names = [micrograph_stem(name) for name in unquote_values(columns.pop(_MICROGRAPH))]
    row_of = {name: row for row, name in enumerate(names)}
    stems = [micrograph_stem(name) for name in picks.micrographs]
    if missing := [name for name in stems if name not in row_of]:
        raise FormatError(f"{path}: has no row for the micrograph {missing[0]}")
    rows = np.array([row_of[name] for name in stems])[picks.index]
    return {
        tag.removeprefix("_"): np.array(unquote_values(texts))[rows]
        for tag, texts in columns.items()
    }
