"""Gradient of the GE-binomial penalty against the exact count, and the bias of GE-KL.

Prints value and gradient of the penalty for 1,000 regions with scattered scores and π = 0.02, by
the Gaussian approximation of Bepler et al. 2019, as trained with, and by dynamic programming over
all counts, which is the truth. Then prints the gradient of GE-KL along a shift of all scores: of
all regions together, and averaged over minibatches of 240. Takes seconds.

    .venv/bin/python benchmarks/count_gradient.py
"""

from collections.abc import Callable

import torch  # noqa: TID253  # the subject of this program
from torch import Tensor  # noqa: TID253

from cryopick.train.count_distribution import (
    EXACT_BELOW_VARIANCE,
    CountDistribution,
    approximate_by_gaussian,
    compute_exact_counts,
)
from cryopick.train.objectives import cross_entropy_of_counts, expectation_penalty

REGIONS, PRIOR = 1000, 0.02
EXPECTED = (0.3, 1, 2, 5, 9, 12, 20, 40)
POPULATION, MINIBATCH = 1_200_000, 240  # regions
FACTORS = (0.5, 0.8, 1.0, 1.25, 2.0)  # mean prediction over π
SPREADS = (1.0, 4.0, 8.0)  # standard deviation of the scores: hesitant to sure


def main() -> None:
    """Print the table."""
    print("| Σg | variance | penalty | Gaussian | gradient, Gaussian / exact | error of ours |")
    print("|---|---|---|---|---|---|")
    torch.manual_seed(0)
    scattered = 2 * torch.randn(REGIONS, dtype=torch.float64)
    for expected in EXPECTED:
        logits = shift_to_sum(scattered, expected)
        g = torch.sigmoid(logits)
        variance = float((g * (1 - g)).sum())
        truth, gradient = evaluate(logits, count_by_recursion)
        gaussian, approximate = evaluate(logits, approximate_by_gaussian)
        ours = compute_exact_counts if variance < EXACT_BELOW_VARIANCE else approximate_by_gaussian
        _, used = evaluate(logits, ours)
        ratio = float((approximate * gradient).sum() / gradient.square().sum())
        error = float((used - gradient).norm() / gradient.norm())
        print(
            f"| {expected:g} | {variance:.1f} | {truth:.3f} | {gaussian:.3f} | {ratio:.3f} "
            f"| {error:.1e} |"
        )
    print("\n| deviation of scores | mean prediction / π | GE-KL, all | minibatches | bias |")
    print("|---|---|---|---|---|")
    for spread in SPREADS:
        for factor in FACTORS:
            print(describe_bias(spread, factor))


def describe_bias(spread: float, factor: float) -> str:
    """Return the row of the gradient of GE-KL for a network."""
    scores = spread * torch.randn(POPULATION, dtype=torch.float64)
    logits = shift_to_sum(scores, factor * PRIOR * POPULATION)
    whole = float(differentiate(logits))
    parts = torch.func.vmap(differentiate)(logits.reshape(-1, MINIBATCH))
    error = float(parts.std() / len(parts) ** 0.5)
    mean = float(parts.mean())
    return (
        f"| {spread:g} | {factor:g} | {whole:+.5f} | {mean:+.5f} ± {error:.5f} "
        f"| {mean - whole:+.5f} |"
    )


def differentiate(logits: Tensor) -> Tensor:
    """Differentiate the penalty of GE-KL along a shift of all scores."""

    def penalize(shift: Tensor) -> Tensor:
        return expectation_penalty(logits + shift, prior=PRIOR)

    return torch.func.grad(penalize)(torch.zeros((), dtype=logits.dtype))


def shift_to_sum(logits: Tensor, expected: float) -> Tensor:
    """Shift logits so that their probabilities have a given sum."""
    low, high = -40.0, 10.0
    for _ in range(80):
        middle = (low + high) / 2
        is_low = float(torch.sigmoid(logits + middle).sum()) < expected
        low, high = (middle, high) if is_low else (low, middle)
    return logits + low


def evaluate(logits: Tensor, count: Callable[[Tensor], CountDistribution]) -> tuple[float, Tensor]:
    """Return the penalty and its gradient."""
    leaf = logits.clone().requires_grad_()
    penalty = cross_entropy_of_counts(count(torch.sigmoid(leaf)), REGIONS, PRIOR)
    (gradient,) = torch.autograd.grad(penalty, leaf)
    return float(penalty.detach()), gradient


def count_by_recursion(probabilities: Tensor) -> CountDistribution:
    """Compute the distribution of all counts by dynamic programming, one region at a time."""
    q = torch.ones(1, dtype=probabilities.dtype)
    nothing = torch.zeros(1, dtype=probabilities.dtype)
    for chance in probabilities:
        q = torch.cat([q, nothing]) * (1 - chance) + torch.cat([nothing, q]) * chance
    return CountDistribution(torch.arange(len(q), dtype=q.dtype), q)


if __name__ == "__main__":
    main()
