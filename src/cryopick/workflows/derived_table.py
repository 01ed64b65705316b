"""Run metadata and settings of tables that were made from other tables.

- `carry_run_files`: write the metadata and settings of the run beside a derived table.
- `find_metadata`: the metadata of a table.
- `read_label_sample`: scores of left-out labels of the model that made a table.
- `has_filtered_scores`: test if the scores of a table are filtered along elongated particles.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cryopick.errors import CryopickError, OutputExistsError
from cryopick.evaluate.label_sample import LabelSample
from cryopick.pick.settings import is_elongated
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.checksums import checksum_path
from cryopick.runs.metadata import RunMetadata, Stopwatch, read_run_metadata, write_run_metadata
from cryopick.workflows.table_output import metadata_file, settings_file

__all__ = ["carry_run_files", "find_metadata", "has_filtered_scores", "read_label_sample"]


def carry_run_files(
    sources: Sequence[Path], out: str, command: Sequence[str], *, overwrite: bool
) -> None:
    """Write the metadata and settings of the run that made a table beside one derived from it.

    The command is added to those that changed the table since. With several tables, the metadata
    is that of the first which has any, with the micrographs of all, and each is listed with its
    checksum, version and command; settings are written only for a single one. Tables without
    metadata, as those of other programs, are recorded with their checksums.

    Args:
        sources: Tables, or folders of tables; without any, nothing is written.
        out: Derived table, or a folder with a slash at its end.
        command: Words of the command line that made it.
        overwrite: Overwrite files of an earlier run.
    """
    path = metadata_file(out)
    if not sources or (path.exists() and not overwrite):
        return
    metadata_of = {source: metadata for source in sources if (metadata := find_metadata(source))}
    if not metadata_of:
        write_run_metadata(_describe_foreign(sources, command), path)
        return
    first = next(iter(metadata_of.values()))
    micrographs = [
        name if metadata is first else first.relative_path(str(metadata.resolve_path(name)))
        for metadata in metadata_of.values()
        for name in metadata.micrographs
    ]
    derived = replace(
        first,
        micrographs=list(dict.fromkeys(micrographs)),
        later_commands=[*first.later_commands, shlex.join(["cryopick", *command])],
        sources=_describe_sources(sources, metadata_of) if len(sources) > 1 else first.sources,
    )
    write_run_metadata(derived, path)
    if len(metadata_of) == 1:
        _copy_settings(
            settings_file(_output_of(next(iter(metadata_of)))), settings_file(out), overwrite
        )


def _describe_foreign(sources: Sequence[Path], command: Sequence[str]) -> RunMetadata:
    """Describe a table that was made from tables of other programs."""
    watch = Stopwatch(command)
    metadata = watch.collect_metadata(
        micrographs=(), files={"table": sources[0]} if len(sources) == 1 else {}, device="cpu"
    )
    return replace(metadata, sources=_describe_sources(sources, {}) if len(sources) > 1 else [])


def _describe_sources(
    sources: Sequence[Path], metadata_of: Mapping[Path, RunMetadata]
) -> list[dict[str, str]]:
    """List the tables that a table was made from, with what is known about each."""
    descriptions = []
    for source in sources:
        metadata = metadata_of.get(source, RunMetadata())
        command = shlex.join(["cryopick", *metadata.command]) if metadata.command else ""
        facts = {
            "table": str(source),
            "sha256": checksum_path(source) or "",
            "version": metadata.version,
            "command": command,
        }
        descriptions.append({name: value for name, value in facts.items() if value})
    return descriptions


def read_label_sample(source: Path) -> LabelSample | None:
    """Return the scores of labels that the model did not learn from; None if there are none."""
    metadata = find_metadata(source)
    return None if metadata is None else LabelSample.from_metadata(metadata)


def has_filtered_scores(source: Path) -> bool:
    """Return true if the scores of a table are filtered along elongated particles."""
    metadata = find_metadata(source)
    sides_ang = None if metadata is None else metadata.sides_ang
    return sides_ang is not None and is_elongated(*sides_ang)


def _copy_settings(source: Path, target: Path, overwrite: bool) -> None:
    try:
        text = source.read_bytes()
        with atomic_write(target, overwrite=overwrite) as temporary:
            temporary.write_bytes(text)
    except (FileNotFoundError, OutputExistsError):  # without settings, or beside those of the user
        return


def find_metadata(source: Path) -> RunMetadata | None:
    """Return the metadata beside a table, or in a folder of tables; None if there is none."""
    path = metadata_file(_output_of(source))
    try:
        return read_run_metadata(path) if path.is_file() else None
    except CryopickError:
        return None


def _output_of(source: Path) -> str:
    return f"{source}/" if source.is_dir() else str(source)
