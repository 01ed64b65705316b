"""Detect micrographs without particles from the distribution of their scores, without labels.

Noise, ice crystals and contamination also produce picks, but their number falls ever faster with
the score: its logarithm is a downward parabola. Particles form a peak on that tail. A likelihood
ratio tests if the peak explains the scores much better than the tail alone. The position of the
peak matters little, as scores are biased on micrographs unlike those used for calibration.
Crowded and faint particles make a tail without a peak, but a heavier one than that of the
background: such micrographs are compared with others of the batch, or remain unclear. So do
micrographs with a weak peak in a batch that is mostly empty: contamination has a weak peak as well.

- `classify_micrographs`, `Verdict`: test each micrograph for the peak.
- `is_likely_empty`: test if no micrograph has it, from a sample of them.

Source: the ratio test is that of Wilks 1938, Ann. Math. Stat. 9:60; its thresholds here are
empirical (decision 0015), as the tail is only approximately a parabola.
"""

from enum import StrEnum
from weakref import WeakKeyDictionary

import numpy as np

from cryopick.evaluate.score_histogram import TAIL, ScoreHistogram
from cryopick.picks import Picks, choose_evenly

__all__ = ["Verdict", "classify_micrographs", "is_likely_empty"]

_MIN_GAIN = 15.0  # minimum gain in log-likelihood of a peak with any mean and width
_MIN_GAIN_KNOWN = 2.0  # minimum gain of the peak known from other micrographs
_MAX_SAMPLED = 64  # micrographs in which the peak is searched first
_MIN_SHARE = 0.4  # of the high scores of a micrograph, relative to others with particles
_MAX_TAIL = 1.0  # of the scores above the tail, relative to its highest part, without particles
_MIN_CROWD = 20  # picks above a probability of one half, on a micrograph without a visible tail
_MIN_GAIN_AMONG_EMPTY = 25.0  # of the peak of a micrograph in a batch that is mostly empty
_MAX_POOLED = 16  # micrographs that are pooled if none shows a peak alone


class Verdict(StrEnum):
    """Finding about one micrograph."""

    PARTICLES = "particles"
    PROBABLY_EMPTY = "probably empty"
    UNCLEAR = "unclear: faint particles or contamination"
    UNDECIDED = "not decided"


def classify_micrographs(picks: Picks, *, is_filtered: bool = False) -> list[Verdict]:
    """Classify which micrographs show particles; the others of the batch show the typical peak.

    Args:
        picks: Picks with scores, down to a low minimum such as -6.
        is_filtered: The scores are filtered along elongated particles. Their distribution has
            another tail, so that micrographs without a peak are undecided.
    """
    verdicts = _classify(picks)
    if not is_filtered:
        return verdicts
    return [v if v == Verdict.PARTICLES else Verdict.UNDECIDED for v in verdicts]


def _classify(picks: Picks) -> list[Verdict]:
    histograms = _count_scores(picks)
    typical_peak = _find_typical_peak(histograms)
    is_cut = not len(picks) or float(picks.score.min()) > TAIL
    verdicts = []
    for histogram in histograms:
        if not histogram.is_informative:
            is_crowded = not is_cut and histogram.count_above_zero >= _MIN_CROWD
            verdicts.append(Verdict.PARTICLES if is_crowded else Verdict.UNDECIDED)
        elif typical_peak is not None and (
            histogram.compute_gain(typical_peak) >= _MIN_GAIN_KNOWN
            or histogram.fitted_peak[0] >= _MIN_GAIN
        ):
            verdicts.append(Verdict.PARTICLES)
        else:
            verdicts.append(Verdict.PROBABLY_EMPTY)
    return _doubt_few(_reconsider(verdicts, histograms), histograms)


def _doubt_few(verdicts: list[Verdict], histograms: list[ScoreHistogram]) -> list[Verdict]:
    """Doubt weak peaks of single micrographs if most others are probably empty."""
    n_particles = verdicts.count(Verdict.PARTICLES)
    if n_particles >= verdicts.count(Verdict.PROBABLY_EMPTY):
        return verdicts
    return [
        Verdict.UNCLEAR
        if verdict == Verdict.PARTICLES
        and histogram.is_informative
        and histogram.fitted_peak[0] < _MIN_GAIN_AMONG_EMPTY
        else verdict
        for verdict, histogram in zip(verdicts, histograms, strict=True)
    ]


def _reconsider(verdicts: list[Verdict], histograms: list[ScoreHistogram]) -> list[Verdict]:
    """Compare micrographs without a peak with those that show one, and with the background."""
    shares = [
        histogram.high_share
        for verdict, histogram in zip(verdicts, histograms, strict=True)
        if verdict == Verdict.PARTICLES
    ]
    is_crowded = len(shares) >= len(verdicts) / 2  # most of the batch shows particles
    minimum = _MIN_SHARE * float(np.median(shares)) if is_crowded else np.inf
    result = list(verdicts)
    for index, (verdict, histogram) in enumerate(zip(verdicts, histograms, strict=True)):
        if verdict == Verdict.PROBABLY_EMPTY:
            if histogram.high_share >= minimum:
                result[index] = Verdict.PARTICLES
            elif histogram.tail_ratio > _MAX_TAIL:
                result[index] = Verdict.UNCLEAR
    return result


def is_likely_empty(picks: Picks) -> bool:
    """Test if a sample of the micrographs shows no particles, individually or pooled."""
    histograms = _count_scores(picks)
    return (
        all(histogram.is_informative for histogram in histograms)
        and _find_typical_peak(histograms) is None
    )


# Whether all micrographs are empty and which of them are is asked of the same picks, one after the
# other; the peaks that are fitted to histograms are kept for the second question.
_histograms: WeakKeyDictionary[Picks, list[ScoreHistogram]] = WeakKeyDictionary()


def _count_scores(picks: Picks) -> list[ScoreHistogram]:
    if picks not in _histograms:
        _histograms[picks] = [
            ScoreHistogram.from_scores(picks.score[rows])
            for rows in picks.rows_by_micrograph().values()
        ]
    return _histograms[picks]


def _find_typical_peak(histograms: list[ScoreHistogram]) -> tuple[float, float] | None:
    """Estimate mean and width of the particles' scores from the micrographs that show them best."""
    informative = [histogram for histogram in histograms if histogram.is_informative]
    if not informative:
        return None
    sampled = choose_evenly(len(informative), _MAX_SAMPLED)
    fits = [informative[i].fitted_peak for i in sampled]
    clear_peaks = [peak for gain, peak in fits if gain >= _MIN_GAIN]
    if clear_peaks:
        mean, width = np.median(clear_peaks, axis=0)
        return float(mean), float(width)
    pooled = choose_evenly(len(informative), _MAX_POOLED)
    gain, peak = sum((informative[i] for i in pooled[1:]), informative[pooled[0]]).fitted_peak
    return peak if gain >= _MIN_GAIN else None
