"""Make sets of micrographs by ASPIRE, with all particles known.

It runs in an environment of ASPIRE's own (`make .aspire/.installed`), with nothing of cryopick:

    .aspire/bin/python benchmarks/foreign/aspire_sets.py OUT --structures STRUCTURES [--sets SET …]

Each set becomes a folder of OUT: `micrographs/*.mrc` with dark particles, `particles.tsv`
(`image_name x_coord y_coord`, centres in pixels, row 0 on top as stored), and `set.json`. A set
that is complete is left as it is.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from aspire.noise import PinkNoiseAdder, WhiteNoiseAdder
from aspire.operators import RadialCTFFilter
from aspire.source import MicrographSimulation
from aspire.volume import Volume
from recipes import Field, make_sets, phase_rad_per_volt_ang
from volumes import make_volume, measure_extents

VOLTAGE_KV = 300
NOISE = {"white": WhiteNoiseAdder, "pink": PinkNoiseAdder}


def main() -> None:
    """Make the sets that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", default=[], help="sets to make [all]")
    parser.add_argument("--structures", type=Path, required=True, help="folder of atomic models")
    chosen = parser.parse_args()
    make_sets("aspire", simulate_fields, chosen.out, chosen.structures, chosen.sets)


def simulate_fields(
    recipe: dict[str, Any], structures: Path
) -> Iterator[Field | tuple[float, ...]]:
    """Yield the extents of the molecule, then the fields of one set."""
    pixel_size_ang = recipe["pixel_size_ang"]
    potential = make_volume(recipe["molecule"], structures, pixel_size_ang)
    yield measure_extents(potential, pixel_size_ang)
    # The line integral of the volume becomes twice the phase shift, the contrast of a weak object.
    scale = np.float32(2 * phase_rad_per_volt_ang(VOLTAGE_KV) * pixel_size_ang)
    volume = scale * potential
    projected = Volume(volume[None]).project(np.eye(3, dtype=np.float32)[None]).asnumpy()
    volume *= np.float32(volume.sum() / projected.sum())
    simulation = MicrographSimulation(
        Volume(volume, pixel_size=pixel_size_ang),
        micrograph_size=recipe["side_px"],
        micrograph_count=recipe["count"],
        particles_per_micrograph=recipe["particles"],
        projection_angles=draw_angles(recipe),
        seed=recipe["seed"],
        ctf_filters=draw_ctfs(recipe),
        boundary=10,
        interparticle_distance=recipe["distance_ang"] / pixel_size_ang,
    )
    clean = simulation.clean_images[:]
    energy = float((clean.asnumpy() ** 2).sum()) / simulation.total_particle_count
    noise = NOISE[recipe["noise"]](var=energy / recipe["snr"] ** 2, seed=recipe["seed"])
    # All at once: one by one, every micrograph would get the noise of the first.
    noisy = noise.forward(clean).asnumpy()
    for pixels, row_column in zip(noisy, simulation.centers, strict=True):
        yield Field(pixels.astype(np.float32), row_column[:, ::-1].astype(float))


def draw_angles(recipe: dict[str, Any]) -> np.ndarray:
    """Euler angles in radians: uniform, or with the volume's first axis near the plane."""
    number = recipe["count"] * recipe["particles"]
    rng = np.random.default_rng(recipe["seed"])
    largest = np.sin(np.deg2rad(recipe["tilt_deg"]))
    tilt = np.arccos(rng.uniform(-largest, largest, number))
    turns = rng.uniform(0, 2 * np.pi, (2, number))
    return np.stack([turns[0], tilt, turns[1]], axis=1).astype(np.float32)


def draw_ctfs(recipe: dict[str, Any]) -> list[RadialCTFFilter]:
    """A contrast transfer function for each micrograph."""
    defoci_um = np.linspace(*recipe["defocus_um"], recipe["count"])
    return [
        RadialCTFFilter(voltage=VOLTAGE_KV, defocus=1e4 * defocus, Cs=2.7, alpha=0.08, B=60)
        for defocus in defoci_um
    ]


if __name__ == "__main__":
    main()
