"""Slow, obvious twins of learning and picking, written from the definitions."""

import itertools
import math

import numpy as np
import torch

from cryopick.model.architectures import NetworkSettings
from cryopick.model.networks import Scorer


def cross_entropy(logit, is_positive):
    """The loss L(g, y) of one region, without overflow."""
    margin = logit if is_positive else -logit
    return math.log1p(math.exp(-abs(margin))) + max(0.0, -margin)


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values)


def logistic(logit):
    return 1 / (1 + math.exp(-logit))


def positive_negative(positive, unlabelled, prior):
    as_positive = mean(cross_entropy(x, True) for x in positive)
    as_negative = mean(cross_entropy(x, False) for x in unlabelled)
    return prior * as_positive + (1 - prior) * as_negative


def nonnegative(positive, unlabelled, prior):
    as_positive = mean(cross_entropy(x, True) for x in positive)
    as_negative = mean(cross_entropy(x, False) for x in positive)
    unlabelled_as_negative = mean(cross_entropy(x, False) for x in unlabelled)
    return prior * as_positive + max(0.0, unlabelled_as_negative - prior * as_negative)


def autograd_nonnegative(positive, unlabelled, prior, tolerance, reverse_scale):
    """Kiryo's algorithm 1 on single tensors: the gradients of positive and unlabelled logits."""
    loss_if = {True: lambda x: torch.log1p(torch.exp(-x)), False: lambda x: torch.log1p(x.exp())}
    on_positives = prior * sum(loss_if[True](x) for x in positive) / len(positive)
    negatives = sum(loss_if[False](x) for x in unlabelled) / len(unlabelled)
    negatives = negatives - prior * sum(loss_if[False](x) for x in positive) / len(positive)
    if negatives >= -tolerance:
        return torch.autograd.grad(on_positives + negatives, (positive, unlabelled))
    return torch.autograd.grad(-reverse_scale * negatives, (positive, unlabelled))


def divergence(unlabelled, prior):
    """KL(E[g] || prior) between two coins."""
    heads = mean(logistic(x) for x in unlabelled)
    return heads * math.log(heads / prior) + (1 - heads) * math.log((1 - heads) / (1 - prior))


def log_binomial(k, trials, prior):
    choices = math.log(math.comb(trials, k))
    return choices + k * math.log(prior) + (trials - k) * math.log1p(-prior)


def exact_counts(unlabelled):
    """q(k) for k from 0 to N: the sum over every way to call k of N regions positive."""
    q = [0.0] * (len(unlabelled) + 1)
    for calls in itertools.product([0, 1], repeat=len(unlabelled)):
        chance = 1.0
        for call, logit in zip(calls, unlabelled, strict=True):
            chance *= logistic(logit) if call else logistic(-logit)
        q[sum(calls)] += chance
    return q


def exact_counts_by_recursion(probabilities):
    """q(k) for many regions: one more region shifts part of each count up by one."""
    q = torch.ones(1, dtype=probabilities.dtype)
    nothing = torch.zeros(1, dtype=probabilities.dtype)
    for chance in probabilities:
        q = torch.cat([q, nothing]) * (1 - chance) + torch.cat([nothing, q]) * chance
    return q


def gaussian_counts(unlabelled, least_variance):
    """Return the Gaussian approximation of q(k) on the integers, with sum one."""
    g = [logistic(x) for x in unlabelled]
    middle, variance = sum(g), max(sum(p * (1 - p) for p in g), least_variance)
    density = [math.exp(-((k - middle) ** 2) / (2 * variance)) for k in range(len(g) + 1)]
    return [value / sum(density) for value in density]


def count_cross_entropy(q, prior):
    """-sum of q(k) log p(k) for k from 0 to N."""
    trials = len(q) - 1
    return -sum(q[k] * log_binomial(k, trials, prior) for k in range(trials + 1))


def autograd_binomial_penalty(unlabelled, prior):
    """The exact penalty once more, from every way to call regions positive, for autograd."""
    g = [1 / (1 + torch.exp(-x)) for x in unlabelled]
    total = 0.0
    for calls in itertools.product([0, 1], repeat=len(g)):
        chance = math.prod(p if call else 1 - p for call, p in zip(calls, g, strict=True))
        total = total - chance * log_binomial(sum(calls), len(g), prior)
    return total


def suppressed(scores, radius, threshold, spacing_yx):
    """Highest place (ties by row, then column), then the highest none of those is near, ...."""
    places = [
        (-scores[row, column], row, column)
        for row, column in itertools.product(*map(range, scores.shape))
        if math.isfinite(scores[row, column]) and scores[row, column] >= threshold
    ]
    chosen = []
    for _, row, column in sorted(places):
        gaps = [
            ((row - r) * spacing_yx[0]) ** 2 + ((column - c) * spacing_yx[1]) ** 2
            for r, c in chosen
        ]
        if all(gap > radius**2 for gap in gaps):
            chosen.append((row, column))
    return chosen


def crop_scores(scorer, image, step_px):
    """The score of the crop around each place, one crop at a time, zeros beyond the image."""
    field = scorer.receptive_field_px
    reach = field // 2
    padded = torch.nn.functional.pad(torch.from_numpy(image), (reach,) * 4)
    rows, columns = (range(0, side, step_px) for side in image.shape)
    with torch.inference_mode():
        return [
            [scorer(padded[None, None, y : y + field, x : x + field]).item() for x in columns]
            for y in rows
        ]


def blob_scorer():
    """A network by hand whose score is a Gaussian blur of what it sees: bright blobs win."""
    network = Scorer(NetworkSettings(width=1))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            axis = torch.arange(module.kernel_size[0]) - module.kernel_size[0] // 2
            bell = torch.exp(-(axis**2) / 4.0)
            torch.nn.init.zeros_(module.weight)
            with torch.no_grad():
                module.weight[:, 0] = bell[:, None] * bell / bell.sum() ** 2
        if isinstance(module, torch.nn.PReLU):
            torch.nn.init.ones_(module.weight)  # a straight line
    torch.nn.init.ones_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    return network.eval()


def blobs(shape, centres, sigma, *, noise=0.1, seed=0):
    """Bright Gaussian blobs at (x, y) on a noisy grey."""
    y, x = np.indices(shape)
    image = np.random.default_rng(seed).normal(10, noise, shape)
    for cx, cy in centres:
        image += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
    return image
