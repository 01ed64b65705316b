"""A RELION 4 or 5 external job: what RELION hands over, and what it looks for afterwards.

RELION runs `<program> --o External/jobNNN/ --in_mics <star> … --j <threads>` from its project's
folder. It learns from marker files in the job's folder how the job ended, asks it to stop by
one, and reads from RELION_OUTPUT_NODES.star what others may use. All paths in files are relative
to the project's folder.

- `run_job`: a command as such a job, with its markers.
- `write_coordinates`: picks as RELION's own picker leaves them.
- `write_nodes`: what the job offers to others.
- `PICKS_NODE`, `MODEL_NODE`: kinds of what it offers.

Source: RELION 4.0 and 5.0, pipeline and external jobs.
"""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cryopick.io.tables.codec import Layout, StarFrame
from cryopick.io.tables.pick_tables import write_coordinate_list, write_picks
from cryopick.io.tables.star_text import quoted
from cryopick.picks import Picks
from cryopick.runs.atomic_write import whole

__all__ = ["MODEL_NODE", "PICKS_NODE", "run_job", "write_coordinates", "write_nodes"]

PICKS_NODE = "MicrographCoordsGroup.star.relion.autopick"
MODEL_NODE = "ParamsData.sav.topaz.model"
_ABORT = "RELION_JOB_ABORT_NOW"
_SUCCESS, _FAILURE, _ABORTED = (
    f"RELION_JOB_EXIT_{end}" for end in ("SUCCESS", "FAILURE", "ABORTED")
)
_JOB_FOLDER = re.compile(r"^(?:.*/)?[A-Za-z]+/job\d+/")  # MotionCorr/job002/ and the like
_GRACE_S = 60.0  # from the interrupt to the kill: a checkpoint may have to be written


def run_job(
    folder: Path,
    command: Sequence[str],
    finish: Callable[[int], None],
    *,
    threads: int = 1,
    poll_s: float = 1.0,
) -> int:
    """Run a command as an external job, and mark how it ended.

    Args:
        folder: The job's folder; made if need be.
        command: The program and its words; its output goes where this process's does.
        finish: Called with the exit status of a command that was not aborted, to write what RELION
            is to find. A job whose `finish` raises has failed.
        threads: Cores to use.
        poll_s: Seconds between looks for RELION's request to stop.

    Returns:
        The exit status of the command; 130 if it was aborted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for marker in (_SUCCESS, _FAILURE, _ABORTED, _ABORT):
        (folder / marker).unlink(missing_ok=True)
    end = _FAILURE
    try:
        status = _until_told(folder / _ABORT, command, threads, poll_s)
        if status is None:
            end = _ABORTED
            (folder / _ABORT).unlink(missing_ok=True)
            return 128 + signal.SIGINT
        finish(status)
        end = _SUCCESS
        return status
    finally:
        (folder / end).touch()


def _until_told(abort: Path, command: Sequence[str], threads: int, poll_s: float) -> int | None:
    """The exit status of a command, or None if it was stopped because a file appeared."""
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, threads))}

    def hear_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore them

    with subprocess.Popen(command, env=environment, preexec_fn=hear_interrupts) as process:
        try:
            while True:
                try:
                    return process.wait(poll_s)
                except subprocess.TimeoutExpired:
                    if abort.exists():
                        break
            process.send_signal(signal.SIGINT)
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
    return None


def write_coordinates(picks: Picks, folder: Path) -> Path:
    """Write one coordinate file a micrograph and autopick.star, which lists them.

    A micrograph's file lies under its own path without the job that made it:
    MotionCorr/job002/Movies/a.mrc has its picks in Movies/a_autopick.star.

    Args:
        picks: Micrographs named by their paths from the project folder.
        folder: The job's folder, as seen from there.

    Returns:
        The list.
    """
    tables = {}
    for name, own in picks.by_micrograph():
        inside = Path(_JOB_FOLDER.sub("", Path(name).as_posix()).lstrip("/"))
        path = folder / inside.with_name(f"{inside.stem}_autopick.star")
        layout = Layout(one_micrograph=True, star=StarFrame(block=""))
        write_picks(own, path, overwrite=True, layout=layout)
        tables[Path(name)] = path
    listed = folder / "autopick.star"
    write_coordinate_list(tables, listed)
    return listed


def write_nodes(folder: Path, nodes: Mapping[Path, str]) -> None:
    """Write RELION_OUTPUT_NODES.star: files that other jobs may use, and of what kind they are."""
    lines = ["", "data_output_nodes", "", "loop_"]
    lines += ["_rlnPipeLineNodeName #1", "_rlnPipeLineNodeTypeLabel #2"]
    lines += [f"{quoted(path.as_posix())} {kind}" for path, kind in nodes.items()]
    with whole(folder / "RELION_OUTPUT_NODES.star", overwrite=True) as temporary:
        temporary.write_text("\n".join([*lines, "", ""]), encoding="utf-8")
