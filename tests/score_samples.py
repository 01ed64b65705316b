"""Scores of background peaks, drawn from the density of a prior."""

import numpy as np

from cryopick.evaluate.score_prior import load_score_prior


def draw_background(rng, number, prior=None):
    """Draw scores of peaks of the background, by default of the stored prior."""
    prior = prior or load_score_prior()
    scores = np.linspace(-8, 8, 1281)
    weight = np.exp(np.interp(scores, prior.background_scores, prior.background_log_density))
    return rng.choice(scores, number, p=weight / weight.sum()) + rng.normal(0, 0.01, number)
