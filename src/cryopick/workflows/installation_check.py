"""Checks of an installation: versions, devices, memory, disks and programs of others.

Each check returns findings and raises nothing, so that one fault does not hide the others.

- `Finding`: one fact about the installation, and whether it is a problem.
- `check_installation`: all findings.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from cryopick.errors import CryopickError

__all__ = ["Finding", "State", "check_installation"]

_MIN_FREE_GB = 5.0  # room for the tables and prepared micrographs of a session
_MIN_MEMORY_GB = 4.0
_TIMEOUT_S = 20.0
_PROGRAMS = {
    "RELION": ("relion_refine", "relion"),
    "RELION's Topaz": ("relion_python_topaz",),
    "Topaz": ("topaz",),
}
_SCHEDULERS = {"Slurm": "sbatch", "PBS or Grid Engine": "qsub", "LSF": "bsub"}
_ENGINE_OF_GPUS = "torch"  # not needed to pick on processors; the check of devices reports it
_MAX_SCRIPT_BYTES = 10_000
_SERIES = re.compile(r"\d+\.\d+\S*")


class State(StrEnum):
    """Result of a check."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fact about the installation.

    Attributes:
        subject: Part of the installation, such as "disk".
        value: What was found.
        state: Whether it is as it should be.
        advice: How to repair it; empty if nothing is wrong.
    """

    subject: str
    value: str
    state: State = State.OK
    advice: str = ""


def check_installation(folder: Path) -> list[Finding]:
    """Check this installation, and a folder that commands are to write to."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _check_versions,
        _check_packages,
        _check_devices,
        _check_general_model,
        _check_threads,
        _check_memory,
        lambda: _check_folder(folder, "output folder"),
        lambda: _check_folder(Path(tempfile.gettempdir()), "temporary folder"),
        _check_programs,
    )
    findings: list[Finding] = []
    for check in checks:
        try:
            findings.extend(check())
        except Exception as error:  # noqa: BLE001  # a broken driver or library raises anything
            text = " ".join(f"{type(error).__name__}: {error}".split())
            findings.append(
                Finding(subject="check", value=text, state=State.PROBLEM, advice="report it")
            )
    return findings


def _check_versions() -> Iterator[Finding]:
    package = Path(__file__).resolve().parents[1]
    yield Finding(subject="cryopick", value=f"{version('cryopick')} in {package}")
    yield Finding(subject="Python", value=f"{platform.python_version()}, {sys.executable}")
    yield Finding(subject="system", value=f"{platform.platform()}, {platform.machine()}")


def _check_packages() -> Iterator[Finding]:
    """Find the packages that cryopick needs; those of extras may be missing."""
    for requirement in requires("cryopick") or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        is_optional = "extra ==" in requirement or name == _ENGINE_OF_GPUS
        try:
            yield Finding(subject=f"package {name}", value=version(name))
        except PackageNotFoundError:
            if not is_optional and ";" not in requirement:
                yield Finding(
                    subject=f"package {name}",
                    value="missing",
                    state=State.PROBLEM,
                    advice=f"pip install '{requirement}'",
                )


def _check_devices() -> Iterator[Finding]:
    try:
        import torch
    except ImportError as error:
        yield Finding(
            subject="device",
            value=f"cpu, with OpenVINO; PyTorch cannot be used: {error}",
            state=State.NOTE,
            advice="install torch to train models and to use GPUs",
        )
        return
    from cryopick.model.device import require_device

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    try:
        device = require_device("auto")
    except CryopickError as error:
        yield Finding(
            subject="device", value=str(error), state=State.PROBLEM, advice="--device cpu"
        )
        return
    yield Finding(subject="device", value=f"{device.type}; PyTorch {torch.__version__}, {build}")
    for number in range(torch.cuda.device_count()):
        free, total = (value / 1e9 for value in torch.cuda.mem_get_info(number))
        name = torch.cuda.get_device_name(number)
        yield Finding(subject=f"GPU {number}", value=f"{name}, {free:.0f} of {total:.0f} GB free")
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        yield Finding(
            subject="GPU",
            value="a driver is installed, but PyTorch finds no GPU",
            state=State.PROBLEM,
            advice="install a build of PyTorch for the CUDA version of the driver",
        )


def _check_general_model() -> Iterator[Finding]:
    from cryopick.model.model_file import GENERAL_MODEL

    if GENERAL_MODEL.is_file():
        yield Finding(subject="general model", value=f"{GENERAL_MODEL.stat().st_size / 1e6:.1f} MB")
    else:
        yield Finding(
            subject="general model",
            value=f"{GENERAL_MODEL} is missing",
            state=State.PROBLEM,
            advice="install cryopick again",
        )


def _check_threads() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    limit = _read_cpu_limit()
    value = f"{usable} of {cores} cores usable"
    if limit is not None:
        value += f", limited to {limit:g} by the container"
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if not threads:
        yield Finding(subject="threads", value=value)
        return
    is_over = threads.isdigit() and int(threads) > min(usable, limit or usable)
    yield Finding(
        subject="threads",
        value=f"{value}; OMP_NUM_THREADS={threads}",
        state=State.NOTE if is_over else State.OK,
        advice="more threads than cores make it slow; lower OMP_NUM_THREADS" if is_over else "",
    )


def _read_cpu_limit() -> float | None:
    """Read the CPU limit of a container (Linux control groups, version 2)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no such limit
        return None


def _check_memory() -> Iterator[Finding]:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        available = int(re.findall(r"MemAvailable:\s+(\d+) kB", text)[0]) / 1e6
        total = int(re.findall(r"MemTotal:\s+(\d+) kB", text)[0]) / 1e6
    except (OSError, IndexError):
        return
    is_low = available < _MIN_MEMORY_GB
    yield Finding(
        subject="memory",
        value=f"{available:.1f} of {total:.1f} GB available",
        state=State.NOTE if is_low else State.OK,
        advice=f"training needs about {_MIN_MEMORY_GB:g} GB" if is_low else "",
    )


def _check_folder(folder: Path, subject: str) -> Iterator[Finding]:
    try:
        free_gb = shutil.disk_usage(folder).free / 1e9
        with tempfile.TemporaryDirectory(prefix=".cryopick-", dir=folder) as name:
            lock_note = _check_lock(Path(name))
    except OSError as error:
        yield Finding(
            subject=subject,
            value=f"{folder}: cannot be written: {error.strerror}",
            state=State.PROBLEM,
            advice="choose another folder, or ask for write access",
        )
        return
    state, advice = State.OK, ""
    if free_gb < _MIN_FREE_GB:
        state, advice = State.NOTE, "free some space before a long run"
    elif lock_note:
        state, advice = State.NOTE, lock_note
    yield Finding(
        subject=subject,
        value=f"{folder.resolve()}: writable, {free_gb:.0f} GB free",
        state=state,
        advice=advice,
    )


def _check_lock(folder: Path) -> str:
    """Check that a lock can be held in a folder; return what follows if it cannot."""
    from filelock import FileLock

    (folder / "file").write_bytes(b"cryopick")
    try:
        with FileLock(folder / "lock", timeout=0):
            return ""
    except OSError:
        return "the file system has no locks: do not run a command twice on one output at once"


def _check_programs() -> Iterator[Finding]:
    for name, commands in _PROGRAMS.items():
        path = next(filter(None, map(shutil.which, commands)), None)
        if path is None:
            yield Finding(subject=name, value="not found on PATH", state=State.NOTE)
        else:
            yield Finding(subject=name, value=f"{_describe_program(path)}, {path}")
    schedulers = [name for name, command in _SCHEDULERS.items() if shutil.which(command)]
    yield Finding(subject="scheduler", value=", ".join(schedulers) or "none")


def _describe_program(path: str) -> str:
    """Describe a program: our own script, or the version that it prints."""
    file = Path(path)
    if file.stat().st_size <= _MAX_SCRIPT_BYTES and b"cryopick" in file.read_bytes():
        return "of cryopick"
    if not file.name.startswith("relion_refine"):
        return "found"
    try:
        process = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error})"
    match = _SERIES.search(process.stdout + process.stderr)
    return match[0] if match else "of unknown version"
