"""Which 2D classes are particles: a rule that is written down, and that a person may overrule.

The surest picks are taken to be particles, for the most part: the classes of the strictest set
show how strong and how well resolved averages of particles are. A class of any set is a particle
if its average is

- resolved: RELION's estimate is at most 1.4 times that of the strictest set, and
- strong: its standard deviation within the particle's disc is at least half of the strictest
  set's.

Of the strictest set both are medians over particles, not classes. What is no particle fails the
first: places of empty ice average to nothing but what the search put in, and dirt, clumps and
broken molecules are unlike each other.

- `RULE`: the same in a sentence, for the page.
- `Verdict`: what is said of one class.
- `judged`: the verdicts on all classes of all sets.
- `is_hardly_parted`: whether there is nothing to judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.experiments.classes2d.relion import Classes

__all__ = ["RULE", "Verdict", "is_hardly_parted", "judged"]

_WORST_RESOLUTION = 1.4  # times that of the strictest set
_LEAST_STRENGTH = 0.5
_MOST_IN_ONE = 0.9  # share of the images in one class that leaves nothing to judge

RULE = (
    "A class is a particle if RELION's estimate of its resolution is at most "
    f"{_WORST_RESOLUTION:g} times that of the first set, and the standard deviation of its average "
    f"within the particle's disc at least {_LEAST_STRENGTH:g} of the first set's, both as medians "
    "over the first set's particles: the surest picks are taken to be particles, for the most part."
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is said of one class.

    Attributes:
        number: The class, from 1.
        count: Its particles.
        resolution_ang: As RELION estimates it.
        strength: Standard deviation within the particle's disc, over the strictest set's.
        by_rule: Whether the rule takes it for particles.
        by_person: The same of a person, who comes first; None if nobody has said so.
    """

    number: int
    count: int
    resolution_ang: float
    strength: float
    by_rule: bool
    by_person: bool | None = None

    @property
    def is_particle(self) -> bool:
        """The person's verdict, or else the rule's."""
        return self.by_rule if self.by_person is None else self.by_person


def judged(
    sets: Sequence[Classes], diameter_ang: float, overruled: Mapping[tuple[int, int], bool]
) -> list[list[Verdict]]:
    """Judge the classes of all sets by those of the first, the strictest.

    Args:
        sets: Classes of nested sets, the strictest first.
        diameter_ang: Particle diameter.
        overruled: Verdicts of a person, by set and class, both from 1.

    Returns:
        For each set a verdict on each class.
    """
    strengths = [_strength(own, diameter_ang) for own in sets]
    strictest = sets[0]
    usual_ang = _median(strictest.resolution_ang, strictest.count)
    usual = _median(strengths[0], strictest.count)
    verdicts = []
    for position, (own, strength) in enumerate(zip(sets, strengths, strict=True), start=1):
        verdicts.append(
            [
                Verdict(
                    number=number,
                    count=int(own.count[number - 1]),
                    resolution_ang=float(own.resolution_ang[number - 1]),
                    strength=float(strength[number - 1] / usual),
                    by_rule=bool(
                        own.resolution_ang[number - 1] <= _WORST_RESOLUTION * usual_ang
                        and strength[number - 1] >= _LEAST_STRENGTH * usual
                    ),
                    by_person=overruled.get((position, number)),
                )
                for number in range(1, len(own.images) + 1)
            ]
        )
    return verdicts


def is_hardly_parted(verdicts: Sequence[Verdict]) -> bool:
    """Whether nearly all images are in one class, so that their share of junk is a guess."""
    counts = [verdict.count for verdict in verdicts]
    return max(counts) > _MOST_IN_ONE * sum(counts)


def _strength(classes: Classes, diameter_ang: float) -> Float[np.ndarray, " classes"]:
    """Standard deviation of each average within the particle's disc."""
    side = classes.images.shape[-1]
    y, x = np.mgrid[:side, :side] - side // 2
    inside = np.hypot(x, y) <= diameter_ang / 2 / classes.pixel_size_ang
    return classes.images[:, inside].std(axis=1).astype(np.float64)


def _median(values: Float[np.ndarray, " classes"], count: np.ndarray) -> float:
    """Median over particles of what their classes have."""
    return float(np.median(np.repeat(values, count)))
