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
_MIN_DOSE_FRAC = 0.2
_STRONG_NOISE_FRAC, _MAX_NOISE_GAIN = 0.5, 2.0  # detectors and ice that are worse than simulated
_KNOTS_CPP = (0.0, 0.03, 0.08, 0.2, 0.4, 0.71)  # cycles per pixel
_LOG_GAIN_SD = 0.4  # of the noise at each knot
_PINK_FRAC, _MAX_PINK_EXPONENT = 0.5, 0.8
_FILTERED_FRAC, _LOG_FILTER_SD = 0.4, 0.35  # of signal and noise alike, as by whitening
_BLUR_FRAC, _BLUR_PX = 0.15, (0.4, 1.3)
_LOG_SCALE_SD = 0.15
_SIGNAL_FLOOR = 0.01  # variance of the signal, below which errors are not weighted up
_WEIGHT_SIGMA_PX = 4.0
_SIGNAL_WEIGHT = 1.0  # of errors where the signal is strong, beside the weight of 1


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
        return [_make_pair(self._find_scene(int(number)), rng) for number in numbers]

    def _find_scene(self, number: int) -> Scene:
        if number not in self._scenes:
            domain = Domain(molecules=self.molecules, side_px=_SCENE_SIDES * self.side_px)
            seed = (self.seed, number, 0)
            self._scenes[number] = simulate_random_scene(domain, seed, _PIXEL_SIZE_ANG)
        return self._scenes[number]


def _make_pair(scene: Scene, rng: np.random.Generator) -> Pair:
    """Expose a window, vary its noise, and normalise the exposure and its target alike."""
    window = _cut_window(scene, rng)
    if rng.random() < _CROWDED_FRAC:
        other = np.rot90(_cut_window(scene, rng).intensity, int(rng.integers(4)))
        window = replace(window, intensity=window.intensity * other)
    clean, noise = _filter(*_expose(window, rng), rng)
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
    window: Scene, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    """Draw an exposure of random dose and noise, and return its signal and its noise."""
    dose_frac = float(np.exp(rng.uniform(np.log(_MIN_DOSE_FRAC), 0)))
    clean = window.intensity
    noise = window.expose(rng, dose_frac) - clean
    log_gain = _draw_log_gain(rng, _LOG_GAIN_SD)
    if rng.random() < _STRONG_NOISE_FRAC:
        log_gain += rng.uniform(0, np.log(_MAX_NOISE_GAIN))
    pink_exponent = rng.uniform(0, _MAX_PINK_EXPONENT) if rng.random() < _PINK_FRAC else 0.0
    noise = _apply_gain(noise, log_gain, pink_exponent)
    if rng.random() < _EMPTY_FRAC:
        clean = np.ones_like(clean)
    return clean, noise


def _filter(
    clean: Float32[np.ndarray, "side side"],
    noise: Float32[np.ndarray, "side side"],
    rng: np.random.Generator,
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    """Filter signal and noise alike, as programs do that wrote the micrograph."""
    from scipy.ndimage import gaussian_filter

    if rng.random() < _FILTERED_FRAC:
        log_gain = _draw_log_gain(rng, _LOG_FILTER_SD)
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
