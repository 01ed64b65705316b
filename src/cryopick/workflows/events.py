"""Events that workflows emit, and the protocol of the front ends that receive them.

A workflow calls `events.emit` with one of the event classes. A front end shows events on a
terminal, writes them to a file or passes them to a log; it decides by the class and the fields of
an event, never by the text of a message.

- `Event` and its subclasses: the events.
- `Events`: the protocol of a front end; `NoEvents` ignores all, `EventGroup` informs several.
- `notify_findings`: notices about irregular micrographs.
- `track_progress`: emits the progress of one stage.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cryopick.evaluate.expectation import AutomaticSelection
    from cryopick.picks import Picks
    from cryopick.train.curves import CurveRow
    from cryopick.train.particle_count import ParticleCountEstimate

__all__ = [
    "CurvePoint",
    "Event",
    "EventGroup",
    "Events",
    "FileSkipped",
    "Finished",
    "NoEvents",
    "Notice",
    "NoticeCode",
    "ParticlesEstimated",
    "PicksSelected",
    "Progress",
    "Resumed",
    "StageEnded",
    "Started",
    "notify_findings",
    "track_progress",
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        name: Name of the event in JSON.
    """

    name: ClassVar[str] = "event"

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; numbers that are not finite become null."""
        return {field.name: _as_json(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A workflow started.

    Attributes:
        workflow: "train" or "pick".
        micrographs: Number of micrographs.
    """

    name: ClassVar[str] = "started"
    workflow: str
    micrographs: int


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """A workflow continues from saved results.

    Attributes:
        source: Description of those results.
        step: Training steps completed before, for a training run.
    """

    name: ClassVar[str] = "resumed"
    source: str
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """A stage of a workflow advanced.

    Attributes:
        stage: Description of the stage, such as "Picking micrographs".
        done: Completed units, such as micrographs or training steps.
        total: Units of the whole stage.
        elapsed_s: Seconds since the stage began.
        seconds_left: Estimate of the remaining seconds; None before the first unit is complete.
    """

    name: ClassVar[str] = "progress"
    stage: str
    done: int
    total: int
    elapsed_s: float
    seconds_left: float | None


@dataclass(frozen=True, kw_only=True)
class StageEnded(Event):
    """A stage ended, complete or not.

    Attributes:
        stage: Description of the stage.
    """

    name: ClassVar[str] = "stage_ended"
    stage: str


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Event):
    """Training reached a checkpoint.

    Attributes:
        row: New row of the training curves.
        steps: Training steps of this network.
        is_partner: The network is the ensemble partner, which is trained first.
    """

    name: ClassVar[str] = "curve_point"
    row: "CurveRow"
    steps: int
    is_partner: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the row's fields, the number of steps, and whether it is of the partner."""
        values = {field.name: getattr(self.row, field.name) for field in fields(self.row)}
        json_values = {name: _as_json(value) for name, value in values.items()}
        return json_values | {"steps": self.steps, "is_partner": self.is_partner}


@dataclass(frozen=True, kw_only=True)
class ParticlesEstimated(Event):
    """The number of particles per micrograph was estimated.

    Attributes:
        estimate: The estimate with its 95 % interval.
    """

    name: ClassVar[str] = "particles_estimated"
    estimate: "ParticleCountEstimate"

    def as_json(self) -> dict[str, Any]:
        """Return the estimate's fields."""
        return {field.name: getattr(self.estimate, field.name) for field in fields(self.estimate)}


@dataclass(frozen=True, kw_only=True)
class PicksSelected(Event):
    """Picks were selected with an automatic threshold.

    Attributes:
        picks: All picks.
        selection: The selected picks and their expected precision and recall.
    """

    name: ClassVar[str] = "picks_selected"
    picks: "Picks"
    selection: "AutomaticSelection"

    def as_json(self) -> dict[str, Any]:
        """Return the number of picks before and after."""
        return {"picks": len(self.picks), "selected": len(self.selection.picks)}


class NoticeCode(StrEnum):
    """Subject of a notice."""

    MICROGRAPH_FINDING = "micrograph_finding"
    UNMATCHED_LABELS = "unmatched_labels"
    DUPLICATE_LABELS = "duplicate_labels"
    UNUSABLE_LABELS = "unusable_labels"
    DOUBTFUL_LABELS = "doubtful_labels"
    DOUBTFUL_PARTICLE_COUNT = "doubtful_particle_count"
    DOUBTFUL_SIZE = "doubtful_size"
    UNCALIBRATED_SCORES = "uncalibrated_scores"
    NO_PARTICLES = "no_particles"
    CONTRAST = "contrast"
    SIZE = "size"
    MODEL_COMPARISON = "model_comparison"
    WORKERS = "workers"


@dataclass(frozen=True, kw_only=True)
class Notice(Event):
    """Something that a user should know, but that does not stop the workflow.

    Attributes:
        code: Subject.
        message: Text for people.
    """

    name: ClassVar[str] = "notice"
    code: NoticeCode
    message: str


def notify_findings(events: "Events", findings: Sequence[str]) -> None:
    """Emit a notice for each irregularity of the micrographs."""
    for finding in findings:
        events.emit(Notice(code=NoticeCode.MICROGRAPH_FINDING, message=f"note: {finding}"))


@dataclass(frozen=True, kw_only=True)
class FileSkipped(Event):
    """A micrograph was skipped because of an error.

    Attributes:
        path: The micrograph.
        reason: The error in one line, without the path.
    """

    name: ClassVar[str] = "file_skipped"
    path: Path
    reason: str

    @classmethod
    def from_error(cls, path: Path, error: Exception) -> "FileSkipped":
        """Describe a micrograph that raised an error."""
        reason = " ".join(str(error).removeprefix(f"{path}: ").split())
        return cls(path=path, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """A workflow finished.

    Attributes:
        message: Summary for people.
    """

    name: ClassVar[str] = "finished"
    message: str


@runtime_checkable
class Events(Protocol):
    """A receiver of events."""

    def emit(self, event: Event, /) -> None:
        """Receive one event."""


class NoEvents:
    """A receiver that ignores all events."""

    def emit(self, event: Event, /) -> None:
        """Ignore the event."""


class EventGroup:
    """Several receivers of the same events.

    Args:
        members: The receivers, informed in this order.
    """

    def __init__(self, *members: Events) -> None:
        self._members = members

    def emit(self, event: Event, /) -> None:
        """Pass the event to all receivers."""
        for member in self._members:
            member.emit(event)


@contextmanager
def track_progress(events: Events, stage: str, total: int) -> Iterator[Callable[[int], None]]:
    """Emit the progress of a stage while the block runs.

    Args:
        events: Receiver of the events.
        stage: Description of the stage, such as "Picking micrographs".
        total: Units of the whole stage.

    Yields:
        A function that takes the number of units completed since its last call.
    """
    started, completed = time.monotonic(), 0

    def advance(units: int) -> None:
        nonlocal completed
        completed += units
        elapsed_s = time.monotonic() - started
        left_s = elapsed_s * (total - completed) / completed if completed else None
        events.emit(
            Progress(
                stage=stage, done=completed, total=total, elapsed_s=elapsed_s, seconds_left=left_s
            )
        )

    events.emit(Progress(stage=stage, done=0, total=total, elapsed_s=0.0, seconds_left=None))
    try:
        yield advance
    finally:
        events.emit(StageEnded(stage=stage))


def _as_json(value: Any) -> Any:  # noqa: ANN401  # any field
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
