"""One-cycle schedule of the learning rate.

- `one_cycle_learning_rate`: the learning rate at a fraction of a cycle.

Source: Smith and Topin 2019, "Super-convergence", with cosine annealing.
"""

import math

__all__ = ["one_cycle_learning_rate"]

_INITIAL_DIVISOR = 25  # maximum over initial learning rate


def one_cycle_learning_rate(
    progress: float, *, peak: float, final: float, warm_up_frac: float = 0.1
) -> float:
    """Compute the learning rate at a point of a cycle: cosine warm-up, then cosine decay.

    Args:
        progress: Completed fraction of the cycle, from 0 to 1.
        peak: Maximum learning rate; the cycle starts at a 25th of it.
        final: Learning rate at the end of the cycle.
        warm_up_frac: Fraction of the cycle in which the learning rate rises.

    >>> [round(one_cycle_learning_rate(p, peak=1.0, final=0.0), 2) for p in (0.0, 0.1, 0.55, 1.0)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if progress < warm_up_frac:
        low, share = peak / _INITIAL_DIVISOR, 1 - progress / warm_up_frac
    else:
        low, share = final, (progress - warm_up_frac) / (1 - warm_up_frac)
    return low + (peak - low) * (1 + math.cos(math.pi * share)) / 2
