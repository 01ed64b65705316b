"""Knowledge from other data sets about the distribution of scores.

The constants are fitted to many data sets with complete truth (`benchmarks/trust.py --fit`) and
stored in `score_prior.json` beside this module.

- `ScorePrior`: the constants.
- `load_score_prior`: those of this version.
"""

import json
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

__all__ = ["SCORE_PRIOR_FILE", "ScorePrior", "load_score_prior"]

SCORE_PRIOR_FILE = Path(__file__).with_name("score_prior.json")


@dataclass(frozen=True, kw_only=True)
class ScorePrior:
    """Prior of the distribution of scores of particles and background.

    Pairs hold the mean and the standard deviation of a Gaussian.

    Attributes:
        floor: Minimum score that is used.
        background_scores: Scores at which the density of the background is given.
        background_log_density: Logarithm of the density of background picks at these scores.
        shift: Shift of the background's scores, relative to that density.
        log_stretch: Logarithm of the factor by which they are spread around the floor.
        mean: Mean score of the particles.
        log_width: Logarithm of the standard deviation of their scores.
        log_ratio: Logarithm of particles over background picks above the floor.
        midpoint: Score at which half of the picks are particles, relative to
            `midpoint_by_ratio` times the logarithm of that ratio.
        midpoint_by_ratio: Factor of the logarithm of the ratio.
        log_steepness: Logarithm of the change of log-odds with the score.
        bin_deviation: Relative deviation of the number of picks in a bin from the best fit.
        temper: Factor of the log-likelihood, as neighbouring bins deviate alike.
        effective_labels: Maximum number of labels that count as independent.
        precision_deviation: Standard deviation of the log-odds of precision between data sets.
        recall_deviation: The same of recall.
        count_deviation: Standard deviation of the logarithm of the number of particles.
        labelled_deviation: The same with at least eight labels.
        elsewhere_deviation: The same with a model that learned from labels of other micrographs.
        label_shift: Standard deviation of the difference between the mean scores of labels and of
            particles on other micrographs.
    """

    floor: float
    background_scores: tuple[float, ...]
    background_log_density: tuple[float, ...]
    shift: tuple[float, float]
    log_stretch: tuple[float, float]
    mean: tuple[float, float]
    log_width: tuple[float, float]
    log_ratio: tuple[float, float]
    midpoint: tuple[float, float]
    midpoint_by_ratio: float
    log_steepness: tuple[float, float]
    bin_deviation: float
    temper: float
    effective_labels: float
    precision_deviation: float
    recall_deviation: float
    count_deviation: float
    labelled_deviation: float
    elsewhere_deviation: float
    label_shift: float

    @classmethod
    def from_json(cls, text: str) -> "ScorePrior":
        """Read the constants; other keys tell how they were fitted."""
        values = json.loads(text)
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{field.name: {**values, **lists}[field.name] for field in fields(cls)})


@cache
def load_score_prior() -> ScorePrior:
    """Load the constants of this version."""
    return ScorePrior.from_json(SCORE_PRIOR_FILE.read_text(encoding="utf-8"))
