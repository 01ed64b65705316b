"""The cumulative normal distribution, without SciPy, whose import takes longer than its use.

- `cumulate_normal`: probability of a smaller value.
"""

import math

import numpy as np

from cryopick.array_types import Float64

__all__ = ["cumulate_normal"]

_erfc = np.frompyfunc(math.erfc, 1, 1)


def cumulate_normal(z: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Compute the probability that a standard normal variable is smaller than each value.

    Each value takes a call of a function of Python, so this is meant for some ten thousand values.

    >>> cumulate_normal(np.array([-1.96, 0.0, 1.0])).round(3)
    array([0.025, 0.5  , 0.841])
    """
    return np.asarray(_erfc(z / -math.sqrt(2)), np.float64) / 2
