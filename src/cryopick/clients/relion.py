"""External jobs of RELION 4 and 5.

RELION runs `<program> --o External/jobNNN/ --in_mics <star> … --j <threads>` in the project folder.
Marker files in the job folder report the result and request a stop. RELION_OUTPUT_NODES.star lists
the output files that other jobs may use. All paths in files are relative to the project folder.

- `run_job`: run a command as an external job, with its marker files.
- `write_coordinates`: write picks in the form of RELION's picker.
- `invert_tiff`: convert coordinates on TIFF micrographs, which RELION reads upside down.
- `write_nodes`: write the list of output files.
- `PICKS_NODE`, `MODEL_NODE`: node types of output files.

Source: RELION 4.0 and 5.0, pipeline and external jobs.
"""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.io.images.sizes import read_micrograph_shape
from cryopick.io.tables.codec import StarContext, TableLayout
from cryopick.io.tables.pick_tables import write_coordinate_list, write_picks
from cryopick.io.tables.star_text import quote_value
from cryopick.picks import Picks
from cryopick.runs.atomic_write import atomic_write

__all__ = [
    "MODEL_NODE",
    "PICKS_NODE",
    "invert_tiff",
    "run_job",
    "write_coordinates",
    "write_nodes",
]

PICKS_NODE = "MicrographCoordsGroup.star.relion.autopick"
MODEL_NODE = "ParamsData.sav.topaz.model"
_ABORT = "RELION_JOB_ABORT_NOW"
_SUCCESS, _FAILURE, _ABORTED = (
    f"RELION_JOB_EXIT_{marker}" for marker in ("SUCCESS", "FAILURE", "ABORTED")
)
_JOB_FOLDER = re.compile(r"^(?:.*/)?[A-Za-z]+/job\d+/")  # such as MotionCorr/job002/
_TIFF_SUFFIXES = (".tif", ".tiff")
_GRACE_S = 60.0  # between interrupt and kill, to write a checkpoint


def run_job(
    folder: Path,
    command: Sequence[str],
    finish: Callable[[int], None],
    *,
    threads: int = 1,
    poll_s: float = 1.0,
) -> int:
    """Run a command as an external job, and write the marker file of its result.

    Args:
        folder: Job folder; created if missing.
        command: Program and arguments; it shares stdout and stderr with this process.
        finish: Called with the exit status of a command that was not aborted, to write the
            outputs for RELION. A job whose `finish` raises has failed.
        threads: Number of CPU threads.
        poll_s: Interval between checks for a stop request, in seconds.

    Returns:
        The exit status of the command; 130 if it was aborted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for marker in (_SUCCESS, _FAILURE, _ABORTED, _ABORT):
        (folder / marker).unlink(missing_ok=True)
    marker = _FAILURE
    try:
        status = _run_until_aborted(folder / _ABORT, command, threads, poll_s)
        if status is None:
            marker = _ABORTED
            (folder / _ABORT).unlink(missing_ok=True)
            return 128 + signal.SIGINT
        finish(status)
        marker = _SUCCESS
        return status
    finally:
        (folder / marker).touch()


def _run_until_aborted(
    abort: Path, command: Sequence[str], threads: int, poll_s: float
) -> int | None:
    """Run a command; return its exit status, or None if the abort file appeared."""
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, threads))}

    def restore_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in background jobs of a shell

    with subprocess.Popen(command, env=environment, preexec_fn=restore_interrupts) as process:
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
    """Write one coordinate file per micrograph, and autopick.star, which lists them.

    The path of a coordinate file is that of the micrograph without the job folder: the picks of
    MotionCorr/job002/Movies/a.mrc are in Movies/a_autopick.star.

    Args:
        picks: Picks; micrographs are named by their paths in the project folder.
        folder: Job folder, relative to the project folder.

    Returns:
        Path of the list.
    """
    tables = {}
    for name, micrograph_picks in picks.split_by_micrograph():
        relative_path = Path(_JOB_FOLDER.sub("", Path(name).as_posix()).lstrip("/"))
        path = folder / relative_path.with_name(f"{relative_path.stem}_autopick.star")
        layout = TableLayout(one_micrograph=True, star=StarContext(block=""))
        write_picks(micrograph_picks, path, overwrite=True, layout=layout)
        tables[Path(name)] = path
    list_path = folder / "autopick.star"
    write_coordinate_list(tables, list_path)
    return list_path


def invert_tiff(picks: Picks) -> tuple[Picks, int]:
    """Convert coordinates on TIFF micrographs between RELION's frame and that of the stored rows.

    RELION reads TIFF files upside down, so that its y is height - 1 - y of the stored rows.

    Args:
        picks: Picks on micrographs named by their paths.

    Returns:
        The converted picks, and the number of TIFF micrographs with picks.
    """
    heights = np.zeros(len(picks.micrographs), np.int64)
    is_tiff = np.zeros(len(picks.micrographs), bool)
    for i in np.unique(picks.index).tolist():
        if picks.micrographs[i].lower().endswith(_TIFF_SUFFIXES):
            is_tiff[i] = True
            heights[i] = read_micrograph_shape(Path(picks.micrographs[i]))[0]
    inverted = picks.invert_y(heights)
    is_row_tiff = is_tiff[picks.index][:, None]
    return replace(picks, xy_px=np.where(is_row_tiff, inverted.xy_px, picks.xy_px)), int(
        is_tiff.sum()
    )


def write_nodes(folder: Path, nodes: Mapping[Path, str]) -> None:
    """Write RELION_OUTPUT_NODES.star: output files and their node types."""
    lines = ["", "data_output_nodes", "", "loop_"]
    lines += ["_rlnPipeLineNodeName #1", "_rlnPipeLineNodeTypeLabel #2"]
    lines += [f"{quote_value(path.as_posix())} {kind}" for path, kind in nodes.items()]
    with atomic_write(folder / "RELION_OUTPUT_NODES.star", overwrite=True) as temporary:
        temporary.write_text("\n".join([*lines, "", ""]), encoding="utf-8")
