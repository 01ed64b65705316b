"""Shards: independent parts of a batch, each with every N-th micrograph.

- `Shard`: one part.
- `find_shard_tables`: the tables of all shards.
- `merge_shards`: merges them to the table of one run.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from cryopick.errors import InputError, SettingsError
from cryopick.io.names import match_names
from cryopick.picks import Picks, concatenate
from cryopick.runs.checksums import checksum_micrographs
from cryopick.runs.metadata import RunMetadata, read_run_metadata

__all__ = ["Shard", "find_shard_tables", "merge_shards"]

# Environment variables of array jobs: this task, the first and last task, and the step.
_ARRAY_VARIABLES = {
    "Slurm": (
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "SLURM_ARRAY_TASK_STEP",
    ),
    "SGE": ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"),
    "LSF": ("LSB_JOBINDEX", None, "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP"),
    "PBS": ("PBS_ARRAY_INDEX", None, None, None),
    "Torque": ("PBS_ARRAYID", None, None, None),
}
# Number of shards, set by the scripts of `cryopick submit`: if only tasks 3 and 7 are repeated, the
# scheduler reports them as the first and the last task.
_COUNT_VARIABLE = "CRYOPICK_SHARDS"


@dataclass(frozen=True)
class Shard:
    """One part of a batch.

    Attributes:
        number: Number of the shard, from 1.
        count: Number of shards.

    Raises:
        SettingsError: The number is not between 1 and the count.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise SettingsError(
                f"a shard must be a number from 1 to the number of shards, such as 3/8; got {self}"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> "Shard":
        """Parse "3/8"; for "auto", read the environment of Slurm, PBS, SGE or LSF.

        Raises:
            SettingsError: The text is not a shard, or this process is not part of an array job.
        """
        if text == "auto":
            return cls._from_environment(environment)
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None:
            raise SettingsError(f"a shard must be auto or have the form 3/8; got {text!r}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _from_environment(cls, environment: Mapping[str, str]) -> "Shard":
        count = environment.get(_COUNT_VARIABLE, "")
        for this, first, last, step in _ARRAY_VARIABLES.values():
            task = environment.get(this, "")
            if not task.isdigit() or (task == "0" and this == "LSB_JOBINDEX"):
                continue  # outside of array jobs, the value of SGE is "undefined" and that of LSF 0
            if count.isdigit():
                return cls(int(task), int(count))
            if last is None:
                raise SettingsError(
                    f"PBS does not report the number of tasks; set {_COUNT_VARIABLE}"
                )
            low = int(environment.get(first, "1")) if first else 1
            size = int(environment.get(step, "1")) if step else 1
            high = int(environment.get(last, task))
            return cls((int(task) - low) // size + 1, (high - low) // size + 1)
        raise SettingsError(
            "--shard auto works only in array jobs of Slurm, PBS, SGE or LSF; give the shard in "
            "the form 3/8"
        )

    def select(self, paths: Sequence[Path]) -> list[Path]:
        """Return the micrographs of this shard: every N-th, so that shards take a similar time."""
        return list(paths[self.number - 1 :: self.count])

    def output_path(self, out: Path) -> Path:
        """Return the output file of this shard: `picks.3-of-8.star` for `picks.star`."""
        width = len(str(self.count))
        return out.with_name(f"{out.stem}.{self.number:0{width}}-of-{self.count}{out.suffix}")


def find_shard_tables(out: Path) -> list[Path]:
    """Return the tables of all shards of an output table, in order.

    Raises:
        InputError: There are no shards, some are missing, or their number is ambiguous.
    """
    pattern = re.compile(rf"{re.escape(out.stem)}\.(\d+)-of-(\d+){re.escape(out.suffix)}")
    tables_by_count: dict[int, dict[int, Path]] = {}
    for path in out.parent.iterdir() if out.parent.is_dir() else ():
        if match := pattern.fullmatch(path.name):
            tables_by_count.setdefault(int(match[2]), {})[int(match[1])] = path
    if not tables_by_count:
        example = Shard(1, 8).output_path(out).name
        raise InputError(f"{out}: has no shards, such as {example}; run a command with --shard")
    if len(tables_by_count) > 1:
        counts = " and ".join(map(str, sorted(tables_by_count)))
        raise InputError(
            f"{out}: has sets of {counts} shards; remove the shards of all but one set"
        )
    count, tables = next(iter(tables_by_count.items()))
    missing = [number for number in range(1, count + 1) if number not in tables]
    if missing:
        names = ", ".join(Shard(number, count).output_path(out).name for number in missing[:5])
        raise InputError(f"{out}: {len(missing)} of {count} shards are missing: {names}; run them")
    return [tables[number] for number in sorted(tables)]


def merge_shards(picks: Picks, metadata_files: Sequence[Path]) -> tuple[Picks, RunMetadata | None]:
    """Merge the tables of all shards to the table that one run would have written.

    Args:
        picks: Picks of all shards, in order.
        metadata_files: Metadata files of the shards; some may be missing.

    Returns:
        The picks, in the order of one run if all metadata exist; and the merged metadata, or None.
    """
    if not all(path.exists() for path in metadata_files):
        return picks, None
    shards = [read_run_metadata(path) for path in metadata_files]
    interleaved = zip_longest(*(shard.micrographs for shard in shards))
    micrographs = [name for name in chain.from_iterable(interleaved) if name is not None]
    metadata = replace(
        shards[0],
        micrographs=micrographs,
        checksums={
            **shards[0].checksums,
            "micrographs": checksum_micrographs(map(shards[0].resolve_path, micrographs)),
        },
        pixel_sizes_ang=sorted({size for shard in shards for size in shard.pixel_sizes_ang}),
        skipped=[name for shard in shards for name in shard.skipped],
        seconds=sum(shard.seconds or 0.0 for shard in shards),
        peak_bytes=max(shard.peak_bytes or 0 for shard in shards) or None,
    )
    matching = match_names(picks, [Path(name) for name in micrographs])
    if matching.unmatched:
        return picks, metadata
    skipped = set(metadata.skipped)
    ordered = matching.picks.restrict([name for name in micrographs if name not in skipped])
    per_micrograph = [table for _, table in ordered.split_by_micrograph()]
    return concatenate(per_micrograph), metadata
