"""Training pairs from simulated fields: a noisy exposure and the field without noise.

The field without noise is the mean of all other exposures of the same specimen. As a target it
gives the same network as single other exposures (Lehtinen et al. 2018) with smaller fluctuations
of the gradient. Doses, colours of the noise, filters of the image and crowding vary far beyond
those of single data sets, since the network must not mistake unknown noise for particles.

- `SimulatedPairs`: pairs of a stream of fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.denoise.background import measure_background, split_extremes
from cryopick.denoise.training import Pair
from cryopick.simulate.domain import Domain, simulate_random_scene
from cryopick.simulate.micrograph import Scene
from cryopick.simulate.molecules import Molecule

__all__ = ["SimulatedPairs"]

_PIXEL_SIZE_ANG = (2.0, 9.0)
_SCENE_SIDES = 2  # side of a simulated scene, of which windows are cut
_RECENT_SCENES = 100  # in use at a time
_STEPS_PER_SCENE = 4  # after which one is added and one dropped
_CROWDED_FRAC = 0.25  # fraction of pairs with a second window of the same scene on top
_EMPTY_FRAC = 0.06  # fraction of pairs with noise only, beside those without particles
_KNOTS_CPP = (0.0, 0.03, 0.08, 0.2, 0.4, 0.71)  # cycles per pixel
_WIDE_STEPS = 2_000  # first steps, with more varied noise
_BLUR_FRAC, _BLUR_PX = 0.15, (0.4, 1.3)
_LOG_SCALE_SD = 0.15
_SIGNAL_FLOOR = 0.01  # variance of the signal, below which errors are not weighted up
_WEIGHT_SIGMA_PX = 4.0
_SIGNAL_WEIGHT = 1.0  # of errors where the signal is strong, beside the weight of 1


@dataclass(frozen=True, kw_only=True)
class _Noise:
    """Ranges from which the noise of exposures is drawn.

    Attributes:
        min_dose_frac: Smallest fraction of the full dose.
        strong_frac: Fraction of pairs with more noise than that of the dose.
        max_gain: Largest factor of this noise.
        log_gain_sd: Standard deviation of the logarithm of the gain at each knot.
        pink_frac: Fraction of pairs whose noise falls with the frequency.
        max_pink_exponent: Largest exponent of its amplitude.
        filtered_frac: Fraction of pairs whose signal and noise are filtered alike.
        log_filter_sd: Standard deviation of the logarithm of this filter at each knot.
    """

    min_dose_frac: float
    strong_frac: float
    max_gain: float
    log_gain_sd: float
    pink_frac: float
    max_pink_exponent: float
    filtered_frac: float
    log_filter_sd: float


_WIDE = _Noise(
    min_dose_frac=0.2,
    strong_frac=0.5,
    max_gain=2.0,
    log_gain_sd=0.4,
    pink_frac=0.5,
    max_pink_exponent=0.8,
    filtered_frac=0.4,
    log_filter_sd=0.35,
)
_USUAL = _Noise(
    min_dose_frac=0.3,
    strong_frac=0.2,
    max_gain=1.5,
    log_gain_sd=0.35,
    pink_frac=0.35,
    max_pink_exponent=0.6,
    filtered_frac=0.25,
    log_filter_sd=0.25,
)


@dataclass(frozen=True, eq=False)
class SimulatedPairs:
    """Pairs of a stream of simulated fields; a step determines its pairs completely.

    Attributes:
        molecules: Real molecules to draw from in addition to procedural ones.
        side_px: Side of the images.
        seed: First part of all seeds.
    """

    molecules: Sequence[Molecule] = ()
    side_px: int = 192
    seed: int = 0
    _scenes: dict[int, Scene] = field(default_factory=dict)

    def draw(self, step: int, count: int) -> list[Pair]:
        """Draw the pairs of a step."""
        rng = np.random.default_rng([self.seed, step, 1])
        first = step // _STEPS_PER_SCENE
        numbers = first + rng.integers(_RECENT_SCENES, size=count)
        for number in [number for number in self._scenes if number < first]:
            del self._scenes[number]
        ranges = _WIDE if step < _WIDE_STEPS else _USUAL
        return [_make_pair(self._find_scene(int(number)), ranges, rng) for number in numbers]

    def _find_scene(self, number: int) -> Scene:
        if number not in self._scenes:
            domain = Domain(molecules=self.molecules, side_px=_SCENE_SIDES * self.side_px)
            seed = (self.seed, number, 0)
            self._scenes[number] = simulate_random_scene(domain, seed, _PIXEL_SIZE_ANG)
        return self._scenes[number]


def _make_pair(scene: Scene, ranges: _Noise, rng: np.random.Generator) -> Pair:
    """Expose a window, vary its noise, and normalise the exposure and its target alike."""
    window = _cut_window(scene, rng)
    if rng.random() < _CROWDED_FRAC:
        other = np.rot90(_cut_window(scene, rng).intensity, int(rng.integers(4)))
        window = replace(window, intensity=window.intensity * other)
    clean, noise = _filter(*_expose(window, ranges, rng), ranges, rng)
    background = measure_background(clean + noise)
    factor = np.float32(np.exp(_LOG_SCALE_SD * rng.normal()) * rng.choice([-1.0, 1.0]))
    noisy, excess = split_extremes(factor * background.normalise(clean + noise))
    images = np.stack([noisy, factor * background.normalise(clean) - excess])
    images = np.rot90(images, int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        images = images[:, :, ::-1]
    noisy, target = np.ascontiguousarray(images)
    return Pair(noisy, target, _weigh(target))


def _cut_window(scene: Scene, rng: np.random.Generator) -> Scene:
    """Cut a window at a random position; its frequencies are a subset of those of the scene."""
    side = scene.intensity.shape[0] // _SCENE_SIDES
    top, left = rng.integers(scene.intensity.shape[0] - side + 1, size=2)
    window = (slice(top, top + side), slice(left, left + side))
    return replace(
        scene,
        intensity=scene.intensity[window],
        solvent_sd=scene.solvent_sd[window],
        solvent_transfer=scene.solvent_transfer[::_SCENE_SIDES, ::_SCENE_SIDES],
    )


def _expose(
    window: Scene, ranges: _Noise, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    """Draw an exposure of random dose and noise, and return its signal and its noise."""
    dose_frac = float(np.exp(rng.uniform(np.log(ranges.min_dose_frac), 0)))
    clean = window.intensity
    noise = window.expose(rng, dose_frac) - clean
    log_gain = _draw_log_gain(rng, ranges.log_gain_sd)
    if rng.random() < ranges.strong_frac:
        log_gain += rng.uniform(0, np.log(ranges.max_gain))
    is_pink = rng.random() < ranges.pink_frac
    pink_exponent = rng.uniform(0, ranges.max_pink_exponent) if is_pink else 0.0
    noise = _apply_gain(noise, log_gain, pink_exponent)
    if rng.random() < _EMPTY_FRAC:
        clean = np.ones_like(clean)
    return clean, noise


def _filter(
    clean: Float32[np.ndarray, "side side"],
    noise: Float32[np.ndarray, "side side"],
    ranges: _Noise,
    rng: np.random.Generator,
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    """Filter signal and noise alike, as programs do that wrote the micrograph."""
    from scipy.ndimage import gaussian_filter

    if rng.random() < ranges.filtered_frac:
        log_gain = _draw_log_gain(rng, ranges.log_filter_sd)
        clean, noise = _apply_gain(clean, log_gain), _apply_gain(noise, log_gain)
    if rng.random() < _BLUR_FRAC:
        sigma_px = float(rng.uniform(*_BLUR_PX))
        clean, noise = gaussian_filter(clean, sigma_px), gaussian_filter(noise, sigma_px)
    return clean, noise


def _draw_log_gain(rng: np.random.Generator, sd: float) -> Float[np.ndarray, " knots"]:
    return sd * rng.normal(size=len(_KNOTS_CPP))


def _apply_gain(
    image: Float32[np.ndarray, "side side"],
    log_gain: Float[np.ndarray, " knots"],
    pink_exponent: float = 0.0,
) -> Float32[np.ndarray, "side side"]:
    """Multiply the spectrum of an image by a smooth gain.

    Args:
        image: The image.
        log_gain: Logarithm of the gain at the knots.
        pink_exponent: Exponent by which the gain falls with the frequency, in addition.
    """
    from scipy.fft import irfft2, rfft2

    height, width = image.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    log_gains = np.interp(frequency, _KNOTS_CPP, log_gain)
    if pink_exponent:
        log_gains -= pink_exponent * np.log(np.maximum(frequency, 1 / 64) / 0.25)
    return irfft2(rfft2(image) * np.exp(log_gains).astype(np.float32), s=image.shape)


def _weigh(target: Float32[np.ndarray, "side side"]) -> Float32[np.ndarray, "side side"]:
    """Weigh errors relative to the variance of the target, and more where there is signal."""
    from scipy.ndimage import gaussian_filter

    energy = np.square(target)
    mean = energy.mean() + np.float32(1e-9)
    share = np.minimum(gaussian_filter(energy, _WEIGHT_SIGMA_PX) / mean, 1)
    return (1 + np.float32(_SIGNAL_WEIGHT) * share) / (mean + np.float32(_SIGNAL_FLOOR))
