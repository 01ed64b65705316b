"""Make sets of micrographs by cryojax, with all particles known.

It runs in an environment of cryojax's own (`make .cryojax/.installed`), with nothing of cryopick:

    .cryojax/bin/python benchmarks/foreign/cryojax_sets.py OUT --structures STRUCTURES [--sets …]

The contrast of each particle comes from cryojax's pose, Fourier slice, weak-phase scattering and
contrast transfer, the electrons of a whole micrograph from its Poisson detector, or the contrast
is laid on a picture of real ice (`background`). Numbers of
particles vary from micrograph to micrograph. For the layout of the folders see `aspire_sets.py`.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cryojax.simulator as cxs
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from cryojax.ndimage import FourierGaussian
from PIL import Image
from recipes import Field, make_sets, phase_rad_per_volt_ang
from scipy.ndimage import gaussian_filter
from volumes import make_volume, measure_extents

VOLTAGE_KV = 300.0
MARGIN_PX = 10  # between centres and edges


def main() -> None:
    """Make the sets that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", default=[], help="sets to make [all]")
    parser.add_argument("--structures", type=Path, required=True, help="folder of atomic models")
    chosen = parser.parse_args()
    make_sets("cryojax", simulate_fields, chosen.out, chosen.structures, chosen.sets)


def simulate_fields(recipe: dict[str, Any], structures: Path) -> Iterator[Any]:
    """Yield the extents of the molecule, then the fields of one set."""
    pixel_size_ang, rng = recipe["pixel_size_ang"], np.random.default_rng(recipe["seed"])
    potential = make_volume(recipe["molecule"], structures, pixel_size_ang)
    yield measure_extents(potential, pixel_size_ang)
    config = cxs.BasicImageConfig((2, 2), pixel_size_ang, VOLTAGE_KV)
    # From volts to the unit of potential in which cryojax has its interaction constant.
    scale = phase_rad_per_volt_ang(VOLTAGE_KV) / float(config.interaction_constant)
    volume = cxs.FourierVoxelGridVolume.from_real_voxel_grid(scale * potential, pad_scale=1.3)
    contrasts, centres = [], []
    for defocus_um in np.linspace(*recipe["defocus_um"], recipe["count"]):
        xy_px = scatter_centres(recipe, rng)
        contrasts.append(sum_contrast(volume, recipe, float(defocus_um), xy_px, rng))
        centres.append(xy_px)
    energy = sum((one**2).sum() for one in contrasts) / sum(map(len, centres))
    # The intensity is 1 + 2 contrast: the noise of its counts, over it, is the root of 1 / counts.
    electrons = recipe["snr"] ** 2 / (4 * energy)
    if "background" in recipe:
        pictures = read_pictures(structures.parent / "negatives", recipe)
        for picture, contrast, xy_px in zip(pictures, contrasts, centres, strict=True):
            yield Field(lay_on(picture, contrast, recipe["snr"] / energy**0.5), xy_px)
        return
    for number, (contrast, xy_px) in enumerate(zip(contrasts, centres, strict=True)):
        key = jax.random.key(recipe["seed"] * 1000 + number)
        yield Field(count_electrons(contrast, electrons, pixel_size_ang, key), xy_px)


def scatter_centres(recipe: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Centres at random, no two closer than the least distance; their number varies by a fifth."""
    wanted = max(1, round(recipe["particles"] * rng.uniform(0.8, 1.2)))
    least_px = recipe["distance_ang"] / recipe["pixel_size_ang"]
    centres: list[np.ndarray] = []
    for _ in range(200 * wanted):
        new = rng.uniform(MARGIN_PX, recipe["side_px"] - 1 - MARGIN_PX, 2)
        if all(np.hypot(*(new - old)) >= least_px for old in centres):
            centres.append(new)
        if len(centres) == wanted:
            break
    return np.array(centres)


def sum_contrast(
    volume: cxs.FourierVoxelGridVolume,
    recipe: dict[str, Any],
    defocus_um: float,
    xy_px: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Contrast of a micrograph without noise: that of its particles, added up."""
    pixel_size_ang, side = recipe["pixel_size_ang"], recipe["side_px"]
    box = 2 * int(np.ceil(volume.shape[0] / 2))
    config = cxs.BasicImageConfig((box, box), pixel_size_ang, VOLTAGE_KV)
    transfer = cxs.ContrastTransferTheory(
        cxs.AstigmaticCTF(1e4 * defocus_um, 200.0, rng.uniform(0, 180)),
        envelope=FourierGaussian(b_factor=60.0),
        amplitude_contrast_ratio=0.08,
    )
    padded = np.zeros((side + 2 * box, side + 2 * box), np.float32)
    nearest = np.rint(xy_px).astype(int)
    offsets_ang = (xy_px - nearest) * pixel_size_ang
    angles_deg = draw_angles(recipe["tilt_deg"], len(xy_px), rng)

    for (x, y), offset_ang, angle_deg in zip(nearest, offsets_ang, angles_deg, strict=True):
        place = jnp.asarray(np.concatenate([offset_ang, angle_deg]))
        own = np.asarray(image_particle(volume, config, transfer, place))
        top, left = y + box - box // 2, x + box - box // 2
        padded[top : top + box, left : left + box] += own - np.median(own)
    return padded[box:-box, box:-box]


def read_pictures(negatives: Path, recipe: dict[str, Any]) -> list[np.ndarray]:
    """Pictures of one type without particles, cropped to squares."""
    (folder,) = negatives.glob(f"{recipe['background']}*")
    side = recipe["side_px"]
    paths = sorted(folder.glob("*.png"))[: recipe["count"]]
    return [np.asarray(Image.open(path), np.float32)[:side, :side] for path in paths]


def lay_on(picture: np.ndarray, contrast: np.ndarray, gain: float) -> np.ndarray:
    """An 8-bit picture with contrast added.

    The gain is per standard deviation of the picture without what is wider than 15 pixels; the
    median of squares ignores the few pixels of ice crystals and edges.
    """
    fine = picture - gaussian_filter(picture, 15.0)
    deviation = 1.4826 * np.median(np.abs(fine - np.median(fine)))
    return np.clip(np.rint(picture + gain * deviation * contrast), 0, 255)


@eqx.filter_jit
def image_particle(
    volume: cxs.FourierVoxelGridVolume,
    config: cxs.BasicImageConfig,
    transfer: cxs.ContrastTransferTheory,
    place: jax.Array,
) -> jax.Array:
    """Contrast of a particle with an offset in ångströms, x and y, and three angles in degrees."""
    pose = cxs.EulerAnglePose(*place)
    model = cxs.make_image_model(volume, config, pose, transfer, quantity_mode="contrast")
    return model.simulate()


def draw_angles(tilt_deg: float, number: int, rng: np.random.Generator) -> np.ndarray:
    """Euler angles in degrees, `number, 3`: uniform, or with the long axis near the plane."""
    largest = np.sin(np.deg2rad(tilt_deg))
    tilt = np.rad2deg(np.arccos(rng.uniform(-largest, largest, number)))
    turns = rng.uniform(0, 360, (2, number))
    return np.stack([turns[0], tilt, turns[1]], axis=1)


def count_electrons(
    contrast: np.ndarray, electrons: float, pixel_size_ang: float, key: jax.Array
) -> np.ndarray:
    """Electrons that the detector counts in each pixel, of so many on average."""
    dose = electrons / pixel_size_ang**2
    config = cxs.DoseImageConfig(contrast.shape, pixel_size_ang, VOLTAGE_KV, dose)
    intensity = jnp.fft.rfftn(jnp.maximum(1 + 2 * jnp.asarray(contrast), 0.0))
    counts = cxs.PoissonDetector().sample_counts(key, intensity, config)
    return np.asarray(counts, np.float32)


if __name__ == "__main__":
    main()
