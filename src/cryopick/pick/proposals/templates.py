"""Templates to correlate with: projections of a map, class averages, or an average of picks.

A template is a square image of odd side in working pixels, the particle bright and in the
middle.

- `Templates`: the images, and whether they must be turned.
- `load_templates`: from whatever a file holds.
- `from_molecule`, `from_averages`, `from_picks`: each kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import InputError
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.pick.proposals.correlation import disc
from cryopick.pick.proposals.settings import TemplateSettings
from cryopick.picks import Picks
from cryopick.preprocess.fourier import reduced_shape, resample
from cryopick.simulate.molecules import Molecule, load_molecule
from cryopick.simulate.views import project

__all__ = ["Templates", "from_averages", "from_molecule", "from_picks", "load_templates"]

# Diameters across a template: the particle and some of the background that it stands on. What
# stands next to a particle is part of an average of picks, and tells more than it disturbs.
_ROOM = 1.3
_ROOM_OF_PICKS = 2.2
_AVERAGES = ".mrcs"
_SOLIDS = (".mrc", ".map", ".pdb", ".ent", ".cif", ".mmcif", ".gz")
_TURNS = 72  # of an average that is made round

# Gives the flattened micrograph at the working scale, and picks on it in working pixels.
Flattened = Callable[
    [Path, Picks], tuple[Float32[np.ndarray, "height width"], Float[np.ndarray, "picks 2"]]
]


@dataclass(frozen=True, eq=False)
class Templates:
    """What to look for.

    Attributes:
        images: One or more views, particles bright.
        step_deg: Turn from one copy to the next; 360 where they are round.
    """

    images: Float[np.ndarray, "views side side"]
    step_deg: float


def _side_px(width_px: float) -> int:
    """The odd number next to a width, at least 5."""
    return 2 * max(2, round(width_px / 2)) + 1


def load_templates(
    settings: TemplateSettings,
    paths: Sequence[Path],
    flattened: Flattened,
    *,
    diameter_px: float,
    working_ang: float,
) -> Templates:
    """Make templates of what a file holds, which its suffix tells.

    Args:
        settings: The file, and how many views and turns to take.
        paths: The micrographs, for a table of picks on them.
        flattened: Gives a micrograph as it will be searched.
        diameter_px: Particle diameter in working pixels.
        working_ang: Ångströms per working pixel.

    Raises:
        InputError: The file is missing, or does not hold what its suffix says.
    """
    path, side = settings.path, _side_px(_ROOM * diameter_px)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a map, class averages or a table of picks")
    suffix = path.suffix.lower()
    if suffix == _AVERAGES:
        images = from_averages(path, settings.pixel_size_ang, side, working_ang)
        return Templates(images, settings.step_deg)
    if suffix in _SOLIDS:
        molecule = load_molecule(str(path))
        return Templates(
            from_molecule(molecule, settings.views, side, working_ang), settings.step_deg
        )
    side = _side_px(_ROOM_OF_PICKS * diameter_px)
    return Templates(from_picks(path, paths, flattened, side)[None], 360.0)


def from_molecule(
    molecule: Molecule, views: int, side: int, working_ang: float
) -> Float[np.ndarray, "{views} {side} {side}"]:
    """Project a molecule along directions spread evenly over the sphere.

    The directions lie on a spiral that gives each the same area.
    """
    height = 1 - (2 * np.arange(views) + 1) / views
    turn = np.arange(views) * np.pi * (3 - np.sqrt(5))
    tilts = np.arccos(height)
    rotations = (_about_y(tilt) @ _about_z(angle) for tilt, angle in zip(tilts, turn, strict=True))
    return np.stack([project(molecule, each, working_ang, side) for each in rotations])


def from_averages(
    path: Path, pixel_size_ang: float | None, side: int, working_ang: float
) -> Float[np.ndarray, "classes {side} {side}"]:
    """Read class averages and bring them to working pixels; empty classes are left out.

    Averages whose middle is darker than their rim are inverted.

    Args:
        path: A stack in MRC format; the particle is centred on pixel n // 2.
        pixel_size_ang: Of the stack, where its header does not say.
        side: Of the templates.
        working_ang: Ångströms per working pixel.

    Raises:
        InputError: It is no stack of square images, none of them holds anything, or their
            pixel size is unknown.
    """
    import mrcfile  # type: ignore[import-untyped]  # has no types

    try:
        with mrcfile.open(path, mode="r") as source:
            stack = np.array(source.data, dtype=np.float32)
            in_file_ang = float(source.voxel_size.x)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path}: expected class averages in MRC format ({error}); check that it is whole"
        ) from error
    stack = stack if stack.ndim == 3 else stack[None]
    own_ang = pixel_size_ang or in_file_ang
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or not np.isfinite(stack).all():
        shape = " x ".join(map(str, stack.shape))
        raise InputError(f"{path}: expected square images of finite numbers, found {shape}")
    if not own_ang > 0:
        raise InputError(
            f"{path}: the header has no pixel size; give it with --template-pixel-size-ang"
        )
    filled = [average for average in stack if average.std() > 0]
    if not filled:
        raise InputError(f"{path}: every class average is empty; give others")
    return np.stack([_as_template(average, own_ang / working_ang, side) for average in filled])


def from_picks(
    path: Path, paths: Sequence[Path], flattened: Flattened, side: int
) -> Float[np.ndarray, "{side} {side}"]:
    """Average the surroundings of picks over all of them and over all turns.

    Raises:
        InputError: None of the picks lies whole on one of the micrographs.
    """
    from scipy.ndimage import rotate, shift

    picks = match_names(read_picks(path), list(paths)).picks
    total, count, reach = np.zeros((side, side)), 0, side // 2
    for name, own in picks.by_micrograph():
        if not len(own):
            continue
        image, xy = flattened(Path(name), own)
        for x, y in xy:
            column, row = round(x), round(y)
            box = image[
                max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1
            ]
            if box.shape == (side, side):
                total += shift(box, (row - y, column - x), order=1, mode="nearest")
                count += 1
    if not count:
        raise InputError(
            f"{path}: none of its picks lies whole on one of the {len(paths)} micrographs; give "
            "a table of picks on these"
        )
    turns = np.arange(_TURNS) * 360 / _TURNS
    return np.mean([rotate(total / count, turn, reshape=False, order=1) for turn in turns], axis=0)


def _as_template(
    average: Float32[np.ndarray, "size size"], scale: float, side: int
) -> Float[np.ndarray, "{side} {side}"]:
    """A class average in working pixels, its middle in the middle, particle bright."""
    from scipy.ndimage import map_coordinates

    size = len(average)
    small = resample(average - average.mean(), reduced_shape(average.shape, 1 / scale))
    centre = (size // 2) * len(small) / size
    grid = np.arange(side) - side // 2 + centre
    image = map_coordinates(small, np.meshgrid(grid, grid, indexing="ij"), order=1, mode="nearest")
    y, x = np.mgrid[:side, :side] - side // 2
    middle = np.hypot(y, x) <= side / 4
    rim = ~disc(side) | (np.hypot(y, x) > 0.4 * side)
    return np.asarray(image if image[middle].mean() >= image[rim].mean() else -image)


def _about_z(angle: float) -> Float[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def _about_y(angle: float) -> Float[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
