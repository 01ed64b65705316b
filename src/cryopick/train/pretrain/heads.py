"""Distribution of the last layer's weights over kinds of particles (empirical Bayes).

A kind is a molecule with a microscope, of which a few fields are simulated with known truth. The
optimal weights of many kinds have a mean, which becomes the last layer of the general model, and
a covariance, which is the prior of `train.head_fit` when the user has labels.

- `simulate_kinds`: simulate fields of many kinds and find the candidates in them.
- `fit_head_distribution`: fit the mean and a factor of the covariance.

Source: expectation-maximisation with a Laplace approximation of the posterior of each kind:
Gelman et al. 2013, "Bayesian Data Analysis", chapters 5 and 13.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.model.networks import Scorer
from cryopick.preprocess.mask import erode_mask
from cryopick.runs.atomic_write import atomic_write
from cryopick.simulate.domain import Domain, simulate_session
from cryopick.train.head_fit import Candidates, find_candidates
from cryopick.train.pretrain.fields import NORMALIZATION

__all__ = ["fit_head_distribution", "simulate_kinds"]

_FIELDS_PER_KIND = 4
_INITIAL_WEIGHT_SD = 0.3
_INITIAL_OFFSET_SD = 1.0
_ITERATIONS = 8


def simulate_kinds(
    scorer: Scorer, domain: Domain, seed: int, count: int, cache_dir: Path
) -> Iterator[Candidates]:
    """Simulate kinds of particles one by one and find the candidates in their fields.

    Args:
        scorer: Network that scores the fields.
        domain: Distribution to draw from.
        seed: Seed of the kinds.
        count: Number of kinds.
        cache_dir: Folder of results; a kind whose file exists is read instead of simulated.
    """
    for number in range(count):
        file = cache_dir / f"{number:04d}.npz"
        if not file.exists():
            candidates = _simulate_kind(scorer, domain, (seed, number))
            with atomic_write(file) as temporary, temporary.open("wb") as out:
                np.savez(out, features=candidates.features, is_right=candidates.is_labelled)
        with np.load(file) as arrays:
            yield Candidates(arrays["features"], arrays["is_right"], _FIELDS_PER_KIND)


def _simulate_kind(scorer: Scorer, domain: Domain, seed: tuple[int, int]) -> Candidates:
    candidates_per_field = []
    for field in simulate_session(domain, seed, _FIELDS_PER_KIND):
        all_pixels = np.ones(field.image.shape, np.bool_)
        image = NORMALIZATION.apply(field.image, all_pixels)
        usable = erode_mask(all_pixels, domain.diameter_px / 2)
        candidates = find_candidates(
            scorer,
            image,
            usable,
            field.xy_px,
            diameter_px=domain.diameter_px,
        )
        candidates_per_field.append(candidates)
    return Candidates.concatenate(candidates_per_field)


def fit_head_distribution(
    kinds: Sequence[Candidates], initial_weights: Float[np.ndarray, " features"]
) -> tuple[Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]:
    """Fit a normal distribution to the last-layer weights of many kinds of particles.

    Args:
        kinds: Candidates of each kind; all particles are labelled.
        initial_weights: Mean of the first iteration.

    Returns:
        The mean, and a factor L of the covariance L Lᵀ.
    """
    mean = initial_weights
    factor = np.diag([*[_INITIAL_WEIGHT_SD] * (len(mean) - 1), _INITIAL_OFFSET_SD])
    for _ in range(_ITERATIONS):
        posteriors = [_fit_posterior(candidates, mean, factor) for candidates in kinds]
        weights = np.array([posterior_mean for posterior_mean, _ in posteriors])
        mean = weights.mean(axis=0)
        residuals = weights - mean
        covariance = residuals.T @ residuals / len(weights)
        covariance = covariance + np.mean([covariance for _, covariance in posteriors], axis=0)
        factor = np.linalg.cholesky(covariance)
    return mean, factor


def _fit_posterior(
    candidates: Candidates,
    mean: Float[np.ndarray, " features"],
    factor: Float[np.ndarray, "features features"],
) -> tuple[Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]:
    """Compute mode and covariance of the weights of one kind in Laplace's approximation."""
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    is_particle = candidates.is_labelled
    design, prior_logits = candidates.features @ factor, candidates.features @ mean

    def loss(shift: np.ndarray) -> tuple[float, np.ndarray]:
        logits = prior_logits + design @ shift
        value = -log_expit(np.where(is_particle, logits, -logits)).sum() + shift @ shift / 2
        return value, design.T @ (expit(logits) - is_particle) + shift

    shift = minimize(loss, np.zeros(len(mean)), jac=True, method="L-BFGS-B").x
    probability = expit(prior_logits + design @ shift)
    curvature = (design * (probability * (1 - probability))[:, None]).T @ design
    curvature = curvature + np.eye(len(mean))
    return mean + factor @ shift, factor @ np.linalg.inv(curvature) @ factor.T
