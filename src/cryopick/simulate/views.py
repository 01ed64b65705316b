"""Random orientations and projections of molecules.

- `draw_rotations`: rotation matrices, uniform over all orientations.
- `draw_similar_rotations`: rotation matrices around one preferred view.
- `convert_to_euler_angles`: the same orientations as RELION's angles.
- `deposit_mass`: add the mass of grains to the pixels around them.
- `gaussian_transfer`: Fourier transform of the Gaussian blur of a grain.
- `project_molecule`: project a molecule in one orientation onto an image.
"""

import numpy as np

from cryopick.array_types import Float
from cryopick.simulate.ctf import squared_frequency
from cryopick.simulate.molecules import Molecule

__all__ = [
    "convert_to_euler_angles",
    "deposit_mass",
    "draw_rotations",
    "draw_similar_rotations",
    "gaussian_transfer",
    "project_molecule",
]


def draw_rotations(rng: np.random.Generator, count: int) -> Float[np.ndarray, "{count} 3 3"]:
    """Draw rotation matrices uniformly over all orientations.

    A quaternion of four normal numbers, scaled to length 1, is uniformly distributed over the unit
    quaternions, and the corresponding rotation is uniformly distributed too.

    Source: Shoemake 1992, Graphics Gems III, "Uniform random rotations".
    """
    quaternion = rng.normal(size=(4, count))
    w, x, y, z = quaternion / np.linalg.norm(quaternion, axis=0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def convert_to_euler_angles(
    rotations: Float[np.ndarray, "count 3 3"],
) -> dict[str, Float[np.ndarray, " count"]]:
    """Convert rotation matrices to the angles rot, tilt and psi of RELION, in degrees.

    A matrix turns the molecule into its pose on the specimen; the projection is along z. In the
    ZYZ convention it is Rz(psi) Ry(tilt) Rz(rot) with RELION's signs, so that rot and tilt are the
    spherical coordinates of the direction of view on the molecule.

    Returns:
        Columns `rot_deg` and `psi_deg`, -180 to 180, and `tilt_deg`, 0 to 180.

    Source: Heymann et al. 2005, J. Struct. Biol. 151:196, "Common conventions for interchange and
    archiving of three-dimensional electron microscopy information in structural biology".
    """
    view = rotations[:, 2]  # the direction on the molecule that points along z
    return {
        "rot_deg": np.degrees(np.arctan2(view[:, 1], view[:, 0])),
        "tilt_deg": np.degrees(np.arccos(np.clip(view[:, 2], -1, 1))),
        "psi_deg": np.degrees(np.arctan2(rotations[:, 1, 2], -rotations[:, 0, 2])),
    }


def draw_similar_rotations(
    rng: np.random.Generator, count: int, view: Float[np.ndarray, "3 3"], tilt_sd_rad: float
) -> Float[np.ndarray, "{count} 3 3"]:
    """Draw rotations around one view, with random in-plane angles and small tilts.

    Args:
        rng: Random generator.
        count: Number of rotations.
        view: Rotation of the preferred view.
        tilt_sd_rad: Standard deviation of the tilts about x and about y.
    """
    from scipy.spatial.transform import Rotation

    tilt = np.concatenate([rng.normal(scale=tilt_sd_rad, size=(count, 2)), np.zeros((count, 1))], 1)
    turn = np.concatenate([np.zeros((count, 2)), rng.uniform(0, 2 * np.pi, (count, 1))], 1)
    both = Rotation.from_rotvec(turn) * Rotation.from_rotvec(tilt)
    return both.as_matrix() @ view


def deposit_mass(
    image: Float[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "grains 2"],
    weight: Float[np.ndarray, " grains"],
) -> None:
    """Distribute weights bilinearly to the four pixels around each point, in place.

    Sum and centre of mass are preserved, except for weights outside the image.
    """
    height, width = image.shape
    corner = np.floor(xy_px).astype(np.int64)
    fraction = xy_px - corner
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = corner[:, 0] + dx, corner[:, 1] + dy
            part = weight * np.abs(1 - dx - fraction[:, 0]) * np.abs(1 - dy - fraction[:, 1])
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            flat = y[inside] * width + x[inside]
            if len(flat):
                low, high = flat.min(), flat.max() + 1
                image.ravel()[low:high] += np.bincount(flat - low, part[inside], high - low)


def gaussian_transfer(
    squared_frequency: Float[np.ndarray, "height half_width"], blur_ang: float
) -> Float[np.ndarray, "height half_width"]:
    """Compute the Fourier transform of a normalised Gaussian of standard deviation `blur_ang`."""
    return np.exp(squared_frequency * np.float32(-2 * (np.pi * blur_ang) ** 2))


def project_molecule(
    molecule: Molecule,
    rotation: Float[np.ndarray, "3 3"],
    pixel_size_ang: float,
    side_px: int,
) -> Float[np.ndarray, "{side_px} {side_px}"]:
    """Compute the mass per pixel, in Da, of a molecule projected along z after `rotation`.

    The centre of mass is at the pixel (side_px // 2, side_px // 2).
    """
    image = np.zeros((side_px, side_px))
    xy_px = (molecule.xyz_ang @ rotation[:2].T) / pixel_size_ang + side_px // 2
    deposit_mass(image, xy_px, molecule.mass_da)
    blur = gaussian_transfer(squared_frequency(image.shape, pixel_size_ang), molecule.blur_ang)
    return np.fft.irfft2(np.fft.rfft2(image) * blur, s=image.shape)
