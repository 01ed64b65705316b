"""Decide on contrast, particle size and scale before picking.

What the user leaves open is decided by the scores of the first micrographs, and stored in the
settings, so that all micrographs are picked alike.

- `resolve_settings`: settings in which nothing is open.
- `Decision`: what was decided, for the user.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from cryopick.errors import InputError, format_count
from cryopick.model.device import AnyDevice
from cryopick.model.model_file import Model
from cryopick.pick.elongation import estimate_width, guess_width
from cryopick.pick.evidence import Evidence, measure_evidence
from cryopick.pick.probe import Probe, probe_micrographs
from cryopick.pick.settings import FixedContrast, PickSettings, is_elongated

__all__ = ["Decision", "resolve_settings"]

_STEP = 1.25  # ratio of neighbouring sizes
# Number of smaller and of larger sizes that are tried around a given one. If the last is the best,
# one more follows.
_STEPS_AROUND = 2
_SMALLEST_ANG, _LARGEST_ANG = 50.0, 560.0  # sizes that are tried if none is given
_FINE_DIVISORS = (2.0, 3.0)  # of a given diameter, to find out whether particles are elongated
_MAX_FINE_MICROGRAPHS = 3
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
    first = probe_micrographs(model, settings, device, paths, _list_sizes(settings))
    evidence = measure_evidence(first)
    decisions = []
    if settings.contrast == "auto":
        if evidence.is_contrast_doubtful:  # fewer sizes leave time for more micrographs
            second_look = probe_micrographs(model, settings, device, paths, evidence.best_sizes)
            evidence = evidence.add(measure_evidence(second_look))
        settings = replace(settings, contrast=evidence.contrast)
        if evidence.contrast == "bright":
            decisions.append(Decision("contrast", _describe_contrast(evidence)))
    probe = partial(probe_micrographs, model, settings, device, paths)  # in one contrast from here
    if settings.scale_ang is None and settings.width_ang is None and settings.diameter_ang:
        settings, further_decisions = _find_elongation(settings, settings.diameter_ang, probe)
        decisions += further_decisions
    if settings.scale_ang is None:
        given_ang = _mean_side(settings)
        evidence = measure_evidence(first, given_ang)
        further_ang = _extend_sizes(settings, evidence)
        if further_ang is not None:
            further = probe([further_ang], evidence.micrographs)
            evidence = evidence.add(measure_evidence(further, given_ang))
        settings, further_decisions = _choose_size(settings, evidence)
        decisions += further_decisions
    return settings, decisions


def _find_elongation(
    settings: PickSettings, length_ang: float, probe: Callable[..., Probe]
) -> tuple[PickSettings, list[Decision]]:
    """Set width and scale if the particles are elongated, by the scores at finer scales."""
    assert settings.contrast != "auto", "was decided before"
    fine = probe([length_ang / divisor for divisor in _FINE_DIVISORS], _MAX_FINE_MICROGRAPHS)
    width_ang = estimate_width(
        regions
        for (contrast, _), regions in fine.regions_ang.items()
        if contrast == settings.contrast
    )
    if width_ang is None:
        width_ang = guess_width(
            {
                size: values
                for (contrast, size), values in fine.directionality.items()
                if contrast == settings.contrast
            },
            length_ang,
        )
    if width_ang is None or not is_elongated(length_ang, width_ang):
        return settings, []
    settings = replace(settings, width_ang=width_ang, scale_ang=math.sqrt(length_ang * width_ang))
    message = (
        f"particles are elongated, about {width_ang:.0f} Å wide; set --width-ang to override "
        f"({length_ang:.0f} for particles that are not)"
    )
    return settings, [Decision("size", message)]


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


def _extend_sizes(settings: PickSettings, evidence: Evidence) -> float | None:
    """Return the next size if a size was given and the best one is the smallest or the largest."""
    assert settings.contrast != "auto", "was decided before"
    by_size = evidence.by_size(settings.contrast)
    if settings.diameter_ang is None or len(by_size) < 2 or not any(by_size.values()):
        return None
    best_ang = max(by_size, key=lambda size: by_size[size])
    if best_ang == max(by_size):
        return best_ang * _STEP
    return best_ang / _STEP if best_ang == min(by_size) else None


def _divide(low_ang: float, high_ang: float) -> list[float]:
    """Divide a range into sizes of about equal ratios."""
    steps = max(1, round(math.log(high_ang / low_ang, _STEP)))
    return [low_ang * (high_ang / low_ang) ** (step / steps) for step in range(steps + 1)]


def _choose_size(settings: PickSettings, evidence: Evidence) -> tuple[PickSettings, list[Decision]]:
    """Choose the scale, and the diameter where none is given."""
    assert settings.contrast != "auto", "was decided before"
    by_size = evidence.by_size(settings.contrast)
    given_ang = settings.diameter_ang
    if not any(by_size.values()):
        if given_ang is None:
            raise InputError(
                "the particle size could not be estimated, as no particles were found at any "
                "size; add --diameter-ang, the particle diameter in ångströms"
            )
        return replace(settings, scale_ang=given_ang), []
    scale_ang = max(by_size, key=lambda size: by_size[size])
    reason = "size not given" if settings.diameter_range_ang is None else "size given as a range"
    settings = replace(
        settings,
        scale_ang=scale_ang,
        diameter_ang=given_ang or scale_ang,
        diameter_range_ang=None,
    )
    evidence_text = _describe_neighbours(by_size, scale_ang, evidence.scale)
    if given_ang is None:
        message = (
            f"{reason}: estimated {scale_ang:.0f} Å ({evidence_text}); "
            "set --diameter-ang to override"
        )
    elif len(by_size) > 1 and max(scale_ang / given_ang, given_ang / scale_ang) > _REPORTED_RATIO:
        message = (
            f"scores are highest at the scale of {scale_ang:.0f} Å, not of the given "
            f"{given_ang:.0f} Å ({evidence_text}); set --scale-ang to override"
        )
    else:
        return settings, []
    relative = {size: value / evidence.scale for size, value in by_size.items()}
    return settings, [Decision("size", message, relative)]


def _describe_neighbours(by_size: dict[float, float], best_ang: float, unit: float) -> str:
    """Describe the evidence at a size and at the sizes beside it."""
    sizes = list(by_size)
    at = sizes.index(best_ang)
    nearby = sizes[max(0, at - 1) : at + 2]
    return "evidence: " + ", ".join(f"{size:.0f} Å {by_size[size] / unit:.2f}" for size in nearby)


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
