"""Order candidates and micrographs by what a label on them would teach.

A label is worth asking for if the answer will be yes, for only particles are learnt from;
if the model does not expect it; and if nothing like it is labelled or asked for already. The
first labels also go to particles that the model is sure of, for it must be told what to look
for at all. Candidates are chosen one by one, each the best beside those chosen before it:

    teaches = p (1 - p + s) / 2 * distance / sqrt(1 + labels on its micrograph)

with p the probability that it is a particle, averaged over eight turned and mirrored views,
s = 20 / (10 + labels so far), which is 2 at first and fades, and the distance of its feature
vector from the nearest one labelled or chosen, 1 where that is as far as is usual.

- `SuggestSettings`: how many to suggest.
- `expected_shift`: what makes probabilities of logits that are not calibrated.
- `worth_a_look`: the few picks of a micrograph that can be worth a label.
- `Look`: what a model sees at those.
- `suggest`: the candidates to label, in order.
- `suggest_micrographs`: the micrographs to label, in order.

Source: weighted farthest points, after Gonzalez 1985, Theor. Comput. Sci. 38:293, and Sener
and Savarese 2018, ICLR; p (1 - p) is the expected length of the gradient of a logistic
model, as in Settles et al. 2008, NIPS, if only the answer yes is learnt from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryopick.array_types import Float, Float32, Integer
from cryopick.errors import SettingsError
from cryopick.picks import Picks, concatenate, evenly

__all__ = [
    "Look",
    "SuggestSettings",
    "expected_shift",
    "places_to_look_at",
    "suggest",
    "suggest_micrographs",
    "worth_a_look",
]

_FEW = 10  # labels after which a sure particle is worth half of what it was at first
_SAMPLE = 512  # candidates that tell what distance is usual
_POOL, _MOST, _LEAST = 4096, 128, 4  # candidates looked at: in all, on a micrograph


@dataclass(frozen=True, kw_only=True)
class SuggestSettings:
    """Settings of `cryopick suggest` beside those of picking.

    Attributes:
        count: Candidates to suggest.
        micrographs: Suggest candidates on so many micrographs only; None takes all.
        particles_per_micrograph: Particles expected on a micrograph; None takes what the
            model was trained with and, if that is not known, its logits as they are.

    Raises:
        SettingsError: A value lies outside its range.
    """

    count: int = 50
    micrographs: int | None = None
    particles_per_micrograph: float | None = None

    def __post_init__(self) -> None:
        for name in ("count", "micrographs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} must be at least 1; got {value}")
        expected = self.particles_per_micrograph
        if expected is not None and not 0 < expected < math.inf:
            raise SettingsError(f"particles_per_micrograph must be above 0; got {expected}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Look:
    """What a model sees on a micrograph.

    Attributes:
        name: The micrograph.
        xy_px: Centres (x, y) of the candidates on it, in raw pixels.
        score: Logit of each candidate, as picked.
        logits: Of each candidate in eight turned and mirrored views.
        features: Feature vector of each candidate.
        known: Feature vectors of the places that are labelled or were asked for already.
    """

    name: str
    xy_px: Float[np.ndarray, "picks 2"]
    score: Float[np.ndarray, " picks"]
    logits: Float32[np.ndarray, "picks 8"]
    features: Float32[np.ndarray, "picks features"]
    known: Float32[np.ndarray, "known features"]


def expected_shift(scores: Float[np.ndarray, " picks"], expected: float) -> float:
    """Find what to add to logits so that their probabilities sum to a number of particles.

    A network that learnt from few labels ranks well, but its logits are too low or too high
    by much the same everywhere.

    Args:
        scores: Logits of all picks of some micrographs, down to a low floor.
        expected: Particles expected on these; at most nine in ten picks are believed to be.
    """
    wanted = min(expected, 0.9 * len(scores))
    if not wanted > 0:
        return 0.0
    low, high = -50.0 - float(scores.max()), 50.0 - float(scores.min())
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _probability(scores, middle).sum() < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def places_to_look_at(count: int, micrographs: int) -> int:
    """How many picks of each micrograph to look at, to choose `count` among all.

    At least twice as many as are to be chosen, and no more in all than a few thousand, so
    that many micrographs cost little more than picking them does.
    """
    shared = min(_MOST, max(_LEAST, _POOL // micrographs))
    return max(shared, math.ceil(2 * count / micrographs))


def worth_a_look(
    logits: Float[np.ndarray, " picks"], number: int
) -> Integer[np.ndarray, " chosen"]:
    """Choose picks to look at: half over the range of the sure ones, half near even odds.

    Args:
        logits: Calibrated logits, by descending value.
        number: How many to choose; all where there are fewer.

    Returns:
        Their places in `logits`, ascending.

    >>> worth_a_look(np.array([6.0, 5.0, 4.0, 3.0, 0.2, -0.1, -4.0, -5.0]), 4)
    array([0, 3, 4, 5])
    """
    sure = np.flatnonzero(logits > 0)
    spread = sure[evenly(len(sure), number // 2)]
    by_doubt = np.argsort(np.abs(logits), kind="stable")
    others = by_doubt[~np.isin(by_doubt, spread)][: number - len(spread)]
    return np.sort(np.concatenate([spread, others]))


def suggest(looks: Sequence[Look], count: int, *, shift: float = 0.0, labels: int = 0) -> Picks:
    """Choose candidates to label, in the order in which to label them.

    Args:
        looks: What a model sees on each micrograph; none twice.
        count: How many to choose; all where there are fewer.
        shift: What to add to the logits, from `expected_shift`.
        labels: Particles labelled so far, on whatever micrographs.

    Returns:
        The candidates with their scores as they were, and what each teaches, at most 1 and
        never more than the one before it, in the column `teaches`.
    """
    table = concatenate([Picks.on(own.name, own.xy_px, own.score) for own in looks])
    chances = [_probability(own.logits, shift).mean(axis=1) for own in looks]
    chance = np.concatenate([np.zeros(0), *chances])
    features, known = _comparable(looks)
    usual = _usual_distance(features)
    apart = _distance(features, known, usual)
    answers = np.array([len(own.known) for own in looks], np.float64)
    expected, free = float(labels), np.ones(len(table), bool)
    chosen, teaches = [], []
    for _ in range(min(count, len(table))):
        worth = _worth(chance, expected) * apart / np.sqrt(1 + answers[table.index])
        best = int(np.where(free, worth, -1.0).argmax())
        chosen.append(best)
        teaches.append(float(worth[best]))
        free[best] = False
        expected += chance[best]
        answers[table.index[best]] += 1
        apart = np.minimum(apart, _distance(features, features[best : best + 1], usual))
    picks = table.select(np.array(chosen, np.int64))
    return replace(picks, extra={"teaches": np.array(teaches)})


def suggest_micrographs(looks: Sequence[Look], *, shift: float = 0.0, labels: int = 0) -> list[int]:
    """Order micrographs by what labelling them would teach.

    Each is the one whose candidates are worth most, on average, and on average look least
    like those of the micrographs before it. Micrographs with labels come last.

    Returns:
        Places in `looks`, the first to label first.
    """
    features, _ = _comparable(looks)
    ends = np.cumsum([len(own.score) for own in looks])
    means = np.zeros((len(looks), features.shape[1]), features.dtype)
    worth = np.zeros(len(looks))
    for place, (own, end) in enumerate(zip(looks, ends, strict=True)):
        if len(own.score):
            means[place] = features[end - len(own.score) : end].mean(axis=0)
            chance = _probability(own.logits, shift).mean(axis=1)
            worth[place] = _worth(chance, float(labels)).mean()
    usual = _usual_distance(means)
    begun = np.array([len(own.known) > 0 for own in looks], bool)
    apart = np.where(begun, 0.0, _distance(means, means[begun], usual))
    order: list[int] = []
    for _ in looks:
        left = [place for place in range(len(looks)) if place not in order]
        best = max(left, key=lambda place: (worth[place] * apart[place], worth[place], -place))
        order.append(best)
        apart = np.minimum(apart, _distance(means, means[best : best + 1], usual))
    return order


def _worth(chance: Float[np.ndarray, " candidates"], labels: float) -> np.ndarray:
    """What candidates are worth by themselves, from 0 to 1, after so many labels."""
    sureness = 2 * _FEW / (_FEW + labels)
    return chance * (1 - chance + sureness) / 2


def _probability(logits: np.ndarray, shift: float) -> np.ndarray:
    """Probabilities of shifted logits, in double precision."""
    from scipy.special import expit

    return expit(logits.astype(np.float64) + shift)


def _comparable(looks: Sequence[Look]) -> tuple[np.ndarray, np.ndarray]:
    """Feature vectors of all candidates and of all known places, made comparable.

    Each feature is standardised over the candidates and each vector brought to length 1, so
    that neither a loud feature nor a high contrast decides what is far.
    """
    width = looks[0].features.shape[1] if looks else 0
    none = np.zeros((0, width), np.float32)
    features = np.concatenate([none, *(own.features for own in looks)])
    known = np.concatenate([none, *(own.known for own in looks)])
    if not len(features):
        return features, known
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-6 * np.abs(mean) + 1e-12, spread, np.inf)
    return _unit((features - mean) / scale), _unit((known - mean) / scale)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _usual_distance(features: np.ndarray) -> float:
    """Median distance of two different vectors, from a sample; 1 where all are equal."""
    sample = features[:: max(1, math.ceil(len(features) / _SAMPLE))]
    gaps = np.linalg.norm(sample[:, None] - sample, axis=2)[np.triu_indices(len(sample), 1)]
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) if len(gaps) else 1.0


def _distance(features: np.ndarray, others: np.ndarray, usual: float) -> np.ndarray:
    """Distance of each vector to the nearest of others, 1 from the usual distance on.

    What is farther than usual is odd rather than new, and counts no more than the rest.
    """
    squares = np.square(features).sum(axis=1)
    nearest = np.full(len(features), np.inf)
    for start in range(0, len(others), _SAMPLE):
        some = others[start : start + _SAMPLE]
        apart = squares[:, None] + np.square(some).sum(axis=1) - 2 * features @ some.T
        nearest = np.minimum(nearest, apart.min(axis=1))
    return np.minimum(1.0, np.sqrt(np.maximum(nearest, 0.0)) / usual)
