"""The record of a run: what was typed, where, with what files, how long it took.

It lies beside what the run made, as JSON, and is for reports and for people: nothing that is
computed depends on it.

- `Record`: one run.
- `Stopwatch`: time and memory of this process.
- `write_record`, `read_record`: to and from a file.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.runs.atomic_write import whole
from cryopick.runs.text_files import read_text

__all__ = ["Record", "Stopwatch", "read_record", "write_record"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a run was.

    Attributes:
        command: What was typed, word by word, without the program's name; nothing if the run
            was begun by other means.
        folder: The folder that relative paths begin from.
        micrographs: Micrographs that it was given, in order.
        files: Other files that it was given, by what they were for, such as "model".
        held_out: Micrographs that it judged by and did not learn from.
        skipped: Micrographs that could not be used.
        seconds: How long it took, from the start of the command.
        peak_bytes: Most memory that the process held; None where the system does not tell.
        machine: Processor and device.
        version: Version of cryopick.
        finished: When it ended, in local time.
    """

    command: Sequence[str] = ()
    folder: str = ""
    micrographs: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    held_out: Sequence[str] = ()
    skipped: Sequence[str] = ()
    seconds: float | None = None
    peak_bytes: int | None = None
    machine: str = ""
    version: str = ""
    finished: str = ""

    def path(self, name: str) -> Path:
        """A path that the record holds, as seen from here."""
        return Path(self.folder, name)

    def short(self, name: str) -> str:
        """A path as seen from the run's folder, if it lies in there."""
        path = Path(name)
        inside = bool(self.folder) and path.is_relative_to(self.folder)
        return str(path.relative_to(self.folder)) if inside else name


@dataclass(frozen=True)
class Stopwatch:
    """Time and memory of this process, from when it was made.

    Attributes:
        command: What was typed, word by word.
        began_s: When it began, by the monotonic clock.
    """

    command: Sequence[str] = ()
    began_s: float = field(default_factory=time.monotonic)

    def record(
        self,
        *,
        micrographs: Sequence[Path],
        files: Mapping[str, Path | None],
        held_out: Sequence[Path] = (),
        skipped: Sequence[str] = (),
        device: str,
    ) -> Record:
        """The record of a run that ends now.

        Args:
            micrographs: Those that it was given.
            files: Other files that it was given, by what they were for; None is left out.
            held_out: Micrographs that it judged by.
            skipped: Micrographs that could not be used.
            device: Where it computed, as torch calls it.
        """
        return Record(
            command=list(self.command),
            folder=str(Path.cwd()),
            micrographs=[str(path) for path in micrographs],
            files={name: str(path) for name, path in files.items() if path is not None},
            held_out=[str(path) for path in held_out],
            skipped=list(skipped),
            seconds=round(time.monotonic() - self.began_s, 2),
            peak_bytes=_peak_bytes(),
            machine=f"{platform.machine()}, {os.cpu_count()} cores, computing on {device}",
            version=version("cryopick"),
            finished=time.strftime("%Y-%m-%d %H:%M"),
        )


def _peak_bytes() -> int | None:
    """Most memory that this process has held."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes everywhere but there


def write_record(record: Record, path: Path) -> None:
    """Write a record; one of an earlier run is replaced."""
    with whole(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def read_record(path: Path) -> Record:
    """Read a record; fields that it lacks are empty, those of later versions are passed over.

    Raises:
        FormatError: It is no record.
        InputError: It cannot be read.
    """
    try:
        stated = dict(json.loads(read_text(path)))
        record = Record(**{f.name: stated[f.name] for f in fields(Record) if f.name in stated})
        named = (record.command, record.micrographs, record.held_out, record.skipped)
        lists = (*named, list(record.files.values()))
        is_sound = bool(stated) and all(isinstance(t, str) for texts in lists for t in texts)
    except (ValueError, TypeError, AttributeError):
        is_sound = False
    if not is_sound or isinstance(record.command, str):
        raise FormatError(
            f"{path}: expected the record of a run as JSON, found something else; remove it, and "
            "the report will do without"
        )
    return record
