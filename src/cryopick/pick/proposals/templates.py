"""Templates for template matching: projections, class averages, or an average of picks.

A template is a square image of odd side in working pixels, with a bright particle in the centre.

- `Templates`: the images and the angle between rotated copies.
- `load_templates`: make templates from a file, according to its suffix.
- `make_projections`, `read_class_averages`, `average_picks`: the three sources of templates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import InputError
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.pick.proposals.correlation import make_disc_mask
from cryopick.pick.proposals.settings import TemplateSettings
from cryopick.picks import Picks
from cryopick.preprocess.fourier import reduced_shape, resample
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.molecules import Molecule
from cryopick.simulate.views import project_molecule

__all__ = [
    "Templates",
    "average_picks",
    "load_templates",
    "make_projections",
    "read_class_averages",
]

# Diameters across a template: the particle and some of the background that it stands on. What
# stands next to a particle is part of an average of picks, and tells more than it disturbs.
_SIDE_DIAMETERS = 1.3
_PICKS_SIDE_DIAMETERS = 2.2
_CLASS_AVERAGES_SUFFIX = ".mrcs"
_MOLECULE_SUFFIXES = (".mrc", ".map", ".pdb", ".ent", ".cif", ".mmcif", ".gz")
_ROTATIONS = 72  # of an average that is made round

# Gives the flatten_with_picks micrograph at the working scale, and picks on it in working pixels.
FlattenWithPicks = Callable[
    [Path, Picks], tuple[Float32[np.ndarray, "height width"], Float[np.ndarray, "picks 2"]]
]


@dataclass(frozen=True, eq=False)
class Templates:
    """Templates and their sampling of in-plane rotations.

    Attributes:
        images: One or more views with bright particles.
        step_deg: Angle between rotated copies; 360 for rotationally symmetric templates.
    """

    images: Float[np.ndarray, "views side side"]
    step_deg: float


def _side_px(width_px: float) -> int:
    """Round a width to an odd number of pixels, at least 5."""
    return 2 * max(2, round(width_px / 2)) + 1


def load_templates(
    settings: TemplateSettings,
    paths: Sequence[Path],
    flatten_with_picks: FlattenWithPicks,
    *,
    diameter_px: float,
    working_ang: float,
) -> Templates:
    """Make templates from a file, according to its suffix.

    Args:
        settings: The file, the number of views and the angle between rotations.
        paths: The micrographs to which a table of picks refers.
        flatten_with_picks: Function that reads and normalises a micrograph.
        diameter_px: Particle diameter in working pixels.
        working_ang: Ångströms per working pixel.

    Raises:
        InputError: The file is missing, or its content does not match its suffix.
    """
    path, side = settings.path, _side_px(_SIDE_DIAMETERS * diameter_px)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a map, class averages or a table of picks")
    suffix = path.suffix.lower()
    if suffix == _CLASS_AVERAGES_SUFFIX:
        images = read_class_averages(path, settings.pixel_size_ang, side, working_ang)
        return Templates(images, settings.step_deg)
    if suffix in _MOLECULE_SUFFIXES:
        molecule = load_molecule(str(path))
        return Templates(
            make_projections(molecule, settings.views, side, working_ang), settings.step_deg
        )
    side = _side_px(_PICKS_SIDE_DIAMETERS * diameter_px)
    return Templates(average_picks(path, paths, flatten_with_picks, side)[None], 360.0)


def make_projections(
    molecule: Molecule, views: int, side: int, working_ang: float
) -> Float[np.ndarray, "{views} {side} {side}"]:
    """Project a molecule along directions that cover the sphere evenly (a Fibonacci spiral)."""
    height = 1 - (2 * np.arange(views) + 1) / views
    azimuths = np.arange(views) * np.pi * (3 - np.sqrt(5))
    tilts = np.arccos(height)
    rotations = (
        _rotate_about_y(tilt) @ _rotate_about_z(azimuth)
        for tilt, azimuth in zip(tilts, azimuths, strict=True)
    )
    return np.stack(
        [project_molecule(molecule, rotation, working_ang, side) for rotation in rotations]
    )


def read_class_averages(
    path: Path, pixel_size_ang: float | None, side: int, working_ang: float
) -> Float[np.ndarray, "classes {side} {side}"]:
    """Read class averages and resample them to working pixels; empty classes are skipped.

    Averages with a centre darker than the rim are inverted.

    Args:
        path: A stack in MRC format, with the particle centred on pixel n // 2.
        pixel_size_ang: Pixel size of the stack; None reads it from the header.
        side: Side of the templates in working pixels.
        working_ang: Ångströms per working pixel.

    Raises:
        InputError: The file is not a stack of square images, all images are empty, or the pixel
            size is unknown.
    """
    import mrcfile  # type: ignore[import-untyped]  # has no types

    try:
        with mrcfile.open(path, mode="r") as source:
            stack = np.array(source.data, dtype=np.float32)
            header_ang = float(source.voxel_size.x)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path}: expected class averages in MRC format ({error}); check that it is complete"
        ) from error
    stack = stack if stack.ndim == 3 else stack[None]
    stack_ang = pixel_size_ang or header_ang
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or not np.isfinite(stack).all():
        shape = " x ".join(map(str, stack.shape))
        raise InputError(f"{path}: expected square images of finite numbers, found {shape}")
    if not stack_ang > 0:
        raise InputError(
            f"{path}: the header has no pixel size; give it with --template-pixel-size-ang"
        )
    averages = [average for average in stack if average.std() > 0]
    if not averages:
        raise InputError(f"{path}: all class averages are empty; use another file")
    return np.stack(
        [_make_template(average, stack_ang / working_ang, side) for average in averages]
    )


def average_picks(
    path: Path, paths: Sequence[Path], flatten_with_picks: FlattenWithPicks, side: int
) -> Float[np.ndarray, "{side} {side}"]:
    """Average the images around picks, over all picks and all rotations.

    Raises:
        InputError: No pick is completely inside one of the micrographs.
    """
    from scipy.ndimage import rotate, shift

    picks = match_names(read_picks(path), list(paths)).picks
    total, count, half = np.zeros((side, side)), 0, side // 2
    for name, micrograph_picks in picks.split_by_micrograph():
        if not len(micrograph_picks):
            continue
        image, xy = flatten_with_picks(Path(name), micrograph_picks)
        for x, y in xy:
            column, row = round(x), round(y)
            box = image[
                max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1
            ]
            if box.shape == (side, side):
                total += shift(box, (row - y, column - x), order=1, mode="nearest")
                count += 1
    if not count:
        raise InputError(
            f"{path}: no pick is completely inside one of the {len(paths)} micrographs; use a "
            "table of picks on these micrographs"
        )
    angles_deg = np.arange(_ROTATIONS) * 360 / _ROTATIONS
    average = total / count
    rotated = [rotate(average, angle_deg, reshape=False, order=1) for angle_deg in angles_deg]
    return np.mean(rotated, axis=0)


def _make_template(
    average: Float32[np.ndarray, "size size"], scale: float, side: int
) -> Float[np.ndarray, "{side} {side}"]:
    """Resample a class average to working pixels, centred and with a bright particle."""
    from scipy.ndimage import map_coordinates

    size = len(average)
    resampled = resample(average - average.mean(), reduced_shape(average.shape, 1 / scale))
    centre = (size // 2) * len(resampled) / size
    grid = np.arange(side) - side // 2 + centre
    coordinates = np.meshgrid(grid, grid, indexing="ij")
    image = map_coordinates(resampled, coordinates, order=1, mode="nearest")
    y, x = np.mgrid[:side, :side] - side // 2
    is_centre = np.hypot(y, x) <= side / 4
    is_rim = ~make_disc_mask(side) | (np.hypot(y, x) > 0.4 * side)
    return np.asarray(image if image[is_centre].mean() >= image[is_rim].mean() else -image)


def _rotate_about_z(angle_rad: float) -> Float[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def _rotate_about_y(angle_rad: float) -> Float[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
