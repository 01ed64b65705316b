"""Slow, obvious twins of what `cryopick.preprocess` does fast, written from the formulas."""

import numpy as np


def resample_by_summing_waves(image, shape):
    """Evaluate the image's Fourier series, low-passed for `shape`, at every new pixel.

    Frequencies run over -n/2 ... n/2 of the shorter of the old and new side; the wave at
    exactly n/2 of an even old side is shared evenly between its two directions.
    """
    height, width = image.shape
    along_y = _waves(height, shape[0])
    along_x = _waves(width, shape[1])
    return (along_y @ image.astype(np.float64) @ along_x.T).real


def _waves(old, new):
    """Matrix from the `old` samples of one line to its `new` samples."""
    reach = min(old, new) // 2
    positions_old, positions_new = np.arange(old) / old, np.arange(new) / new
    matrix = np.zeros((new, old), dtype=complex)
    for frequency in range(-reach, reach + 1):
        share = 0.5 if 2 * abs(frequency) == old else 1.0
        matrix += share * np.exp(
            2j * np.pi * frequency * (positions_new[:, None] - positions_old[None, :])
        )
    return matrix / old


def pixel_mixture(micrographs, weight, mean, sd, scales, steps):
    """Expectation-maximisation of the paper's scaled mixture, pixel by pixel.

    x of micrograph k ~ (1 - ρ) N(α_k μ0, (α_k σ0)²) + ρ N(α_k μ1, (α_k σ1)²). The scales'
    geometric mean is kept at 1.

    Returns:
        ρ, (μ0, μ1), (σ0, σ1), scales.
    """
    for _ in range(steps):
        shares = [
            _shares(pixels, weight, mean, sd, scale)
            for pixels, scale in zip(micrographs, scales, strict=True)
        ]
        scales = np.array(
            [
                _likeliest_scale(pixels, share, mean, sd)
                for pixels, share in zip(micrographs, shares, strict=True)
            ]
        )
        scales /= np.exp(np.log(scales).mean())
        unscaled = np.concatenate(
            [pixels / scale for pixels, scale in zip(micrographs, scales, strict=True)]
        )
        second = np.concatenate(shares)
        weight = second.mean()
        mean = tuple(np.average(unscaled, weights=w) for w in (1 - second, second))
        sd = tuple(
            np.sqrt(np.average((unscaled - m) ** 2, weights=w))
            for m, w in zip(mean, (1 - second, second), strict=True)
        )
    return weight, mean, sd, scales


def _shares(pixels, weight, mean, sd, scale):
    """Probability that each pixel belongs to component 1, by Bayes' rule."""
    density = [
        w / (scale * s) * np.exp(-((pixels - scale * m) ** 2) / (2 * (scale * s) ** 2))
        for w, m, s in zip((1 - weight, weight), mean, sd, strict=True)
    ]
    return density[1] / (density[0] + density[1])


def _likeliest_scale(pixels, share, mean, sd):
    """Largest root of N α² + B α - A = 0, left to a solver of polynomials."""
    parts = [(1 - share, mean[0], sd[0]), (share, mean[1], sd[1])]
    a = sum((w * pixels**2).sum() / s**2 for w, _, s in parts)
    b = sum((w * pixels).sum() * m / s**2 for w, m, s in parts)
    return np.roots([len(pixels), b, -a]).real.max()
