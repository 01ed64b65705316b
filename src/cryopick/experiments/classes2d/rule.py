"""Rule that decides which 2D classes are particles; a person may correct its verdicts.

The rule assumes that most of the highest-scoring picks are particles: the strictest set defines
the contrast and resolution of particle averages. A class of any set is a particle if its average

- is resolved: RELION's resolution estimate is at most 1.4 times that of the strictest set, and
- has contrast: the standard deviation within the particle's disc is at least half that of the
  strictest set.

The values of the strictest set are medians over particles, not over classes. Junk fails the first
test: averages of empty ice show only what the alignment added, and contamination, aggregates and
broken molecules differ from each other.

- `RULE`: the rule in one sentence, for the page.
- `ClassVerdict`: verdict on one class.
- `apply_rule`: verdicts on all classes of all sets.
- `has_collapsed`: detects a failed classification.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.experiments.classes2d.relion import ClassAssignment

__all__ = ["RULE", "ClassVerdict", "apply_rule", "has_collapsed"]

_MAX_RESOLUTION_RATIO = 1.4  # to the strictest set
_MIN_CONTRAST_RATIO = 0.5
_MAX_CLASS_FRACTION = 0.9  # of the images in one class of a successful classification
_MIN_OCCUPIED_FRACTION = 0.25  # of the classes, above which a classification is successful

RULE = (
    "A class is a particle if RELION's estimate of its resolution is at most "
    f"{_MAX_RESOLUTION_RATIO:g} times that of the first set, and the standard deviation of its "
    f"average within the particle's disc is at least {_MIN_CONTRAST_RATIO:g} times that of the "
    "first set. The values of the first set are medians over its particles; the rule assumes that "
    "most of these highest-scoring picks are particles."
)


@dataclass(frozen=True, kw_only=True)
class ClassVerdict:
    """Verdict on one class.

    Attributes:
        number: Number of the class, from 1.
        count: Number of its particles.
        resolution_ang: Resolution estimated by RELION.
        strength: Standard deviation within the particle's disc, relative to the strictest set.
        by_rule: Verdict of the rule: true for a particle.
        by_person: Verdict of a person, which takes precedence; None if there is none.
    """

    number: int
    count: int
    resolution_ang: float
    strength: float
    by_rule: bool
    by_person: bool | None = None

    @property
    def is_particle(self) -> bool:
        """Verdict of the person if there is one, else of the rule."""
        return self.by_rule if self.by_person is None else self.by_person


def apply_rule(
    sets: Sequence[ClassAssignment],
    diameter_ang: float,
    corrections: Mapping[tuple[int, int], bool],
) -> list[list[ClassVerdict]]:
    """Classify the classes of all sets as particle or junk, by comparison with the first set.

    Args:
        sets: Classes of nested sets, the strictest first.
        diameter_ang: Particle diameter.
        corrections: Verdicts of a person, by set and class, both from 1.

    Returns:
        A verdict on each class, for each set.
    """
    strictest = sets[0]
    strengths_by_set = [_measure_strength(classes, diameter_ang) for classes in sets]
    reference_ang = _median_over_particles(strictest.resolution_ang, strictest.count)
    reference_strength = _median_over_particles(strengths_by_set[0], strictest.count)
    return [
        [
            ClassVerdict(
                number=number,
                count=int(count),
                resolution_ang=float(resolution_ang),
                strength=float(strength / reference_strength),
                by_rule=bool(
                    resolution_ang <= _MAX_RESOLUTION_RATIO * reference_ang
                    and strength >= _MIN_CONTRAST_RATIO * reference_strength
                ),
                by_person=corrections.get((position, number)),
            )
            for number, (count, resolution_ang, strength) in enumerate(
                zip(classes.count, classes.resolution_ang, strengths, strict=True), start=1
            )
        ]
        for position, (classes, strengths) in enumerate(
            zip(sets, strengths_by_set, strict=True), start=1
        )
    ]


def has_collapsed(verdicts: Sequence[ClassVerdict]) -> bool:
    """Return true if the classification has failed, so that its classes mean nothing.

    Over 90 % of the images are in one class, or at most a quarter of the classes have images.
    """
    counts = [verdict.count for verdict in verdicts]
    occupied = sum(count > 0 for count in counts)
    return max(counts) > _MAX_CLASS_FRACTION * sum(
        counts
    ) or occupied <= _MIN_OCCUPIED_FRACTION * len(counts)


def _measure_strength(
    classes: ClassAssignment, diameter_ang: float
) -> Float[np.ndarray, " classes"]:
    """Return the standard deviation of each average within the particle's disc."""
    side = classes.images.shape[-1]
    y, x = np.mgrid[:side, :side] - side // 2
    is_inside = np.hypot(x, y) <= diameter_ang / 2 / classes.pixel_size_ang
    return classes.images[:, is_inside].std(axis=1).astype(np.float64)


def _median_over_particles(values: Float[np.ndarray, " classes"], count: np.ndarray) -> float:
    """Return the median of a value of the classes, weighted by their particles."""
    return float(np.median(np.repeat(values, count)))
