"""Distribution of the number of positives among regions with given probabilities.

The exact distribution of a sum of independent Bernoulli variables is the Poisson-binomial
distribution q(k). It is computed from its characteristic function at a few frequencies, which is
exact as long as q is narrow; where it is wide, a Gaussian is.

- `CountDistribution`: probabilities of a range of counts.
- `approximate_by_gaussian`: the approximation of the paper, on integers.
- `compute_exact_counts`: the Poisson-binomial distribution around its mean.

Source: Bepler et al. 2019, Nat. Methods 16:1153, Methods; Fernandez and Williams 2010, IEEE Trans.
Aerosp. Electron. Syst. 46:803, "Closed-form expression for the Poisson-binomial probability
density function".
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cryopick.array_types import Float

__all__ = [
    "EXACT_BELOW_VARIANCE",
    "CountDistribution",
    "approximate_by_gaussian",
    "compute_exact_counts",
]

# Keeps the Gaussian wider than the distance between integers.
_MIN_VARIANCE = 0.25

# Counts of the exact distribution, around its mean; odd, so that no frequency is π.
_WINDOW = 63

# Below this variance (a standard deviation of 4), the mass outside the window is below 1e-7.
EXACT_BELOW_VARIANCE = 16.0


@dataclass(frozen=True)
class CountDistribution:
    """Probabilities of counts.

    Attributes:
        counts: The counts, ascending.
        probabilities: Probability of each.
    """

    counts: Float[Tensor, " counts"]
    probabilities: Float[Tensor, " counts"]


def approximate_by_gaussian(probabilities: Float[Tensor, " regions"]) -> CountDistribution:
    """Approximate the distribution by a Gaussian of the same mean and variance on the integers.

    The Gaussian is scaled to sum to one over 0 to N: otherwise a confident classifier could
    reduce the penalty with a density between integers. The variance is at least 1/4, for the same
    reason.
    """
    g = probabilities
    mean, variance = g.sum(), (g * (1 - g)).sum().clamp(min=_MIN_VARIANCE)
    counts = torch.arange(len(g) + 1, dtype=g.dtype, device=g.device)
    return CountDistribution(counts, torch.softmax(-((counts - mean) ** 2) / (2 * variance), dim=0))


def compute_exact_counts(probabilities: Float[Tensor, " regions"]) -> CountDistribution:
    """Compute the Poisson-binomial distribution on a window of counts around its mean.

    The characteristic function Π(1 - g + g exp(iω)) at the frequencies of a discrete Fourier
    transform gives q(k) modulo the length of the window. It is exact with up to 62 regions, and
    otherwise to 1e-7 for variances below `EXACT_BELOW_VARIANCE`.
    """
    g = probabilities
    count = len(g)
    frequencies = torch.arange(1, _WINDOW // 2 + 1, dtype=g.dtype, device=g.device)
    omega = (2 * math.pi / _WINDOW) * frequencies[:, None]
    squared_modulus = 1 - 2 * g * (1 - g) * (1 - torch.cos(omega))
    log_modulus = squared_modulus.log().sum(dim=1) / 2
    phase = torch.atan2(g * torch.sin(omega), 1 - g * (1 - torch.cos(omega))).sum(dim=1)
    first = (g.detach().sum().round() - _WINDOW // 2).clamp(min=0, max=max(count + 1 - _WINDOW, 0))
    window = torch.arange(min(_WINDOW, count + 1), dtype=g.dtype, device=g.device)
    counts = first + window
    waves = torch.cos(phase[:, None] - omega * counts)
    q = (1 + 2 * (log_modulus.exp()[:, None] * waves).sum(dim=0)) / _WINDOW
    return CountDistribution(counts, q)
