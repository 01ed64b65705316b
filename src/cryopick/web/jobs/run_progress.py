"""Progress of a run, read from its progress files and its output.

Training and picking write events to `progress.jsonl` (see `cryopick.workflows.progress_file`);
the output of the commands is shown as it is and never interpreted.

- `read_run_progress`: training curves and progress.
- `has_calibrated_scores`: the scores of a run are log-odds.
- `phrase_notice`: a notice of a command in the words of the page.
- `read_last_lines`: the end of the output.
- `progress_size`: size of all these files, to detect changes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryopick.web.jobs.run_estimate import StageProgress
from cryopick.workflows.events import NoticeCode
from cryopick.workflows.progress_file import PROGRESS_FILE, read_progress

__all__ = [
    "EVENTS_FILE",
    "LOG_FILE",
    "RunProgress",
    "has_calibrated_scores",
    "phrase_notice",
    "progress_size",
    "read_last_lines",
    "read_run_progress",
]

LOG_FILE = "log.txt"
EVENTS_FILE = "events.jsonl"
_MAX_LOG_BYTES = 20_000
_SHOWN_LINES = 40
_OPTIONS = {  # as the page calls them
    "--particles-per-micrograph": "the number of particles per micrograph",
    "--diameter-ang": "the particle diameter",
    "--contrast": "the contrast",
}
_OVERRIDE = re.compile(r"; (?:set|give) --[a-z-]+ to override\b")  # not possible on the page


@dataclass
class RunProgress:
    """Progress of a run for the page.

    Attributes:
        curves: Columns `step` and `loss` of each checkpoint, `partner_loss` if the ensemble
            partner is trained before, and `average_precision_step` and `average_precision` of
            the checkpoints with held-out particles.
        current: `stage`, `done`, `total` and `seconds_left` of the current stage; empty before
            the first stage.
        stages: Last progress of each stage, in order.
        notices: Notices of the commands: `code` and `message`.
    """

    curves: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "step": [],
            "loss": [],
            "partner_loss": [],
            "average_precision_step": [],
            "average_precision": [],
        }
    )
    current: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, StageProgress] = field(default_factory=dict)
    notices: list[dict[str, str]] = field(default_factory=list)

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Update the progress with an event of a progress file; other events are ignored."""
        if event["event"] == "curve_point":
            self._add_loss(event["step"], event["loss"], is_partner=event.get("is_partner", False))
            if event.get("particle_average_precision") is not None:
                self.curves["average_precision_step"].append(event["step"])
                self.curves["average_precision"].append(event["particle_average_precision"])
        elif event["event"] == "progress":
            names = ("stage", "done", "total", "seconds_left")
            self.current = {name: event.get(name) for name in names}
            stage = StageProgress(event["done"], event["total"], event.get("elapsed_s") or 0.0)
            self.stages[event["stage"]] = stage
        elif event["event"] == "notice":
            notice = {
                "code": str(event.get("code")),
                "message": phrase_notice(str(event.get("message"))),
            }
            if notice not in self.notices:
                self.notices.append(notice)

    def _add_loss(self, step: int, loss: float | None, *, is_partner: bool) -> None:
        """Add a loss; both networks have the same checkpoints, and the partner has them first."""
        names = ("loss", "partner_loss")
        if step not in self.curves["step"]:
            self.curves["step"].append(step)
            for name in names:
                self.curves[name].append(None)
        self.curves[names[is_partner]][self.curves["step"].index(step)] = loss


def phrase_notice(message: str) -> str:
    """Phrase the notice of a command as a sentence without names of options.

    >>> phrase_notice("check the labels and --diameter-ang")
    'Check the labels and the particle diameter.'
    """
    message = _OVERRIDE.sub("", message)
    for option, name in _OPTIONS.items():
        message = message.replace(option, name)
    message = message.replace(" %", "\N{NO-BREAK SPACE}%").rstrip(".")
    return f"{message[:1].upper()}{message[1:]}."


def read_run_progress(folder: Path) -> RunProgress:
    """Read the progress files in the folder of a run, the oldest first."""
    progress = RunProgress()
    for file in _progress_files(folder):
        for event in read_progress(file):
            progress.add_event(event)
    return progress


def has_calibrated_scores(kind: str, folder: Path) -> bool:
    """Return false if the scores of a run only rank its picks.

    Those of imported tables have an unknown scale, and a training may fail to calibrate its model.
    """
    notices = read_run_progress(folder).notices if kind == "train" else []
    is_uncalibrated = any(n["code"] == NoticeCode.UNCALIBRATED_SCORES for n in notices)
    return kind != "import" and not is_uncalibrated


def read_last_lines(folder: Path) -> list[str]:
    """Read the last lines of the output of a run."""
    try:
        with (folder / LOG_FILE).open("rb") as stream:
            stream.seek(max(0, (folder / LOG_FILE).stat().st_size - _MAX_LOG_BYTES))
            return stream.read().decode("utf-8", "replace").splitlines()[-_SHOWN_LINES:]
    except OSError:
        return []


def progress_size(folder: Path) -> int:
    """Return the total size of output and progress files in bytes."""
    sizes = [_modification(file)[1] for file in (folder / LOG_FILE, *_progress_files(folder))]
    return sum(sizes)


def _progress_files(folder: Path) -> list[Path]:
    """Return the file of all events; of runs by earlier versions, those of the commands."""
    if (folder / EVENTS_FILE).exists():
        return [folder / EVENTS_FILE]
    return sorted(folder.glob(f"*/{PROGRESS_FILE}"), key=_modification)


def _modification(file: Path) -> tuple[int, int]:
    """Return the time and size of a file; zeros if it was removed meanwhile."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
