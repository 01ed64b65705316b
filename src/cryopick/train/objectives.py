"""Objectives for training on positive and unlabelled regions.

Pure functions of logits. `positive` are the logits of labelled regions (set P),
`unlabelled` those of regions drawn at random (set U), `prior` is π, the fraction of positives
in U, and g is the logistic function. The classification loss L is the cross-entropy.

- `positive_negative_risk` (PN): unlabelled regions count as negatives.
- `nonnegative_risk` (PU): Kiryo's non-negative risk estimator.
- `reversed_nonnegative_risk` (NNPU): the same value with the gradient of Kiryo's algorithm.
- `expectation_penalty`, `binomial_penalty`: the two generalized expectation criteria.
- `OBJECTIVES`, `evaluate_objective`: the objectives by name.

Source: Bepler et al. 2019, Nat. Methods 16:1153, Methods; Kiryo et al. 2017.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from cryopick.array_types import Float
from cryopick.train.count_distribution import (
    EXACT_BELOW_VARIANCE,
    CountDistribution,
    approximate_by_gaussian,
    compute_exact_counts,
)

__all__ = [
    "OBJECTIVES",
    "Objective",
    "ObjectiveTerms",
    "binomial_penalty",
    "cross_entropy_of_counts",
    "evaluate_objective",
    "expectation_penalty",
    "nonnegative_risk",
    "positive_negative_risk",
    "reversed_nonnegative_risk",
]


def positive_negative_risk(
    positive: Float[Tensor, " p"], unlabelled: Float[Tensor, " u"], *, prior: float
) -> Float[Tensor, ""]:
    """PN: π E_P[L(g, 1)] + (1 - π) E_U[L(g, 0)].

    Raises:
        ValueError: `prior` is not strictly between 0 and 1.
    """
    _check_prior(prior)
    return prior * softplus(-positive).mean() + (1 - prior) * softplus(unlabelled).mean()


def nonnegative_risk(
    positive: Float[Tensor, " p"], unlabelled: Float[Tensor, " u"], *, prior: float
) -> Float[Tensor, ""]:
    """PU: π E_P[L(g, 1)] + max(0, E_U[L(g, 0)] - π E_P[L(g, 0)]).

    Raises:
        ValueError: `prior` is not strictly between 0 and 1.

    Source: Kiryo et al. 2017, NeurIPS 30, equation 6.
    """
    _check_prior(prior)
    negative = softplus(unlabelled).mean() - prior * softplus(positive).mean()
    return prior * softplus(-positive).mean() + negative.clamp(min=0)


def reversed_nonnegative_risk(
    positive: Float[Tensor, " p"],
    unlabelled: Float[Tensor, " u"],
    *,
    prior: float,
    tolerance: float = 0.0,
    reverse_scale: float = 1.0,
) -> Float[Tensor, ""]:
    """NNPU: the non-negative risk, with the gradient of Kiryo's algorithm.

    Let r = E_U[L(g, 0)] - π E_P[L(g, 0)] be the risk on negatives. At or above -β, the gradient
    is that of π E_P[L(g, 1)] + r. Below, the classifier has overfitted, and the gradient is that
    of -γ r: a step that forgets instead of none. The value is π E_P[L(g, 1)] + max(-β, r).

    Args:
        positive: Logits of labelled regions.
        unlabelled: Logits of unlabelled regions.
        prior: π, the fraction of positives among unlabelled regions.
        tolerance: β; 0 in the experiments of the source.
        reverse_scale: γ, the scale of the reversed step; 1 in the experiments of the source.

    Raises:
        ValueError: `prior` is not strictly between 0 and 1.

    Source: Kiryo et al. 2017, NeurIPS 30, algorithm 1.
    """
    _check_prior(prior)
    on_positives = prior * softplus(-positive).mean()
    on_negatives = softplus(unlabelled).mean() - prior * softplus(positive).mean()
    descent = torch.where(
        on_negatives >= -tolerance, on_positives + on_negatives, -reverse_scale * on_negatives
    )
    value = on_positives + on_negatives.clamp(min=-tolerance)
    return descent + (value - descent).detach()


def expectation_penalty(unlabelled: Float[Tensor, " u"], *, prior: float) -> Float[Tensor, ""]:
    """GE-KL: KL(E_U[g] ‖ π), the divergence between two Bernoulli distributions.

    Zero exactly when the mean prediction equals the prior.

    Raises:
        ValueError: `prior` is not strictly between 0 and 1.

    Source: Bepler et al. 2019, equation 1.
    """
    _check_prior(prior)
    # Logarithms of the means keep a gradient where scores are saturated.
    count = math.log(len(unlabelled))
    log_mean = torch.logsumexp(logsigmoid(unlabelled), dim=0) - count
    log_rest = torch.logsumexp(logsigmoid(-unlabelled), dim=0) - count
    return log_mean.exp() * (log_mean - math.log(prior)) + log_rest.exp() * (
        log_rest - math.log1p(-prior)
    )


def binomial_penalty(unlabelled: Float[Tensor, " u"], *, prior: float) -> Float[Tensor, ""]:
    """GE-binomial: the cross-entropy -Σ q(k) log p(k) for k from 0 to N.

    p is the binomial distribution of the number of positives among N unlabelled regions.
    q is the classifier's own distribution of that number. Where its variance Σg(1 - g) is below
    16, q is exact: the Gaussian of the paper, which has no skewness and extends below zero, makes
    the gradient 1.5 times too large where 0.3 positives are expected. Above, the Gaussian is
    within 3 % and is used, on the integers and scaled to sum to one.

    Raises:
        ValueError: `prior` is not strictly between 0 and 1.

    Source: Bepler et al. 2019, equation 2, with the sign of a cross-entropy.
    """
    _check_prior(prior)
    count = len(unlabelled)
    g = torch.sigmoid(unlabelled)
    exact = cross_entropy_of_counts(compute_exact_counts(g), count, prior)
    gaussian = cross_entropy_of_counts(approximate_by_gaussian(g), count, prior)
    return torch.where((g * (1 - g)).sum() < EXACT_BELOW_VARIANCE, exact, gaussian)


def cross_entropy_of_counts(q: CountDistribution, trials: int, prior: float) -> Float[Tensor, ""]:
    """Compute -Σ q(k) log p(k) with the binomial distribution p of `trials` regions."""
    return -(q.probabilities * _log_binomial(q.counts, trials, prior)).sum()


def _log_binomial(
    k: Float[Tensor, " counts"], trials: int, prior: float
) -> Float[Tensor, " counts"]:
    """Compute the logarithm of the binomial probabilities of k successes in `trials`."""
    k64 = k.double() if k.device.type != "mps" else k  # lgamma of thousands cancels in float32
    rest = trials - k64
    choices = math.lgamma(trials + 1) - torch.lgamma(k64 + 1) - torch.lgamma(rest + 1)
    return (choices + k64 * math.log(prior) + rest * math.log1p(-prior)).to(k.dtype)


@dataclass(frozen=True)
class ObjectiveTerms:
    """Value of an objective, and its term for unlabelled regions.

    Attributes:
        total: Value to minimize.
        penalty: Term that compares the unlabelled regions with the prior, without weight; for
            PN and PU the risk on negatives.
    """

    total: Tensor
    penalty: Tensor


@dataclass(frozen=True)
class Objective:
    """An objective for positive and unlabelled regions.

    Attributes:
        terms: Function of positive and unlabelled logits, prior and weight λ.
        weight: λ of the paper; None if the objective has no such constant.
    """

    terms: Callable[[Tensor, Tensor, float, float], ObjectiveTerms]
    weight: float | None


def _risk_terms(
    risk: Callable[..., Tensor],
) -> Callable[[Tensor, Tensor, float, float], ObjectiveTerms]:
    def terms(positive: Tensor, unlabelled: Tensor, prior: float, _weight: float) -> ObjectiveTerms:
        total = risk(positive, unlabelled, prior=prior)
        return ObjectiveTerms(total, total - prior * softplus(-positive).mean())

    return terms


def _expectation_terms(
    penalty: Callable[..., Tensor],
) -> Callable[[Tensor, Tensor, float, float], ObjectiveTerms]:
    def terms(positive: Tensor, unlabelled: Tensor, prior: float, weight: float) -> ObjectiveTerms:
        gap = penalty(unlabelled, prior=prior)
        return ObjectiveTerms(softplus(-positive).mean() + weight * gap, gap)

    return terms


OBJECTIVES: Mapping[str, Objective] = {
    "pn": Objective(_risk_terms(positive_negative_risk), None),
    "pu": Objective(_risk_terms(nonnegative_risk), None),
    "nnpu": Objective(_risk_terms(reversed_nonnegative_risk), None),
    "ge-kl": Objective(_expectation_terms(expectation_penalty), 10.0),
    "ge-binomial": Objective(_expectation_terms(binomial_penalty), 1.0),
}


def evaluate_objective(
    name: str,
    positive: Float[Tensor, " p"],
    unlabelled: Float[Tensor, " u"],
    *,
    prior: float,
    weight: float | None = None,
) -> ObjectiveTerms:
    """Evaluate an objective.

    Args:
        name: Name of the objective.
        positive: Logits of labelled regions.
        unlabelled: Logits of unlabelled regions.
        prior: π, the fraction of positives among unlabelled regions.
        weight: λ; None takes the value of the paper.

    Raises:
        KeyError: There is no such objective.
        ValueError: A weight is given for an objective that has none, there are no positive
            or no unlabelled logits, or the prior is not strictly between 0 and 1.
    """
    chosen = OBJECTIVES[name]
    if chosen.weight is None and weight is not None:
        raise ValueError(f"the objective {name!r} has no weight; got {weight}")
    if not (len(positive) and len(unlabelled)):
        raise ValueError(
            "an objective needs at least one positive and one unlabelled region; "
            f"got {len(positive)} and {len(unlabelled)}"
        )
    factor = chosen.weight if weight is None else weight
    return chosen.terms(positive, unlabelled, prior, 0.0 if factor is None else factor)


def _check_prior(prior: float) -> None:
    if not 0 < prior < 1:
        raise ValueError(f"prior must be strictly between 0 and 1; got {prior}")
