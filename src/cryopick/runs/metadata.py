"""Metadata of a run: command, inputs, machine and duration.

It is written as JSON beside the output, for reports and for people; no computation depends on it.

- `RunMetadata`: metadata of one run.
- `Stopwatch`: duration and memory of this process.
- `write_run_metadata`, `read_run_metadata`: write and read the file.
"""

import json
import os
import platform
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.checksums import checksum_micrographs, checksum_path, checksum_text
from cryopick.runs.text_files import read_text

__all__ = ["RunMetadata", "Stopwatch", "read_run_metadata", "write_run_metadata"]

_SHORT = 12  # digits of a checksum in a short line


@dataclass(frozen=True, kw_only=True)
class RunMetadata:
    """Metadata of one run.

    Attributes:
        command: Words of the command line without the program's name; empty if the run was not
            started from a command line.
        folder: Working folder, to which relative paths refer.
        micrographs: Input micrographs, in order.
        files: Other input files by purpose, such as "model".
        checksums: SHA-256 of these files by purpose, and of the list of micrographs.
        settings: Settings as TOML.
        pixel_sizes_ang: Pixel sizes of the micrographs, each once.
        polarity: Contrast of the particles: dark, bright or as trained; empty if unknown.
        sources: Tables that the table was made from, if several: file, checksum, version and
            command of each, as far as they are known.
        held_out: Micrographs used for validation, not for training.
        skipped: Micrographs that could not be used.
        findings: Irregularities of the micrographs, one sentence for each kind.
        label_scores: Scores of labels that the model of the picks did not learn from.
        label_micrographs: Micrographs of these labels.
        later_commands: Commands that changed the table since, each as one line.
        seconds: Duration since the start of the command.
        peak_bytes: Peak memory of the process; None if the system does not report it.
        machine: Processor and device.
        version: Version of cryopick.
        finished: Local time at the end of the run.
    """

    command: Sequence[str] = field(default_factory=list)
    folder: str = ""
    micrographs: Sequence[str] = field(default_factory=list)
    files: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""
    pixel_sizes_ang: Sequence[float] = field(default_factory=list)
    polarity: str = ""
    sources: Sequence[Mapping[str, str]] = field(default_factory=list)
    held_out: Sequence[str] = field(default_factory=list)
    skipped: Sequence[str] = field(default_factory=list)
    findings: Sequence[str] = field(default_factory=list)
    label_scores: Sequence[float] = field(default_factory=list)
    label_micrographs: Sequence[str] = field(default_factory=list)
    later_commands: Sequence[str] = field(default_factory=list)
    seconds: float | None = None
    peak_bytes: int | None = None
    machine: str = ""
    version: str = ""
    finished: str = ""

    def describe_origin(self) -> str:
        """Describe the version, the model and the settings in a short line for a table."""
        parts = [f"cryopick {self.version}"]
        if "model" in self.checksums:
            parts.append(f"model {self.checksums['model'][:_SHORT]}")
        if self.settings:
            lines = [line for line in self.settings.splitlines() if not line.startswith("#")]
            parts.append(f"settings {checksum_text(chr(10).join(lines))[:_SHORT]}")
        return ", ".join(parts)

    @property
    def sides_ang(self) -> tuple[float, float] | None:
        """Length and width of the particles by the settings; None if one of them is not there."""
        try:
            values = tomllib.loads(self.settings)
            return float(values["diameter_ang"]), float(values["width_ang"])
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
            return None

    def resolve_path(self, name: str) -> Path:
        """Resolve a path of the metadata from the current folder."""
        return Path(self.folder, name)

    def relative_path(self, name: str) -> str:
        """Shorten a path to be relative to the run's folder, if it lies inside it."""
        path = Path(name)
        inside = bool(self.folder) and path.is_relative_to(self.folder)
        return str(path.relative_to(self.folder)) if inside else name


@dataclass(frozen=True)
class Stopwatch:
    """Duration and memory of this process, from construction on.

    Attributes:
        command: Words of the command line.
        start_s: Start time of the monotonic clock.
    """

    command: Sequence[str] = ()
    start_s: float = field(default_factory=time.monotonic)

    def collect_metadata(
        self,
        *,
        micrographs: Sequence[Path],
        files: Mapping[str, Path | None],
        held_out: Sequence[Path] = (),
        skipped: Sequence[str] = (),
        findings: Sequence[str] = (),
        device: str,
    ) -> RunMetadata:
        """Build the metadata of a run that ends now.

        Args:
            micrographs: Input micrographs.
            files: Other input files by purpose; None is omitted.
            held_out: Validation micrographs.
            skipped: Micrographs that could not be used.
            findings: Irregularities of the micrographs.
            device: Device of the computation, as torch names it.
        """
        given_files = {name: path for name, path in files.items() if path is not None}
        return RunMetadata(
            command=list(self.command),
            folder=str(Path.cwd()),
            micrographs=[str(path) for path in micrographs],
            files={name: str(path) for name, path in given_files.items()},
            checksums=_collect_checksums(given_files, [*micrographs, *held_out]),
            held_out=[str(path) for path in held_out],
            skipped=list(skipped),
            findings=list(findings),
            seconds=round(time.monotonic() - self.start_s, 2),
            peak_bytes=_peak_bytes(),
            machine=f"{platform.machine()}, {os.cpu_count()} cores, computing on {device}",
            version=version("cryopick"),
            finished=time.strftime("%Y-%m-%d %H:%M"),
        )


def _collect_checksums(files: Mapping[str, Path], micrographs: Sequence[Path]) -> dict[str, str]:
    checksums = {
        name: checksum for name, path in files.items() if (checksum := checksum_path(path))
    }
    return checksums | ({"micrographs": checksum_micrographs(micrographs)} if micrographs else {})


def _peak_bytes() -> int | None:
    """Return the peak memory of this process."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # in kilobytes except on macOS


def write_run_metadata(metadata: RunMetadata, path: Path) -> None:
    """Write the metadata of a run, overwriting an earlier file."""
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(metadata), indent=2) + "\n", encoding="utf-8")


def read_run_metadata(path: Path) -> RunMetadata:
    """Read run metadata; missing fields stay empty, unknown fields are ignored.

    Raises:
        FormatError: The file does not hold run metadata.
        InputError: The file cannot be read.
    """
    try:
        values = dict(json.loads(read_text(path)))
        metadata = RunMetadata(
            **{f.name: values[f.name] for f in fields(RunMetadata) if f.name in values}
        )
        picked = (metadata.micrographs, metadata.held_out, metadata.skipped)
        names = (*picked, metadata.label_micrographs)
        others = (metadata.command, metadata.findings, metadata.later_commands)
        mappings = (metadata.files, metadata.checksums, *metadata.sources)
        lists = (*names, *others, *(list(mapping.values()) for mapping in mappings))
        is_valid = bool(values) and all(isinstance(t, str) for texts in lists for t in texts)
        is_valid &= all(isinstance(texts, list) for texts in (*names, *others))
        numbers = (*metadata.label_scores, *metadata.pixel_sizes_ang)
        is_valid &= all(isinstance(x, int | float) for x in numbers)
        is_valid &= isinstance(metadata.settings, str) and isinstance(metadata.polarity, str)
    except (ValueError, TypeError, AttributeError, RecursionError):
        is_valid = False
    if not is_valid:
        raise FormatError(
            f"{path}: expected run metadata as JSON, found something else; remove the file, and "
            "the report omits it"
        )
    return metadata
