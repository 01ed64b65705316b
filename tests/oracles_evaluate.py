"""Slow, obvious twins of the evaluation, written from the definitions."""

import math


def greedy_pairs(picks, scores, truth, radius):
    """Pick by pick in descending score (ties by y, then x): nearest free particle, or -1."""
    order = sorted(range(len(picks)), key=lambda i: (-scores[i], picks[i][1], picks[i][0]))
    free = sorted(range(len(truth)), key=lambda j: (truth[j][1], truth[j][0]))
    pairs = [-1] * len(picks)
    for i in order:
        near = [(math.dist(picks[i], truth[j]), rank, j) for rank, j in enumerate(free)]
        near = [entry for entry in near if entry[0] <= radius]
        if near:
            pairs[i] = min(near)[2]
            free.remove(pairs[i])
    return pairs


def average_precision(scores, hits, total):
    """Sum over distinct scores, from the highest, of precision times change in recall."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        kept = [hit for score, hit in zip(scores, hits, strict=True) if score >= threshold]
        precision, recall = sum(kept) / len(kept), sum(kept) / total
        area += precision * (recall - recall_before)
        recall_before = recall
    return area
