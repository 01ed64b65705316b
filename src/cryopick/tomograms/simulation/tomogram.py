"""Simulate tomograms: a specimen, its tilt series with noise, and weighted back-projection.

Dense objects are dark, as in tomograms of frozen specimens without contrast correction.

- `SimulatedTomogram`: a tomogram with its particles.
- `simulate_tomogram`: simulate one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float32
from cryopick.picks import Picks
from cryopick.simulate.ctf import Optics, contrast_transfer, interaction_rad
from cryopick.simulate.molecules import Molecule
from cryopick.tomograms.coordinates import CLASS_COLUMN, make_table
from cryopick.tomograms.simulation.settings import TomogramSettings
from cryopick.tomograms.simulation.specimen import draw_specimen
from cryopick.tomograms.simulation.tilt_series import list_tilts, project, reconstruct

__all__ = ["SimulatedTomogram", "simulate_tomogram"]

_MEAN_FREE_PATH_ANG = 3000.0  # of inelastic scattering in ice, removed by an energy filter
_MIN_INTENSITY = 0.02  # behind gold
_CS_MM, _AMPLITUDE_CONTRAST, _B_FACTOR_ANG2 = 2.7, 0.1, 200.0


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedTomogram:
    """A simulated tomogram with its particles.

    Attributes:
        volume: The tomogram.
        halves: Tomograms of the even and of the odd images; empty unless asked for.
        picks: Particles, with the column `class`, the number of the molecule from 1, and their
            orientation.
    """

    volume: Float32[np.ndarray, "depth height width"]
    halves: tuple[Float32[np.ndarray, "depth height width"], ...]
    picks: Picks


def simulate_tomogram(
    settings: TomogramSettings, molecules: Sequence[Molecule], index: int, name: str
) -> SimulatedTomogram:
    """Simulate a tomogram, which is a function of the settings, the molecules and its number.

    Args:
        settings: Settings of the simulation.
        molecules: The molecules that the settings name.
        index: Number of the tomogram in its data set, from 0.
        name: Name of the tomogram in the table.
    """
    specimen_rng, noise_rng = np.random.default_rng([settings.seed, index]).spawn(2)
    specimen = draw_specimen(specimen_rng, settings, molecules)
    tilts_deg = list_tilts(settings.max_tilt_deg, settings.tilt_step_deg)
    images = _record(noise_rng, settings, specimen.volts, tilts_deg)
    subsets = [slice(0, None, 2), slice(1, None, 2)] if settings.halves else []
    depth = settings.depth_px
    return SimulatedTomogram(
        volume=reconstruct(images, tilts_deg, depth),
        halves=tuple(reconstruct(images[part], tilts_deg[part], depth) for part in subsets),
        picks=make_table(
            name, specimen.xyz_px, extra={CLASS_COLUMN: specimen.kind + 1, **specimen.angles}
        ),
    )


def _record(
    rng: np.random.Generator,
    settings: TomogramSettings,
    volts: Float32[np.ndarray, "depth height width"],
    tilts_deg: np.ndarray,
) -> Float32[np.ndarray, "tilts height width"]:
    """Record the tilt series: contrast transfer, loss in the ice, shot noise and misalignment."""
    from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq

    voxel_ang = settings.voxel_size_ang
    phase = project(volts, tilts_deg) * np.float32(interaction_rad(settings.voltage_kv) * voxel_ang)
    shape = phase.shape[1:]
    optics = Optics(
        defocus_um=settings.defocus_um,
        voltage_kv=settings.voltage_kv,
        cs_mm=_CS_MM,
        amplitude_contrast=_AMPLITUDE_CONTRAST,
        b_factor_ang2=_B_FACTOR_ANG2,
    )
    transfer = 2 * contrast_transfer(shape, voxel_ang, optics)
    frequency_y, frequency_x = fftfreq(shape[0])[:, None], rfftfreq(shape[1])
    ice_ang = settings.ice_frac * settings.depth_px * voxel_ang
    electrons_per_px = settings.dose_e_per_ang2 * voxel_ang**2 / len(tilts_deg)
    images = np.empty_like(phase)
    for i, angle in enumerate(np.radians(tilts_deg)):
        dy, dx = rng.normal(scale=settings.alignment_error_ang / voxel_ang, size=2)
        shift = np.exp(-2j * np.pi * (frequency_y * dy + frequency_x * dx))
        contrast = irfft2(rfft2(phase[i]) * transfer * shift, s=shape)
        passed = electrons_per_px * np.exp(-ice_ang / np.cos(angle) / _MEAN_FREE_PATH_ANG)
        counts = rng.poisson(np.maximum(1 + contrast, _MIN_INTENSITY) * passed)
        images[i] = counts / np.float32(passed)
    return images
