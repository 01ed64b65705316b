"""External jobs of cryoSPARC, through cryosparc-tools.

The job takes exposures of another job and outputs particles with locations and scores, for Inspect
Picks and Extract. Coordinates refer to the micrograph files of cryoSPARC and are not flipped.
cryosparc-tools is imported only in `connect`.

- `connect`: connect to a cryoSPARC instance.
- `pick_job`: run an external job that picks.
- `JobSettings`: project, workspace and input of the job.

Source: cryosparc-tools 5.0, documentation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import InputError, SettingsError
from cryopick.picks import Picks
from cryopick.runs.listed_path import ListedPath
from cryopick.workflows.events import Event, Events, FileSkipped

__all__ = ["JobSettings", "connect", "pick_job"]

Column = Shaped[np.ndarray, "..."]
PickFunction = Callable[[Sequence[Path], Events], Picks]

_INPUT, _OUTPUT = "exposures", "picked"
_PATH, _SHAPE, _PIXEL = (f"micrograph_blob/{name}" for name in ("path", "shape", "psize_A"))


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """Project, workspace and input of an external job.

    Attributes:
        project: Project, such as P3.
        workspace: Workspace, such as W1.
        source: Job that outputs the exposures, such as J12.
        output: Name of the output group with the exposures.
    """

    project: str
    workspace: str
    source: str
    output: str = "exposures"


def connect(url: str) -> Any:  # noqa: ANN401  # the library is optional
    """Connect to an instance with the login or environment variables of cryosparc-tools.

    Raises:
        SettingsError: cryosparc-tools is not installed.
        InputError: The instance does not respond, or rejects the login.
    """
    try:
        from cryosparc.tools import CryoSPARC  # type: ignore[import-not-found]  # an extra
    except ImportError:
        raise SettingsError(
            "cryosparc-tools is not installed; install the version of your cryoSPARC "
            "with cryopick, for example: pip install 'cryosparc-tools~=5.0.0'"
        ) from None
    try:
        client = CryoSPARC(url)
        responds = client.test_connection()
    except Exception as error:  # whatever the library or the network raises
        raise InputError(f"{url}: no connection to cryoSPARC: {error}") from error
    if not responds:
        raise InputError(f"{url}: cryoSPARC does not respond; check the address and the login")
    return client


def pick_job(
    client: Any,  # noqa: ANN401  # of cryosparc-tools
    settings: JobSettings,
    pick: PickFunction,
) -> tuple[str, int]:
    """Create an external job, pick the exposures in it, and save the picks as its output.

    Exposures that cannot be used are reported in the job log and skipped. An error marks the job as
    failed.

    Args:
        client: Client returned by `connect`.
        settings: Project, workspace and input of the job.
        pick: Picks all micrographs, given their paths, which state their pixel sizes, and a
            receiver of events. Skipped micrographs are not in its table.

    Returns:
        Name of the new job, and the number of picks.

    Raises:
        InputError: There are no exposures, or none can be used.
    """
    project = client.find_project(settings.project)
    job = project.create_external_job(settings.workspace, title="cryopick")
    job.add_input("exposure", _INPUT, min=1, slots=["micrograph_blob"])
    job.connect(_INPUT, settings.source, settings.output)
    job.add_output("particle", _OUTPUT, slots=["location", "pick_stats"])
    with job.run():
        exposures = job.load_input(_INPUT, ["micrograph_blob"])
        folder = project.dir() if callable(project.dir) else project.dir  # as in version 4, or 5
        paths: list[Path] = [
            ListedPath.create(Path(str(folder), str(path)), float(size_ang), Path(settings.source))
            for path, size_ang in zip(exposures[_PATH], exposures[_PIXEL], strict=True)
        ]
        if not paths:
            raise InputError(f"{settings.source}: its output {settings.output} has no exposures")
        table = pick(paths, _JobLog(job))
        by_name = dict(table.split_by_micrograph())
        picks_by_row = [
            (row, by_name[str(path)]) for row, path in enumerate(paths) if str(path) in by_name
        ]
        if not picks_by_row:
            raise InputError(f"{settings.source}: none of its exposures can be used; see the log")
        columns = _columns(exposures, picks_by_row)
        picked = job.alloc_output(_OUTPUT, len(columns["pick_stats/ncc_score"]))
        for name, column in columns.items():
            if name in picked:
                picked[name] = column
        job.save_output(_OUTPUT, picked)
    return str(job.uid), len(picked)


class _JobLog:
    """A receiver that reports skipped exposures in the log of a job."""

    def __init__(self, job: Any) -> None:  # noqa: ANN401  # of cryosparc-tools
        self._job = job

    def emit(self, event: Event, /) -> None:
        """Report a skipped exposure."""
        if isinstance(event, FileSkipped):
            self._job.log(f"skipped {event.path}: {event.reason}", level="warning")


def _columns(
    exposures: Any,  # noqa: ANN401  # of cryosparc-tools
    picks_by_row: Sequence[tuple[int, Picks]],
) -> dict[str, Column]:
    """Convert picks to columns of cryoSPARC: fractions of the micrograph, and scores."""
    rows = np.repeat([row for row, _ in picks_by_row], [len(picks) for _, picks in picks_by_row])
    xy_px = np.concatenate([picks.xy_px for _, picks in picks_by_row])
    score = np.concatenate([picks.score for _, picks in picks_by_row]).astype(np.float32)
    shape = np.asarray(exposures[_SHAPE]).reshape(-1, 2)[rows]
    return {
        "location/micrograph_uid": np.asarray(exposures["uid"])[rows],
        "location/exp_group_id": np.zeros(len(rows), np.uint32),
        "location/micrograph_path": np.asarray(exposures[_PATH])[rows],
        "location/micrograph_shape": shape.astype(np.uint32),
        "location/micrograph_psize_A": np.asarray(exposures[_PIXEL])[rows],
        "location/center_x_frac": (xy_px[:, 0] / shape[:, 1]).astype(np.float32),
        "location/center_y_frac": (xy_px[:, 1] / shape[:, 0]).astype(np.float32),
        "pick_stats/ncc_score": score,
        "pick_stats/power": score,
        "pick_stats/template_idx": np.zeros(len(rows), np.uint32),
        "pick_stats/angle_rad": np.zeros(len(rows), np.float32),
    }
