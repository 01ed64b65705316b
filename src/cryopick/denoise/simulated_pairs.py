"""Training pairs from simulated fields: a noisy exposure and the field without noise.

The field without noise is the mean of all other exposures of the same specimen. As a target it
gives the same network as single other exposures (Lehtinen et al. 2018) with smaller fluctuations
of the gradient.

- `SimulatedPairs`: pairs of a stream of fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cryopick.array_types import Float32
from cryopick.denoise.background import measure_background, split_extremes
from cryopick.denoise.training import Pair
from cryopick.simulate.domain import Domain, simulate_random_scene
from cryopick.simulate.micrograph import Scene
from cryopick.simulate.molecules import Molecule

__all__ = ["SimulatedPairs"]

_PIXEL_SIZE_ANG = (1.5, 9.0)
_RECENT_SCENES = 100  # in use at a time
_STEPS_PER_SCENE = 2  # after which one is added and one dropped
_MIN_DOSE_FRAC = 0.3
_EMPTY_FRAC = 0.06  # fraction of pairs with noise only, beside those without particles
_LOG_GAIN_SD = 0.35  # of the noise at each knot
_KNOTS_CPP = (0.0, 0.03, 0.08, 0.2, 0.4, 0.71)  # cycles per pixel
_PINK_FRAC, _MAX_PINK_EXPONENT = 0.4, 0.6
_BLUR_FRAC, _BLUR_PX = 0.15, (0.4, 1.3)
_LOG_SCALE_SD = 0.15
_SIGNAL_FLOOR = 0.01  # variance of the signal, below which errors are not weighted up


@dataclass(frozen=True, eq=False)
class SimulatedPairs:
    """Pairs of a stream of simulated fields; a step determines its pairs completely.

    Attributes:
        molecules: Real molecules to draw from in addition to procedural ones.
        side_px: Side of a field.
        seed: First part of all seeds.
    """

    molecules: Sequence[Molecule] = ()
    side_px: int = 160
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
            domain = Domain(molecules=self.molecules, side_px=self.side_px)
            seed = (self.seed, number, 0)
            self._scenes[number] = simulate_random_scene(domain, seed, _PIXEL_SIZE_ANG)
        return self._scenes[number]


def _make_pair(scene: Scene, rng: np.random.Generator) -> Pair:
    """Expose a scene, vary its noise, and normalise the exposure and its target alike."""
    dose_frac = float(np.exp(rng.uniform(np.log(_MIN_DOSE_FRAC), 0)))
    clean = scene.intensity
    noise = _vary_colour(scene.expose(rng, dose_frac) - clean, rng)
    if rng.random() < _EMPTY_FRAC:
        clean = np.ones_like(clean)
    if rng.random() < _BLUR_FRAC:
        clean, noise = _blur(clean, noise, float(rng.uniform(*_BLUR_PX)))
    background = measure_background(clean + noise)
    factor = np.float32(np.exp(_LOG_SCALE_SD * rng.normal()) * rng.choice([-1.0, 1.0]))
    noisy, excess = split_extremes(factor * background.normalise(clean + noise))
    images = np.stack([noisy, factor * background.normalise(clean) - excess])
    images = np.rot90(images, int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        images = images[:, :, ::-1]
    noisy, target = np.ascontiguousarray(images)
    return Pair(noisy, target, weight=float(1 / (target.var() + _SIGNAL_FLOOR)))


def _vary_colour(
    noise: Float32[np.ndarray, "side side"], rng: np.random.Generator
) -> Float32[np.ndarray, "side side"]:
    """Multiply the spectrum of the noise by a smooth random gain."""
    from scipy.fft import irfft2, rfft2

    height, width = noise.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    log_gain = np.interp(frequency, _KNOTS_CPP, _LOG_GAIN_SD * rng.normal(size=len(_KNOTS_CPP)))
    if rng.random() < _PINK_FRAC:
        exponent = rng.uniform(0, _MAX_PINK_EXPONENT)
        log_gain -= exponent * np.log(np.maximum(frequency, 1 / 64) / 0.25)
    return irfft2(rfft2(noise) * np.exp(log_gain).astype(np.float32), s=noise.shape)


def _blur(
    clean: Float32[np.ndarray, "side side"], noise: Float32[np.ndarray, "side side"], sigma: float
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(clean, sigma), gaussian_filter(noise, sigma)
