"""Random image degradations that represent differences between detectors and programs.

Each effect is a function of an image whose background has mean 0 and standard deviation 1.

- `Effects`: strengths of the effects.
- `draw_effects`: draw a random combination.
- `apply_effects`: apply the effects to an image.
"""

import io
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float32
from cryopick.simulate.background import draw_smooth_field

__all__ = ["Effects", "apply_effects", "draw_effects"]

Image = Float32[np.ndarray, "height width"]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Strengths of the effects; the defaults do not change the image.

    Attributes:
        noise: Standard deviation of the added noise, relative to the image.
        noise_exponent: Negative exponent of the noise amplitude as a function of frequency; 0 is
            white noise.
        unevenness: Standard deviation of an added low-frequency field.
        mottle: Standard deviation of added patches that resemble crystalline ice.
        blur_px: Standard deviation of a Gaussian low-pass filter.
        median: Apply a median filter of 3 pixels.
        equalise: Strength of local contrast normalisation, similar to CLAHE, from 0 to 1.
        compress: Strength of the compression of very dark and very bright intensities.
        jpeg_quality: Quality of JPEG compression; None for no compression.
        is_inverted: Particles are bright.
    """

    noise: float = 0.0
    noise_exponent: float = 0.0
    unevenness: float = 0.0
    mottle: float = 0.0
    blur_px: float = 0.0
    median: bool = False
    equalise: float = 0.0
    compress: float = 0.0
    jpeg_quality: int | None = None
    is_inverted: bool = False


def draw_effects(rng: np.random.Generator, *, is_bad: bool = False) -> Effects:
    """Draw a combination similar to published micrographs; most effects are weak.

    Args:
        rng: Random generator.
        is_bad: Draw crystalline ice with a probability of 0.5, for micrographs without particles.
    """

    def uniform_or_zero(probability: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < probability else 0.0

    return Effects(
        noise=uniform_or_zero(0.5, 0.2, 1.2),
        noise_exponent=uniform_or_zero(0.6, 0.0, 1.0),
        unevenness=uniform_or_zero(0.2, 0.05, 0.4),
        mottle=uniform_or_zero(0.5 if is_bad else 0.04, 0.3, 3.0),
        blur_px=uniform_or_zero(0.3, 0.4, 1.2),
        median=rng.random() < 0.1,
        equalise=uniform_or_zero(0.6, 0.3, 1.0),
        compress=uniform_or_zero(0.4, 0.05, 0.6),
        jpeg_quality=int(rng.integers(30, 96)) if rng.random() < 0.1 else None,
        is_inverted=rng.random() < 0.08,
    )


def apply_effects(rng: np.random.Generator, image: Image, effects: Effects) -> Image:
    """Apply the effects in the order of their fields.

    Args:
        rng: Random generator.
        image: Image whose background has mean 0 and standard deviation 1.
        effects: Strengths of the effects.
    """
    from scipy.ndimage import gaussian_filter, median_filter

    shape = (image.shape[0], image.shape[1])
    if effects.noise:
        noise = _draw_coloured_noise(rng, shape, effects.noise_exponent)
        image = image + np.float32(effects.noise) * noise
    if effects.unevenness:
        gradient = draw_smooth_field(rng, shape, max(shape) / rng.uniform(1, 6))
        image = image + np.float32(effects.unevenness) * gradient
    if effects.mottle:
        image = image + np.float32(effects.mottle) * _draw_mottle(rng, shape)
    if effects.blur_px:
        image = gaussian_filter(image, effects.blur_px)
    if effects.median:
        image = median_filter(image, 3)
    if effects.equalise:
        image = _equalise(image, effects.equalise, max(shape) / rng.uniform(4, 12))
    if effects.compress:
        level = np.float32(3 / effects.compress) * np.float32(image.std() + 1e-6)
        image = level * np.tanh((image - image.mean()) / level)
    if effects.jpeg_quality is not None:
        image = _compress_jpeg(image, effects.jpeg_quality)
    return -image if effects.is_inverted else image


def _draw_coloured_noise(
    rng: np.random.Generator, shape: tuple[int, int], exponent: float
) -> Image:
    """Draw noise of unit variance whose amplitude decreases with a power of the frequency."""
    from scipy.fft import irfft2, rfft2

    white = rng.standard_normal(shape, dtype=np.float32)
    if not exponent:
        return white
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    # Constant for wavelengths above 64 pixels, because micrographs are flattened as well.
    filtered = irfft2(rfft2(white) * np.maximum(frequency, 1 / 64) ** -exponent, s=shape)
    return (filtered / filtered.std()).astype(np.float32)


def _draw_mottle(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Draw patches of several sizes and variable density; dark patches are the strongest."""
    patches = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        wavelength_px = float(np.exp(rng.uniform(np.log(8), np.log(100))))
        patches += np.float32(rng.uniform(0.3, 1)) * draw_smooth_field(rng, shape, wavelength_px)
    skew = np.float32(rng.uniform(0, 0.6))
    patches = np.where(patches < 0, 1 + skew, 1 - skew) * patches
    density = draw_smooth_field(rng, shape, max(shape) / rng.uniform(0.5, 3))
    cover = 1 / (1 + np.exp(-3 * (density + rng.uniform(-0.5, 2))))
    return (patches * cover).astype(np.float32)


def _equalise(image: Image, strength: float, sigma_px: float) -> Image:
    """Subtract the local mean and divide by a power of the local standard deviation."""
    from scipy.ndimage import gaussian_filter

    local_mean = gaussian_filter(image, sigma_px)
    local_sd = np.sqrt(gaussian_filter(np.square(image - local_mean), sigma_px)) + np.float32(1e-3)
    relative_sd = local_sd / local_sd.mean()
    return (image - np.float32(strength) * local_mean) / relative_sd ** np.float32(strength)


def _compress_jpeg(image: Image, quality: int) -> Image:
    """Write an image as 8-bit JPEG and read it back."""
    from PIL import Image as PillowImage

    low, high = np.quantile(image, [0.001, 0.999])
    grey = np.clip((image - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    with io.BytesIO() as file:
        PillowImage.fromarray(grey).save(file, format="JPEG", quality=quality)
        compressed = np.asarray(PillowImage.open(file), dtype=np.float32)
    return compressed * np.float32((high - low) / 255) + np.float32(low)
