"""Micrographs with known particles.

A micrograph is a map of the phase that the specimen gives the electron wave (particles, junk,
ice, carbon), sent through the contrast transfer function and counted by a detector. Images are
(height, width); centres are (x, y) in pixels of the micrograph.

- `Simulated`: a micrograph and the truth about it.
- `simulate_micrograph`: the micrograph that a seed and an index name.
- `simulate_dataset`: as many as asked, one after the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.errors import SettingsError
from cryopick.simulate.background import ice_thickness, solvent_amplitude, solvent_transfer
from cryopick.simulate.ctf import Optics, contrast_transfer, drift_transfer, squared_frequency
from cryopick.simulate.detector import amplitude_transfer, expose
from cryopick.simulate.layout import Canvas
from cryopick.simulate.molecules import Molecule, load_molecule
from cryopick.simulate.settings import SimulationSettings
from cryopick.simulate.specimen import Specimen, draw_specimen
from cryopick.simulate.views import gaussian_transfer

__all__ = ["Simulated", "simulate_dataset", "simulate_micrograph"]

_MEAN_FREE_PATH_ANG = 3000.0  # of inelastic scattering in ice, what an energy filter removes
_MARGIN_ANG = 250.0  # fringes reach less far: λ · 3 µm · (1 / 8 Å) is 74 Å
_FULL = 0.45  # share of the area that discs can take when they fall at random: about 0.55


@dataclass(frozen=True, eq=False, kw_only=True)
class Simulated:
    """A simulated micrograph and the truth about it.

    Attributes:
        image: Counts of electrons, in 32-bit floats.
        xy_px: Centres of mass of the intact particles whose centre is on the micrograph, or
            places along the axes of filaments.
        truth: Further columns of the same length: `defocus_um`, and `ice_frac`, the
            thickness of the ice around the particle relative to the mean; of filaments also
            `filament`, their number, and `direction_deg`, from x towards y.
        junk: Centres of what is not to be picked, by kind; also those beyond the border.
        carbon: Where the carbon foil is.
    """

    image: Float32[np.ndarray, "height width"]
    xy_px: Float[np.ndarray, "particles 2"]
    truth: Mapping[str, Float[np.ndarray, " particles"]]
    junk: Mapping[str, Float[np.ndarray, "n 2"]]
    carbon: Bool[np.ndarray, "height width"]


def simulate_micrograph(settings: SimulationSettings, molecule: Molecule, index: int) -> Simulated:
    """Simulate one micrograph of a data set.

    What comes out depends on `settings`, `molecule` and `index` alone. Each part of it draws
    from a stream of its own, so that another amount of junk leaves the noise as it was.

    Args:
        settings: What the micrograph looks like.
        molecule: The particle; `load_molecule` finds the one that the settings name.
        index: Position of the micrograph in its data set, from 0.

    Raises:
        SettingsError: The particles asked for do not fit on a micrograph.
    """
    _check_room(settings, molecule)
    optics_rng, specimen_rng, ice_rng, solvent_rng, shot_rng = np.random.default_rng(
        [settings.seed, index]
    ).spawn(5)
    margin_ang = max(_MARGIN_ANG, molecule.diameter_ang / 2)
    shape = (settings.height_px, settings.width_px)
    canvas = Canvas.around(shape, settings.pixel_size_ang, margin_ang)
    optics = _draw_optics(optics_rng, settings)
    thickness = ice_thickness(ice_rng, canvas, settings.ice_variation_frac)
    specimen = draw_specimen(specimen_rng, settings, molecule, canvas)
    intensity = _intensity(settings, optics, specimen, thickness, solvent_rng)
    intensity = np.ascontiguousarray(canvas.crop(intensity))
    intensity /= intensity.mean()
    electrons_per_px = settings.dose_e_per_ang2 * settings.pixel_size_ang**2
    image = expose(
        shot_rng, intensity, electrons_per_px, settings.nps_nyquist, _gain_error(settings)
    )
    is_inside = canvas.is_inside(specimen.xy_px)
    centres = specimen.xy_px[is_inside]
    column, row = np.rint(centres).astype(int).T
    return Simulated(
        image=image,
        xy_px=canvas.to_micrograph(centres),
        truth={
            "defocus_um": np.full(len(centres), optics.defocus_um),
            "ice_frac": thickness[row, column].astype(np.float64),
            **{name: column[is_inside] for name, column in specimen.truth.items()},
        },
        junk={kind: canvas.to_micrograph(xy) for kind, xy in specimen.junk.items()},
        carbon=canvas.crop(specimen.carbon),
    )


def simulate_dataset(settings: SimulationSettings, count: int) -> Iterator[Simulated]:
    """Simulate `count` micrographs of the molecule that the settings name, one at a time.

    Raises:
        SettingsError: There is no such molecule, or its particles do not fit.
        InputError: The molecule's file cannot be read.
    """
    molecule = load_molecule(settings.molecule, settings.diameter_ang)
    for index in range(count):
        yield simulate_micrograph(settings, molecule, index)


def _check_room(settings: SimulationSettings, molecule: Molecule) -> None:
    """Refuse more particles than discs of their size fit at random; filaments may cross."""
    if settings.filaments:
        return
    distance_px = settings.min_distance_frac * molecule.diameter_ang / settings.pixel_size_ang
    taken = settings.particles * np.pi * distance_px**2 / 4
    most = int(_FULL * settings.width_px * settings.height_px / (np.pi * distance_px**2 / 4))
    if taken > _FULL * settings.width_px * settings.height_px:
        raise SettingsError(
            f"particles must be at most {most} of {molecule.diameter_ang:.0f} Å on a micrograph "
            f"of {settings.width_px} x {settings.height_px} pixels of {settings.pixel_size_ang} Å; "
            f"got {settings.particles}; ask for fewer or lower min_distance_frac"
        )


def _draw_optics(rng: np.random.Generator, settings: SimulationSettings) -> Optics:
    return Optics(
        defocus_um=float(rng.uniform(*settings.defocus_um)),
        astigmatism_um=float(rng.uniform(0, settings.astigmatism_um)),
        astigmatism_deg=float(rng.uniform(0, 180)),
        voltage_kv=settings.voltage_kv,
        cs_mm=settings.cs_mm,
        amplitude_contrast=settings.amplitude_contrast,
        b_factor_ang2=settings.b_factor_ang2,
    )


def _intensity(
    settings: SimulationSettings,
    optics: Optics,
    specimen: Specimen,
    thickness: Float32[np.ndarray, "height width"],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "height width"]:
    """Relative intensity on the detector, in arbitrary scale.

    The linear image 2 F⁻¹[CTF · F[phase]] enters as an exponential, which agrees with it for
    a weak object and stays positive for a strong one.
    """
    from scipy.fft import irfft2, rfft2

    shape, pixel_ang = thickness.shape, settings.pixel_size_ang
    squared = squared_frequency(shape, pixel_ang)
    amplitude = solvent_amplitude(settings.ice_thickness_ang, pixel_ang, settings.voltage_kv)
    solvent = rng.standard_normal(shape, dtype=np.float32)
    solvent *= np.float32(amplitude) * np.sqrt(thickness)
    spectrum = rfft2(solvent) * solvent_transfer(squared)
    spectrum += rfft2(specimen.phase.astype(np.float32)) * gaussian_transfer(
        squared, specimen.blur_ang
    )
    spectrum *= contrast_transfer(shape, pixel_ang, optics)
    if settings.drift_ang:
        spectrum *= drift_transfer(shape, pixel_ang, settings.drift_ang, rng.uniform(0, np.pi))
    # The sensor blurs the signal by its MTF; the part it shares with the noise comes later.
    shared = np.sqrt(settings.nps_nyquist)
    sensor = min(settings.mtf_nyquist / shared, 1.0)
    spectrum *= amplitude_transfer(squared * np.float32(pixel_ang**2), float(sensor))
    contrast = 2 * irfft2(spectrum, s=shape)
    absorbed = thickness * np.float32(settings.ice_thickness_ang / _MEAN_FREE_PATH_ANG)
    return np.exp(contrast - absorbed) * (1 - specimen.loss)


def _gain_error(settings: SimulationSettings) -> Float32[np.ndarray, "height width"] | None:
    """The fixed pattern of the sensor, the same on every micrograph of a seed."""
    if settings.gain_error_frac == 0:
        return None
    rng = np.random.default_rng([settings.seed])
    shape = (settings.height_px, settings.width_px)
    return 1 + np.float32(settings.gain_error_frac) * rng.standard_normal(shape, np.float32)
