"""How the weights of the last layer vary from one kind of particle to another.

Each kind, with its own microscope, is simulated a few times. The weights that suit it are found
with all particles known; over many kinds they have a mean, which becomes the last layer of the
general model, and a covariance, which `learn.head` draws on when there are labels.

- `learn_heads`: that mean, and a factor of that covariance.
- `kinds`: the candidates on simulated fields of many kinds.

Source: empirical Bayes by expectation and maximisation, with Laplace's approximation of each
kind's posterior: Gelman et al. 2013, "Bayesian Data Analysis", chapters 5 and 13.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.model.networks import Scorer
from cryopick.preprocess.mask import inset
from cryopick.runs.atomic_write import whole
from cryopick.simulate.domain import Domain, simulate_session
from cryopick.train.head_fit import Candidates, candidates_on
from cryopick.train.pretrain.stream import NORMALIZATION

__all__ = ["kinds", "learn_heads"]

_FIELDS = 4  # of each kind
_START_SPREAD = 0.3  # of a weight
_START_OFFSET = 1.0  # spread of the offset
_ROUNDS = 8


def kinds(
    scorer: Scorer, domain: Domain, seed: int, count: int, kept: Path
) -> Iterator[Candidates]:
    """Simulate kinds one after the other; those that are kept in a folder are not made again."""
    for number in range(count):
        file = kept / f"{number:04d}.npz"
        if not file.exists():
            found = _kind(scorer, domain, (seed, number))
            with whole(file) as temporary, temporary.open("wb") as out:
                np.savez(out, features=found.features, is_right=found.is_labelled)
        with np.load(file) as told:
            yield Candidates(told["features"], told["is_right"], _FIELDS)


def _kind(scorer: Scorer, domain: Domain, seed: tuple[int, int]) -> Candidates:
    found = []
    for field in simulate_session(domain, seed, _FIELDS):
        everywhere = np.ones(field.image.shape, np.bool_)
        image = NORMALIZATION.apply(field.image, everywhere)
        usable = inset(everywhere, domain.diameter_px / 2)
        own = candidates_on(
            scorer,
            image,
            usable,
            field.xy_px,
            diameter_px=domain.diameter_px,
            with_missed=False,
        )
        found.append(own)
    return Candidates.together(found)


def learn_heads(
    known: Sequence[Candidates], start: Float[np.ndarray, " features"]
) -> tuple[Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]:
    """Mean weights, and a factor L of their covariance L Lᵀ.

    Args:
        known: Candidates of each kind; the labelled ones are all that are particles.
        start: Weights to begin with.
    """
    mean = start
    spread = np.diag([*[_START_SPREAD] * (len(start) - 1), _START_OFFSET])
    for _ in range(_ROUNDS):
        fitted = [_fitted(own, mean, spread) for own in known]
        heads = np.array([head for head, _ in fitted])
        mean = heads.mean(axis=0)
        away = heads - mean
        covariance = away.T @ away / len(heads) + np.mean([own for _, own in fitted], axis=0)
        spread = np.linalg.cholesky(covariance)
    return mean, spread


def _fitted(
    known: Candidates,
    mean: Float[np.ndarray, " features"],
    spread: Float[np.ndarray, "features features"],
) -> tuple[Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]:
    """The most probable weights of a kind, and how sure they are, as a covariance."""
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    right = known.is_labelled
    turned, first = known.features @ spread, known.features @ mean

    def loss(away: np.ndarray) -> tuple[float, np.ndarray]:
        z = first + turned @ away
        value = -log_expit(np.where(right, z, -z)).sum() + away @ away / 2
        return value, turned.T @ (expit(z) - right) + away

    away = minimize(loss, np.zeros(len(mean)), jac=True, method="L-BFGS-B").x
    g = expit(first + turned @ away)
    curvature = (turned * (g * (1 - g))[:, None]).T @ turned + np.eye(len(mean))
    return mean + spread @ away, spread @ np.linalg.inv(curvature) @ spread.T
