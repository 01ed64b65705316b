"""What happens to a micrograph after the camera: other noise, filters, other intensities.

Programs and detectors that we cannot model one by one differ in these ways. Each effect is a
plain function of an image whose background has mean 0 and spread 1.

- `Effects`: which of them, and how strong.
- `draw_effects`: a random choice.
- `apply_effects`: the image after them.
"""

import io
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float32
from cryopick.simulate.background import smooth_field

__all__ = ["Effects", "apply_effects", "draw_effects"]

Image = Float32[np.ndarray, "height width"]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Strengths of the effects; the defaults leave an image as it is.

    Attributes:
        noise: Spread of the noise that is added, in those of the image.
        noise_exponent: Its amplitude falls with this power of the frequency: 0 is white.
        unevenness: Spread of a smooth landscape that is added.
        mottle: Spread of patches as crystalline ice makes them, dark and bright, large and small.
        blur_px: Width of a Gaussian low-pass filter.
        median: Whether a median filter of 3 pixels is applied.
        equalise: Share of the local spread that is divided out, as CLAHE does.
        compress: Curvature of the intensities: 0 is straight, above it bright and dark pixels
            move closer to the middle.
        jpeg_quality: JPEG quality of the file it was once; None for none.
        is_inverted: Whether particles are bright.
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
    """Draw a combination such as published micrographs show; most of them are weak.

    Args:
        rng: Where the randomness comes from.
        is_bad: Whether it is a micrograph on which nothing can be picked anyway: crystalline
            ice is then as likely as not.
    """

    def sometimes(chance: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < chance else 0.0

    return Effects(
        noise=sometimes(0.5, 0.2, 1.2),
        noise_exponent=sometimes(0.6, 0.0, 1.0),
        unevenness=sometimes(0.2, 0.05, 0.4),
        mottle=sometimes(0.5 if is_bad else 0.04, 0.3, 3.0),
        blur_px=sometimes(0.3, 0.4, 1.2),
        median=rng.random() < 0.1,
        equalise=sometimes(0.6, 0.3, 1.0),
        compress=sometimes(0.4, 0.05, 0.6),
        jpeg_quality=int(rng.integers(30, 96)) if rng.random() < 0.1 else None,
        is_inverted=rng.random() < 0.08,
    )


def apply_effects(rng: np.random.Generator, image: Image, effects: Effects) -> Image:
    """The image after the effects, in the order in which the fields stand.

    Args:
        rng: Where the noise comes from.
        image: Background of mean 0 and spread 1.
        effects: Which of them, and how strong.
    """
    from scipy.ndimage import gaussian_filter, median_filter

    shape = (image.shape[0], image.shape[1])
    if effects.noise:
        image = image + np.float32(effects.noise) * _coloured(rng, shape, effects.noise_exponent)
    if effects.unevenness:
        hills = smooth_field(rng, shape, max(shape) / rng.uniform(1, 6))
        image = image + np.float32(effects.unevenness) * hills
    if effects.mottle:
        image = image + np.float32(effects.mottle) * _mottled(rng, shape)
    if effects.blur_px:
        image = gaussian_filter(image, effects.blur_px)
    if effects.median:
        image = median_filter(image, 3)
    if effects.equalise:
        image = _equalised(image, effects.equalise, max(shape) / rng.uniform(4, 12))
    if effects.compress:
        level = np.float32(3 / effects.compress) * np.float32(image.std() + 1e-6)
        image = level * np.tanh((image - image.mean()) / level)
    if effects.jpeg_quality is not None:
        image = _as_jpeg(image, effects.jpeg_quality)
    return -image if effects.is_inverted else image


def _coloured(rng: np.random.Generator, shape: tuple[int, int], exponent: float) -> Image:
    """Noise of unit spread whose amplitude falls with a power of the frequency."""
    from scipy.fft import irfft2, rfft2

    white = rng.standard_normal(shape, dtype=np.float32)
    if not exponent:
        return white
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    # Below a wave of 64 pixels it falls no further: micrographs are flattened, too.
    filtered = irfft2(rfft2(white) * np.maximum(frequency, 1 / 64) ** -exponent, s=shape)
    return (filtered / filtered.std()).astype(np.float32)


def _mottled(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Patches of several sizes, more in some places than in others, dark ones strongest."""
    hills = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        wavelength_px = float(np.exp(rng.uniform(np.log(8), np.log(100))))
        hills += np.float32(rng.uniform(0.3, 1)) * smooth_field(rng, shape, wavelength_px)
    skew = np.float32(rng.uniform(0, 0.6))
    hills = np.where(hills < 0, 1 + skew, 1 - skew) * hills
    where = smooth_field(rng, shape, max(shape) / rng.uniform(0.5, 3))
    cover = 1 / (1 + np.exp(-3 * (where + rng.uniform(-0.5, 2))))
    return (hills * cover).astype(np.float32)


def _equalised(image: Image, share: float, reach_px: float) -> Image:
    """Subtract the local mean and divide by a power of the local spread."""
    from scipy.ndimage import gaussian_filter

    local = gaussian_filter(image, reach_px)
    spread = np.sqrt(gaussian_filter(np.square(image - local), reach_px)) + np.float32(1e-3)
    relative = spread / spread.mean()
    return (image - np.float32(share) * local) / relative ** np.float32(share)


def _as_jpeg(image: Image, quality: int) -> Image:
    """The image as an 8-bit JPEG gives it back."""
    from PIL import Image as Pictures

    low, high = np.quantile(image, [0.001, 0.999])
    grey = np.clip((image - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    with io.BytesIO() as file:
        Pictures.fromarray(grey).save(file, format="JPEG", quality=quality)
        packed = np.asarray(Pictures.open(file), dtype=np.float32)
    return packed * np.float32((high - low) / 255) + np.float32(low)
