"""Particles of all micrographs as one stack.

`cryopick stack` writes what RELION reads; this is the one file that older scripts expect.

- `particle_stack`: the stack, and a STAR file beside it.
"""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import mrcfile  # type: ignore[import-untyped]  # has no types
import numpy as np

from cryopick.clients.topaz_cli.manners import say
from cryopick.clients.topaz_cli.tables import read_tables
from cryopick.clients.topaz_cli.writing import named, write_one
from cryopick.errors import InputError, SettingsError
from cryopick.evaluate.thresholds import thresholded
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.sizes import micrograph_shape
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.fourier import downsample
from cryopick.runs.atomic_write import whole
from cryopick.stack.boxes import boxed, cut_boxes

__all__ = ["particle_stack"]


def particle_stack(values: Namespace) -> None:
    """Cut out particles as they are; those whose box reaches over an edge are left out.

    Raises:
        SettingsError: The sides are odd, or the smaller is the larger.
        InputError: A micrograph is missing, or no box lies inside one.
    """
    side, out = values.size, values.resize if values.resize > 0 else values.size
    if side < 2 or side % 2 or out % 2 or out > side:  # the least even side
        raise SettingsError(
            f"expected an even --size of at least 2 and --resize at most that; got {side} and {out}"
        )
    picks = read_tables([values.file])
    if np.isfinite(values.threshold):
        picks = thresholded(picks, values.threshold)
    paths = {
        name: Path(values.image_root) / f"{name}{values.image_ext}" for name in picks.micrographs
    }
    inside = _inside(picks, paths, side)
    if not len(inside):
        raise InputError(f"{values.file}: no box of {side} pixels lies inside a micrograph")
    output = Path(values.output)
    _write(output, inside, paths, side, out)
    names = [f"{number:06d}@{output.name}" for number in range(1, len(inside) + 1)]
    table = replace(named(inside, values.image_ext), extra={"rlnImageName": np.array(names)})
    write_one(table, str(output.with_suffix(".star")), "star")
    say(f"# {len(inside)} of {len(picks)} particles written to {output}")


def _inside(picks: Picks, paths: Mapping[str, Path], side: int) -> Picks:
    """The picks whose boxes lie inside, micrograph by micrograph."""
    kept = []
    for name, own in picks.by_micrograph():
        kept.append(own.select(boxed(micrograph_shape(paths[name]), own.xy_px, side, "skip")))
    return concatenate(kept)


def _write(output: Path, picks: Picks, paths: Mapping[str, Path], side: int, out: int) -> None:
    with (
        whole(output, overwrite=True) as temporary,
        mrcfile.new_mmap(temporary, (len(picks), out, out), mrc_mode=2) as stack,
    ):
        number, size_ang = 0, 0.0
        for name, own in picks.by_micrograph():
            raw = read_micrograph(paths[name])
            size_ang = raw.pixel_size_ang or size_ang
            for box in cut_boxes(raw.pixels, own.xy_px, side):
                stack.data[number] = box if out == side else downsample(box, (out, out))
                number += 1
        stack.set_image_stack()
        stack.voxel_size = size_ang * side / out
