"""Decide on contrast, particle size and scale before picking.

What the user leaves open is decided by the scores of the first micrographs, and stored in the
settings, so that all micrographs are picked alike.

- `resolve_settings`: settings in which nothing is open.
- `Decision`: what was decided, for the user.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from cryopick.errors import InputError, format_count
from cryopick.model.device import AnyDevice
from cryopick.model.model_file import Model
from cryopick.pick.elongation_search import (
    LengthSearch,
    ProbeMicrographs,
    Sides,
    find_elongation,
)
from cryopick.pick.evidence import (
    Evidence,
    measure_evidence,
    measure_size_evidence,
    prefer_given_size,
)
from cryopick.pick.probe import Probe, ProbePlan, probe_micrographs
from cryopick.pick.settings import FixedContrast, PickSettings, is_elongated

__all__ = ["Decision", "resolve_settings"]

_STEP = 1.25  # ratio of neighbouring sizes
# Number of smaller and of larger sizes that are tried around a given one. If the last is the best,
# one more follows.
_STEPS_AROUND = 2
_SMALLEST_ANG, _LARGEST_ANG = 50.0, 870.0  # sizes that are tried if none is given
# Assumed lengths of elongated particles, relative to a given or an estimated size: without a given
# one, the best scale of compact particles lies between the width and the length.
_GIVEN_LENGTHS, _OPEN_LENGTHS = (1.0, 1.56), (1.0, 1.56, 2.44)
_GIVEN_LIMITS, _OPEN_LIMITS = (0.5, 2.0), (0.5, 6.0)
_FINEST_SIDE = 0.3  # smallest scale of elongated particles, in lengths
_REPORTED_RATIO = 1.2  # of scale and diameter, from which on it is reported to the user


@dataclass(frozen=True)
class Decision:
    """A decision.

    Attributes:
        subject: What it is about.
        message: Text for the user.
        evidence_by_size: Evidence at each size that was compared, in ångströms, relative to the
            most; empty for other decisions.
    """

    subject: Literal["contrast", "size"]
    message: str
    evidence_by_size: Mapping[float, float] = field(default_factory=dict)


def resolve_settings(
    model: Model, settings: PickSettings, device: AnyDevice, paths: Sequence[Path]
) -> tuple[PickSettings, list[Decision]]:
    """Decide on contrast, particle size and scale where the settings leave them open.

    Only the general model leaves anything open: models that were trained on labels have the
    contrast and the size of their particles.

    Args:
        model: Model to pick with.
        settings: Settings of picking.
        device: Device to compute on.
        paths: The micrographs, of which the first few are scored.

    Returns:
        The settings with all decisions, and those of which the user should know.

    Raises:
        InputError: No size was given, and no particles were found at any size.
    """
    is_open = settings.contrast == "auto" or settings.scale_ang is None
    if not model.detects_contrast or not is_open:
        return _close_range(settings), []
    probe = partial(probe_micrographs, model, settings, device, paths)
    first = probe(ProbePlan(_list_sizes(settings)))
    decisions = []
    if settings.contrast == "auto":
        evidence = measure_evidence(first)
        if evidence.is_contrast_doubtful:  # fewer sizes leave time for more micrographs
            evidence = evidence.add(measure_evidence(probe(ProbePlan(evidence.best_sizes))))
        settings = replace(settings, contrast=evidence.contrast)
        if evidence.contrast == "bright":
            decisions.append(Decision("contrast", _describe_contrast(evidence)))
    if settings.scale_ang is None:
        probe = partial(probe_micrographs, model, settings, device, paths)  # in that contrast
        settings, decision = _decide_size(settings, first, probe)
        decisions += [decision] if decision else []
    return settings, decisions


def _decide_size(
    settings: PickSettings, first: Probe, probe: ProbeMicrographs
) -> tuple[PickSettings, Decision | None]:
    """Decide on the scale, and on the diameter and the width where they are not given."""
    assert settings.contrast != "auto", "was decided before"
    given_ang = _mean_side(settings)
    evidence = measure_size_evidence(first, settings.contrast)
    by_size = prefer_given_size(evidence, given_ang)
    if given_ang is None and not any(by_size.values()):
        raise InputError(
            "the particle size could not be estimated, as no particles were found at any "
            "size; add --diameter-ang, the particle diameter in ångströms"
        )
    if settings.width_ang is None:
        sides = find_elongation(_plan_search(settings, by_size), settings.contrast, probe)
        if sides is not None:
            return _choose_sides(settings, sides)
    further_ang = _extend_sizes(by_size) if settings.diameter_ang else None
    if further_ang is not None:
        further = probe(ProbePlan([further_ang], max_micrographs=first.micrographs))
        evidence |= measure_size_evidence(further, settings.contrast)
        by_size = prefer_given_size(evidence, given_ang)
    is_clear = any(one.is_clear for one in evidence.values())
    return _choose_size(settings, by_size, is_clear=is_clear)


def _plan_search(settings: PickSettings, by_size: Mapping[float, float]) -> LengthSearch:
    """Plan the search for elongated particles, from a given or an estimated size."""
    given_ang = settings.diameter_ang
    start_ang = given_ang or max(by_size, key=lambda size: by_size[size])
    factors = _OPEN_LENGTHS if given_ang is None else _GIVEN_LENGTHS
    limits = _OPEN_LIMITS if given_ang is None else _GIVEN_LIMITS
    smallest_ang, largest_ang = (limit * start_ang for limit in limits)
    if settings.diameter_range_ang is not None:
        smallest_ang, largest_ang = settings.diameter_range_ang
    lengths_ang = [factor * start_ang for factor in factors]
    return LengthSearch(
        [length_ang for length_ang in lengths_ang if length_ang <= largest_ang],
        (smallest_ang, largest_ang),
        given_ang,
    )


def _choose_sides(settings: PickSettings, sides: Sides) -> tuple[PickSettings, Decision]:
    """Set the length, the width and the scale of elongated particles."""
    given_ang = settings.diameter_ang
    text = f"particles are elongated, about {sides.width_ang:.0f} Å wide"
    if given_ang is None:
        text = f"{_describe_open_size(settings)}: {text} and {sides.length_ang:.0f} Å long"
    elif sides.length_ang != given_ang:
        text += f", and about {sides.length_ang:.0f} Å long, not the given {given_ang:.0f} Å"
    message = (
        f"{text}; set --width-ang as well as --diameter-ang to override (both the same for "
        "particles that are not elongated)"
    )
    chosen = replace(
        settings,
        diameter_ang=sides.length_ang,
        diameter_range_ang=None,
        width_ang=sides.width_ang,
        scale_ang=math.sqrt(sides.length_ang * sides.width_ang),
    )
    return chosen, Decision("size", message)


def _mean_side(settings: PickSettings) -> float | None:
    """Return the geometric mean of the given sides; None if there is no diameter."""
    if settings.diameter_ang is None:
        return None
    return math.sqrt(settings.diameter_ang * (settings.width_ang or settings.diameter_ang))


def _close_range(settings: PickSettings) -> PickSettings:
    """Replace a range of diameters by its geometric mean."""
    if settings.diameter_range_ang is None:
        return settings
    mean_ang = math.sqrt(math.prod(settings.diameter_range_ang))
    return replace(settings, diameter_ang=mean_ang, diameter_range_ang=None)


def _list_sizes(settings: PickSettings) -> list[float]:
    """List the sizes to score: neighbours of a given one, those of a range, or all."""
    if settings.scale_ang is not None:
        return [settings.scale_ang]
    around = _STEP**_STEPS_AROUND
    if settings.diameter_range_ang is not None:
        low_ang, high_ang = settings.diameter_range_ang
        return _divide(low_ang, high_ang)
    if settings.diameter_ang is None:
        return _divide(_SMALLEST_ANG, _LARGEST_ANG)
    finest = 1 / around
    if settings.width_ang is not None and is_elongated(settings.diameter_ang, settings.width_ang):
        return [math.sqrt(settings.width_ang * settings.diameter_ang)]
    if settings.width_ang is not None:
        side = math.sqrt(settings.width_ang / settings.diameter_ang)
        finest = min(finest, max(_FINEST_SIDE, side))
    steps_down = math.ceil(math.log(1 / finest, _STEP) - 1e-9)
    return [settings.diameter_ang * _STEP**step for step in range(-steps_down, _STEPS_AROUND + 1)]


def _extend_sizes(by_size: Mapping[float, float]) -> float | None:
    """Return the next size if the best one is the smallest or the largest."""
    if len(by_size) < 2 or not any(by_size.values()):
        return None
    best_ang = max(by_size, key=lambda size: by_size[size])
    if best_ang == max(by_size):
        return best_ang * _STEP
    return best_ang / _STEP if best_ang == min(by_size) else None


def _divide(low_ang: float, high_ang: float) -> list[float]:
    """Divide a range into sizes of about equal ratios."""
    steps = max(1, round(math.log(high_ang / low_ang, _STEP)))
    return [low_ang * (high_ang / low_ang) ** (step / steps) for step in range(steps + 1)]


def _choose_size(
    settings: PickSettings, by_size: Mapping[float, float], *, is_clear: bool
) -> tuple[PickSettings, Decision | None]:
    """Choose the scale of particles that are not elongated, and the diameter if none is given."""
    given_ang = settings.diameter_ang
    highest = max(by_size.values(), default=0.0)
    if not highest:
        return replace(settings, scale_ang=given_ang), None
    scale_ang = max(by_size, key=lambda size: by_size[size])
    relative = {size: value / highest for size, value in by_size.items()}
    evidence_text = _describe_neighbours(relative, scale_ang)
    message = ""
    if given_ang is None:
        doubt = "" if is_clear else "this may be wrong, as few particles are clear; "
        message = (
            f"{_describe_open_size(settings)}: estimated {scale_ang:.0f} Å ({evidence_text}); "
            f"{doubt}set --diameter-ang to override"
        )
    elif len(by_size) > 1 and max(scale_ang / given_ang, given_ang / scale_ang) > _REPORTED_RATIO:
        message = (
            f"scores are highest at the scale of {scale_ang:.0f} Å, not of the given "
            f"{given_ang:.0f} Å ({evidence_text}); set --scale-ang to override"
        )
    chosen = replace(
        settings,
        scale_ang=scale_ang,
        diameter_ang=given_ang or scale_ang,
        diameter_range_ang=None,
    )
    return chosen, Decision("size", message, relative) if message else None


def _describe_open_size(settings: PickSettings) -> str:
    return "size not given" if settings.diameter_range_ang is None else "size given as a range"


def _describe_neighbours(relative: Mapping[float, float], best_ang: float) -> str:
    """Describe the evidence at a size and at the sizes beside it."""
    sizes = list(relative)
    at = sizes.index(best_ang)
    nearby = sizes[max(0, at - 1) : at + 2]
    return "evidence: " + ", ".join(f"{size:.0f} Å {relative[size]:.2f}" for size in nearby)


def _describe_contrast(evidence: Evidence) -> str:
    values: dict[FixedContrast, float] = {
        contrast: evidence.best(contrast) / evidence.scale for contrast in ("dark", "bright")
    }
    return (
        f"particles are {evidence.contrast} (evidence on "
        f"{format_count(evidence.micrographs, 'micrograph')}: "
        f"{values['dark']:.2f} for dark, {values['bright']:.2f} for bright); "
        "set --contrast to override"
    )
