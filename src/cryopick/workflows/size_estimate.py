"""Estimate the particle size on the first micrographs, with progress.

- `estimate_size`: settings with the size, the scale and the contrast.
- `SizeEstimate`: those settings, and the evidence by size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryopick.model.device import AnyDevice
from cryopick.model.model_file import Model
from cryopick.pick.decisions import resolve_settings
from cryopick.pick.probe import MAX_MICROGRAPHS
from cryopick.pick.settings import PickSettings
from cryopick.workflows.events import Events, Notice, NoticeCode, track_progress

__all__ = ["SizeEstimate", "estimate_size"]

_STAGE = "Estimating the particle size"


@dataclass(frozen=True, kw_only=True)
class SizeEstimate:
    """An estimate of the particle size.

    Attributes:
        settings: Settings of picking with the diameter, the scale and the contrast.
        evidence_by_size: Evidence at each size in ångströms, relative to the most; empty if the
            model has a size of its own.
    """

    settings: PickSettings
    evidence_by_size: Mapping[float, float] = field(default_factory=dict)


def estimate_size(
    model: Model,
    settings: PickSettings,
    device: AnyDevice,
    micrographs: Sequence[Path],
    events: Events,
) -> SizeEstimate:
    """Estimate the particle size by the scores of the general model on the first micrographs.

    Args:
        model: Model to pick with; one that was trained on labels keeps its size.
        settings: Settings of picking without a diameter; a range of diameters limits the estimate.
        device: Device to compute on.
        micrographs: The micrographs, of which the first few are scored.
        events: Receiver of progress and of the decisions.

    Raises:
        InputError: No particles were found at any size.
    """
    total = min(MAX_MICROGRAPHS, len(micrographs))
    with track_progress(events, _STAGE, total) as advance:
        paths = _ReportedPaths(micrographs, lambda: advance(1), total)
        settings, decisions = resolve_settings(model, settings, device, paths)
    for decision in decisions:
        events.emit(Notice(code=NoticeCode(decision.subject), message=decision.message))
    evidence = (decision.evidence_by_size for decision in decisions if decision.evidence_by_size)
    return SizeEstimate(settings=settings, evidence_by_size=next(evidence, {}))


class _ReportedPaths(list[Path]):
    """Paths that report how many of the first ones were used.

    They are used several times, of which the first ones are reported.
    """

    def __init__(self, paths: Sequence[Path], report: Callable[[], None], total: int) -> None:
        super().__init__(paths)
        self._report, self._unreported = report, total

    def __iter__(self) -> Iterator[Path]:
        for path in super().__iter__():
            yield path
            if self._unreported:
                self._unreported -= 1
                self._report()
