"""The commands on tables by the names that older scripts use; the work is that of `convert`.

- `scale_coordinates`, `star_to_coordinates`, `coordinates_to_star`, `boxes_to_coordinates`,
  `coordinates_to_boxes`, `coordinates_to_eman2_json`, `star_particles_threshold`.
"""

from argparse import Namespace
from pathlib import Path

from cryopick.clients.topaz_cli.tables import read_tables, turned_over
from cryopick.clients.topaz_cli.writing import named, rescaled, with_columns, write_each, write_one
from cryopick.evaluate.thresholds import thresholded
from cryopick.io.tables.pick_tables import read_picks

__all__ = [
    "boxes_to_coordinates",
    "coordinates_to_boxes",
    "coordinates_to_eman2_json",
    "coordinates_to_star",
    "scale_coordinates",
    "star_particles_threshold",
    "star_to_coordinates",
]


def scale_coordinates(values: Namespace) -> None:
    """Multiply coordinates."""
    write_one(rescaled(read_tables([values.file]), values.scale, 1.0), values.output)


def star_to_coordinates(values: Namespace) -> None:
    """Write a STAR file as a table with tabs."""
    write_one(read_tables([values.file], "star"), values.output)


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
    picks = named(read_tables([values.file]), values.image_ext)
    write_one(with_columns(picks, columns), None, "star")


def boxes_to_coordinates(values: Namespace) -> None:
    """Write box files as one table with tabs."""
    picks = read_tables(values.files, "box")
    if values.invert_y:
        picks = turned_over(picks, values.imagedir, values.image_ext)
    write_one(picks, values.output)


def coordinates_to_boxes(values: Namespace) -> None:
    """Write a box file for each micrograph."""
    _write_each(values, "box", values.boxsize)


def coordinates_to_eman2_json(values: Namespace) -> None:
    """Write an EMAN2 file for each micrograph."""
    _write_each(values, "eman")


def star_particles_threshold(values: Namespace) -> None:
    """Leave out the lower scores of a STAR file."""
    picks = thresholded(read_picks(Path(values.file), format="star"), values.threshold)
    write_one(picks, values.output, "star")


def _write_each(values: Namespace, kind: str, box_px: int = 0) -> None:
    picks = read_tables(values.paths)
    if values.invert_y:
        picks = turned_over(picks, values.imagedir, values.image_ext)
    folder = Path(values.destdir)
    write_each(picks, {name: folder / name for name in picks.micrographs}, kind, box_px)
