"""A cryoSPARC external job: exposures in, picks out, through cryosparc-tools.

The job takes exposures of another job and offers particles with their locations and scores, so
that Inspect Picks and Extract follow as after any picker. Rows are those of the micrograph file
that cryoSPARC itself wrote: nothing is turned over. cryosparc-tools is imported only in `connect`.

- `connect`: a client of a cryoSPARC instance.
- `pick_job`: an external job that picks.
- `JobSettings`: where in cryoSPARC, and on what.

Source: cryosparc-tools 5.0, documentation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import CryopickError, InputError, SettingsError
from cryopick.picks import Picks

__all__ = ["JobSettings", "connect", "pick_job"]

Column = Shaped[np.ndarray, "..."]
Picker = Callable[[Path], Picks]

_INPUT, _OUTPUT = "exposures", "picked"
_PATH, _SHAPE, _PIXEL = (f"micrograph_blob/{name}" for name in ("path", "shape", "psize_A"))


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """Where in cryoSPARC the job is to be, and what it works on.

    Attributes:
        project: Such as P3.
        workspace: Such as W1.
        source: Job that gives the exposures, such as J12.
        output: Name of its output that holds them.
    """

    project: str
    workspace: str
    source: str
    output: str = "exposures"


def connect(url: str) -> Any:  # noqa: ANN401  # the library need not be there
    """Open a connection; who is asking, cryosparc-tools knows from its login or environment.

    Raises:
        SettingsError: cryosparc-tools is not installed.
        InputError: The instance does not answer, or refuses.
    """
    try:
        from cryosparc.tools import CryoSPARC  # type: ignore[import-not-found]  # an extra
    except ImportError:
        raise SettingsError(
            "cryosparc-tools is not installed; install the version of your cryoSPARC beside "
            "cryopick, for example: pip install 'cryosparc-tools~=5.0.0'"
        ) from None
    try:
        client = CryoSPARC(url)
        answers = client.test_connection()
    except Exception as error:  # whatever the library or the network raises
        raise InputError(f"{url}: no connection to cryoSPARC: {error}") from error
    if not answers:
        raise InputError(f"{url}: cryoSPARC does not answer; check the address and the login")
    return client


def pick_job(
    client: Any,  # noqa: ANN401  # of cryosparc-tools
    settings: JobSettings,
    ready: Callable[[Sequence[Path], float], Picker],
) -> tuple[str, int]:
    """Create an external job, pick the exposures in it, and save the picks as its output.

    An exposure that cannot be used is told in the job's log and skipped. Whatever stops the work
    marks the job as failed.

    Args:
        client: As `connect` gives it.
        settings: Where, and on what.
        ready: Given all micrographs and their pixel size in ångströms, gives what picks one.

    Returns:
        The new job's name, and the number of picks.

    Raises:
        InputError: There is no exposure, or none can be used.
    """
    project = client.find_project(settings.project)
    job = project.create_external_job(settings.workspace, title="cryopick")
    job.add_input("exposure", _INPUT, min=1, slots=["micrograph_blob"])
    job.connect(_INPUT, settings.source, settings.output)
    job.add_output("particle", _OUTPUT, slots=["location", "pick_stats"])
    with job.run():
        exposures = job.load_input(_INPUT, ["micrograph_blob"])
        folder = project.dir() if callable(project.dir) else project.dir  # as in version 4, or 5
        paths = [Path(str(folder), str(path)) for path in exposures[_PATH]]
        if not paths:
            raise InputError(f"{settings.source}: its output {settings.output} holds no exposure")
        pick = ready(paths, float(exposures[_PIXEL][0]))
        found = list(_picked(job, paths, pick))
        if not found:
            raise InputError(f"{settings.source}: none of its exposures can be used; see the log")
        columns = _columns(exposures, found)
        picked = job.alloc_output(_OUTPUT, len(columns["pick_stats/ncc_score"]))
        for name, column in columns.items():
            if name in picked:
                picked[name] = column
        job.save_output(_OUTPUT, picked)
    return str(job.uid), len(picked)


def _picked(
    job: Any,  # noqa: ANN401  # of cryosparc-tools
    paths: Sequence[Path],
    pick: Picker,
) -> Iterator[tuple[int, Picks]]:
    """The picks of each exposure that can be used, with its row."""
    for row, path in enumerate(paths):
        try:
            found = pick(path)
        except CryopickError as error:
            job.log(f"skipped {error}", level="warning")
        else:
            yield row, found


def _columns(
    exposures: Any,  # noqa: ANN401  # of cryosparc-tools
    found: Sequence[tuple[int, Picks]],
) -> dict[str, Column]:
    """What cryoSPARC stores of picks: fractions of the micrograph, and scores where it looks."""
    rows = np.repeat([row for row, _ in found], [len(own) for _, own in found])
    xy_px = np.concatenate([own.xy_px for _, own in found])
    score = np.concatenate([own.score for _, own in found]).astype(np.float32)
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
