"""Simulate micrographs with ground truth.

The phase shift of the specimen (particles, junk, ice, carbon) is multiplied by the contrast
transfer function and recorded by a detector. Images are (height, width) arrays; centres are (x, y)
in pixels of the micrograph.

- `SimulatedMicrograph`: a micrograph with its ground truth.
- `Scene`: a micrograph without noise, of which exposures can be drawn.
- `simulate_micrograph`: simulate the micrograph of a seed and an index.
- `simulate_scene`: simulate it without noise.
- `simulate_dataset`: simulate micrographs one by one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.errors import SettingsError
from cryopick.simulate.background import draw_ice_thickness, solvent_amplitude, solvent_transfer
from cryopick.simulate.ctf import Optics, contrast_transfer, drift_transfer, squared_frequency
from cryopick.simulate.detector import amplitude_transfer, expose
from cryopick.simulate.layout import Canvas
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.molecules import Molecule
from cryopick.simulate.settings import SimulationSettings
from cryopick.simulate.specimen import Specimen, draw_specimen
from cryopick.simulate.views import gaussian_transfer

__all__ = [
    "Scene",
    "SimulatedMicrograph",
    "simulate_dataset",
    "simulate_micrograph",
    "simulate_scene",
]

_MEAN_FREE_PATH_ANG = 3000.0  # of inelastic scattering in ice, removed by an energy filter
_MARGIN_ANG = 250.0  # more than the extent of CTF fringes: λ · 3 µm · (1 / 8 Å) is 74 Å
_MAX_COVERED_FRAC = 0.45  # random placement of discs can cover about 0.55 of the area


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedMicrograph:
    """A simulated micrograph with its ground truth.

    Attributes:
        image: Electron counts, as float32.
        xy_px: Centres of mass of the intact particles on the micrograph, or positions along the
            axes of filaments.
        truth: Further columns of the same length: `defocus_um`, and `ice_frac`, the relative
            thickness of the ice at the particle. For particles also `rot_deg`, `tilt_deg` and
            `psi_deg`, the orientation in RELION's convention. For filaments instead `filament`,
            its number, and `direction_deg`, from x towards y.
        junk: Centres of the junk objects by kind, including those outside the micrograph.
        carbon: Mask of the carbon foil.
    """

    image: Float32[np.ndarray, "height width"]
    xy_px: Float[np.ndarray, "particles 2"]
    truth: Mapping[str, Float[np.ndarray, " particles"]]
    junk: Mapping[str, Float[np.ndarray, "n 2"]]
    carbon: Bool[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A micrograph without noise, of which any number of exposures can be drawn.

    Attributes:
        intensity: Expected relative intensity on the sensor; its mean is 1.
        solvent_sd: Standard deviation of the phase of the ice at each pixel, in radians.
        solvent_transfer: Transfer from that phase to the logarithm of the intensity.
        electrons_per_px: Mean count at full dose.
        nps_nyquist: Noise power of the sensor at Nyquist relative to zero frequency.
        xy_px: Centres of the intact particles.
        pixel_size_ang: Pixel size in ångströms.
    """

    intensity: Float32[np.ndarray, "height width"]
    solvent_sd: Float32[np.ndarray, "height width"]
    solvent_transfer: Float32[np.ndarray, "height half_width"]
    electrons_per_px: float
    nps_nyquist: float
    xy_px: Float[np.ndarray, "particles 2"]
    pixel_size_ang: float

    def expose(
        self, rng: np.random.Generator, dose_frac: float = 1.0
    ) -> Float32[np.ndarray, "height width"]:
        """Draw an exposure with independent shot noise and structural noise of the ice.

        The molecules of the ice move during an exposure, so that two exposures of a scene share
        the specimen only.

        Args:
            rng: Random generator.
            dose_frac: Fraction of the full dose.

        Returns:
            Counts relative to their mean.
        """
        from scipy.fft import irfft2, rfft2

        shape = self.intensity.shape
        phase = rng.standard_normal(shape, dtype=np.float32) * self.solvent_sd
        contrast = irfft2(rfft2(phase) * self.solvent_transfer, s=shape)
        electrons_per_px = self.electrons_per_px * dose_frac
        counts = expose(rng, self.intensity * np.exp(contrast), electrons_per_px, self.nps_nyquist)
        return counts / np.float32(electrons_per_px)


def simulate_micrograph(
    settings: SimulationSettings, molecule: Molecule, index: int
) -> SimulatedMicrograph:
    """Simulate one micrograph of a data set.

    The result is a function of `settings`, `molecule` and `index`. Optics, specimen, ice and noise
    use independent random streams, so that a change of the junk does not change the noise.

    Args:
        settings: Settings of the simulation.
        molecule: The particle; `load_molecule` loads the one named in the settings.
        index: Number of the micrograph in its data set, from 0.

    Raises:
        SettingsError: The particles do not fit on a micrograph.
    """
    drawn = _draw_sample(settings, molecule, index)
    canvas, specimen = drawn.canvas, drawn.specimen
    intensity = _compute_intensity(settings, drawn, drawn.solvent_rng)
    intensity = np.ascontiguousarray(canvas.crop(intensity))
    intensity /= intensity.mean()
    electrons_per_px = settings.dose_e_per_ang2 * settings.pixel_size_ang**2
    image = expose(
        drawn.shot_rng,
        intensity,
        electrons_per_px,
        settings.nps_nyquist,
        _make_gain_error(settings),
    )
    is_inside = canvas.is_inside(specimen.xy_px)
    centres = specimen.xy_px[is_inside]
    column, row = np.rint(centres).astype(int).T
    return SimulatedMicrograph(
        image=image,
        xy_px=canvas.to_micrograph(centres),
        truth={
            "defocus_um": np.full(len(centres), drawn.optics.defocus_um),
            "ice_frac": drawn.thickness[row, column].astype(np.float64),
            **{name: column[is_inside] for name, column in specimen.truth.items()},
        },
        junk={kind: canvas.to_micrograph(xy) for kind, xy in specimen.junk.items()},
        carbon=canvas.crop(specimen.carbon),
    )


def simulate_scene(settings: SimulationSettings, molecule: Molecule, index: int) -> Scene:
    """Simulate a micrograph without noise, with everything that its noise depends on.

    The specimen, optics and ice are those of `simulate_micrograph`, except that the sensor has no
    gain error.

    Args:
        settings: Settings of the simulation.
        molecule: The particle.
        index: Number of the micrograph in its data set, from 0.

    Raises:
        SettingsError: The particles do not fit on a micrograph.
    """
    drawn = _draw_sample(settings, molecule, index)
    canvas, pixel_ang = drawn.canvas, settings.pixel_size_ang
    intensity = _compute_intensity(settings, drawn, None)
    intensity = np.ascontiguousarray(canvas.crop(intensity))
    intensity /= intensity.mean()
    squared = squared_frequency(canvas.inner, pixel_ang)
    transfer = (
        2 * solvent_transfer(squared) * contrast_transfer(canvas.inner, pixel_ang, drawn.optics)
    )
    amplitude = solvent_amplitude(settings.ice_thickness_ang, pixel_ang, settings.voltage_kv)
    solvent_sd = np.float32(amplitude) * np.sqrt(canvas.crop(drawn.thickness))
    return Scene(
        intensity=intensity,
        solvent_sd=solvent_sd,
        solvent_transfer=transfer * _sensor_transfer(settings, squared),
        electrons_per_px=settings.dose_e_per_ang2 * pixel_ang**2,
        nps_nyquist=settings.nps_nyquist,
        xy_px=canvas.to_micrograph(drawn.specimen.xy_px[canvas.is_inside(drawn.specimen.xy_px)]),
        pixel_size_ang=pixel_ang,
    )


def simulate_dataset(settings: SimulationSettings, count: int) -> Iterator[SimulatedMicrograph]:
    """Simulate `count` micrographs of the molecule named in the settings, one at a time.

    Raises:
        SettingsError: The molecule is unknown, or the particles do not fit.
        InputError: The file of the molecule cannot be read.
    """
    molecule = load_molecule(settings.molecule, settings.diameter_ang)
    for index in range(count):
        yield simulate_micrograph(settings, molecule, index)


def _check_room(settings: SimulationSettings, molecule: Molecule) -> None:
    """Reject more particles than fit with random placement; filaments may cross."""
    if settings.filaments:
        return
    distance_px = settings.min_distance_frac * molecule.diameter_ang / settings.pixel_size_ang
    available_px = _MAX_COVERED_FRAC * settings.width_px * settings.height_px
    covered_px = settings.particles * np.pi * distance_px**2 / 4
    max_particles = int(available_px / (np.pi * distance_px**2 / 4))
    if covered_px > available_px:
        raise SettingsError(
            f"particles must be at most {max_particles} of {molecule.diameter_ang:.0f} Å on a "
            f"micrograph of {settings.width_px} x {settings.height_px} pixels of "
            f"{settings.pixel_size_ang} Å; got {settings.particles}; reduce particles or "
            "min_distance_frac"
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


@dataclass(frozen=True, eq=False, kw_only=True)
class _Sample:
    """Content of a micrograph, and the random generators of its noise."""

    canvas: Canvas
    optics: Optics
    thickness: Float32[np.ndarray, "height width"]
    specimen: Specimen
    solvent_rng: np.random.Generator
    shot_rng: np.random.Generator


def _draw_sample(settings: SimulationSettings, molecule: Molecule, index: int) -> _Sample:
    _check_room(settings, molecule)
    optics_rng, specimen_rng, ice_rng, solvent_rng, shot_rng = np.random.default_rng(
        [settings.seed, index]
    ).spawn(5)
    margin_ang = max(_MARGIN_ANG, molecule.diameter_ang / 2)
    shape = (settings.height_px, settings.width_px)
    canvas = Canvas.with_margin(shape, settings.pixel_size_ang, margin_ang)
    optics = _draw_optics(optics_rng, settings)
    thickness = draw_ice_thickness(ice_rng, canvas, settings.ice_variation_frac)
    return _Sample(
        canvas=canvas,
        optics=optics,
        thickness=thickness,
        specimen=draw_specimen(specimen_rng, settings, molecule, canvas),
        solvent_rng=solvent_rng,
        shot_rng=shot_rng,
    )


def _compute_intensity(
    settings: SimulationSettings, drawn: _Sample, rng: np.random.Generator | None
) -> Float32[np.ndarray, "height width"]:
    """Compute the relative intensity on the detector, on an arbitrary scale.

    The exponential of the linear image 2 F⁻¹[CTF · F[phase]] approximates it for a weak object and
    is positive for a strong one. Without a random generator, the ice has no structural noise and
    the drift no direction other than x.
    """
    from scipy.fft import irfft2, rfft2

    thickness, specimen = drawn.thickness, drawn.specimen
    shape, pixel_ang = thickness.shape, settings.pixel_size_ang
    squared = squared_frequency(shape, pixel_ang)
    spectrum = rfft2(specimen.phase.astype(np.float32)) * gaussian_transfer(
        squared, specimen.blur_ang
    )
    if rng is not None:
        amplitude = solvent_amplitude(settings.ice_thickness_ang, pixel_ang, settings.voltage_kv)
        solvent = rng.standard_normal(shape, dtype=np.float32)
        solvent *= np.float32(amplitude) * np.sqrt(thickness)
        spectrum = rfft2(solvent) * solvent_transfer(squared) + spectrum
    spectrum *= contrast_transfer(shape, pixel_ang, drawn.optics)
    if settings.drift_ang:
        angle_rad = 0.0 if rng is None else rng.uniform(0, np.pi)
        spectrum *= drift_transfer(shape, pixel_ang, settings.drift_ang, angle_rad)
    spectrum *= _sensor_transfer(settings, squared)
    contrast = 2 * irfft2(spectrum, s=shape)
    absorbed = thickness * np.float32(settings.ice_thickness_ang / _MEAN_FREE_PATH_ANG)
    return np.exp(contrast - absorbed) * (1 - specimen.loss)


def _sensor_transfer(
    settings: SimulationSettings, squared: Float32[np.ndarray, "height half_width"]
) -> Float32[np.ndarray, "height half_width"]:
    """Compute the part of the MTF that blurs the signal only; `expose` blurs the noise too."""
    sensor = min(settings.mtf_nyquist / np.sqrt(settings.nps_nyquist), 1.0)
    return amplitude_transfer(squared * np.float32(settings.pixel_size_ang**2), float(sensor))


def _make_gain_error(settings: SimulationSettings) -> Float32[np.ndarray, "height width"] | None:
    """Make the fixed pattern of the sensor, the same for all micrographs of a seed."""
    if settings.gain_error_frac == 0:
        return None
    rng = np.random.default_rng([settings.seed])
    shape = (settings.height_px, settings.width_px)
    return 1 + np.float32(settings.gain_error_frac) * rng.standard_normal(shape, np.float32)
