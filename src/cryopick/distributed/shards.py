"""Parts of a batch that know nothing of each other: each takes every N-th micrograph.

- `Shard`: one part.
- `shards_of`: the tables that parts wrote.
- `merged`: what one run of all parts would have written.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from cryopick.errors import InputError, SettingsError
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, concatenate
from cryopick.runs.metadata import RunMetadata, read_run_metadata

__all__ = ["Shard", "merged", "shards_of"]

# Environment variables of array jobs: this task, the first, the last, and the step between them.
_ARRAYS = {
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
# How many parts there are. Our scripts set it: a scheduler that is told to do tasks 3 and 7 again
# says that they are the first and the last.
_OF = "CRYOPICK_SHARDS"


@dataclass(frozen=True)
class Shard:
    """One part of a batch.

    Attributes:
        number: Which part, from 1.
        of: How many there are.

    Raises:
        SettingsError: There is no such part.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise SettingsError(
                f"a shard is a number from 1 to how many there are, as 3/8; got {self}"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> "Shard":
        """Read "3/8", or take "auto" from the variables of Slurm, PBS, SGE or LSF.

        Raises:
            SettingsError: It is neither, or there is no array job around.
        """
        if text == "auto":
            return cls._of_array(environment)
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None:
            raise SettingsError(f"a shard is written as 3/8, or auto; got {text!r}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _of_array(cls, environment: Mapping[str, str]) -> "Shard":
        of = environment.get(_OF, "")
        for this, first, last, step in _ARRAYS.values():
            task = environment.get(this, "")
            if not task.isdigit() or (task == "0" and this == "LSB_JOBINDEX"):
                continue  # SGE says "undefined" and LSF 0 where there is no array
            if of.isdigit():
                return cls(int(task), int(of))
            if last is None:
                raise SettingsError(f"PBS does not tell how many tasks there are; set {_OF}")
            low = int(environment.get(first, "1")) if first else 1
            size = int(environment.get(step, "1")) if step else 1
            high = int(environment.get(last, task))
            return cls((int(task) - low) // size + 1, (high - low) // size + 1)
        raise SettingsError(
            "--shard auto is for array jobs of Slurm, PBS, SGE or LSF, and none is around; "
            "give it as 3/8"
        )

    def own(self, paths: Sequence[Path]) -> list[Path]:
        """The micrographs of this part: every N-th, so that parts take about as long."""
        return list(paths[self.number - 1 :: self.of])

    def output(self, out: Path) -> Path:
        """The file that this part writes: `picks.3-of-8.star` for `picks.star`."""
        width = len(str(self.of))
        return out.with_name(f"{out.stem}.{self.number:0{width}}-of-{self.of}{out.suffix}")


def shards_of(out: Path) -> list[Path]:
    """The parts of a table, all of them, in order.

    Raises:
        InputError: There are none, some are missing, or they are of several divisions.
    """
    pattern = re.compile(rf"{re.escape(out.stem)}\.(\d+)-of-(\d+){re.escape(out.suffix)}")
    found: dict[int, dict[int, Path]] = {}
    for path in out.parent.iterdir() if out.parent.is_dir() else ():
        if match := pattern.fullmatch(path.name):
            found.setdefault(int(match[2]), {})[int(match[1])] = path
    if not found:
        raise InputError(f"{out}: there is no part of it, such as {Shard(1, 8).output(out).name}")
    if len(found) > 1:
        many = " and ".join(str(of) for of in sorted(found))
        raise InputError(f"{out}: there are parts of {many}; remove those of another division")
    of, parts = next(iter(found.items()))
    missing = [number for number in range(1, of + 1) if number not in parts]
    if missing:
        names = ", ".join(Shard(number, of).output(out).name for number in missing[:5])
        raise InputError(f"{out}: {len(missing)} of {of} parts are missing: {names}; run them")
    return [parts[number] for number in sorted(parts)]


def merged(parts: Sequence[Path], records: Sequence[Path]) -> tuple[Picks, RunMetadata | None]:
    """What one run of all parts would have written.

    Args:
        parts: The tables, in order.
        records: The records of their runs, some of which may be missing.

    Returns:
        The picks of all, in the order of one run where records tell it; and the record of all
        runs together, if there is one of each.
    """
    table = concatenate([read_picks(part) for part in parts])
    if not all(path.exists() for path in records):
        return table, None
    told = [read_run_metadata(path) for path in records]
    turns = zip_longest(*(record.micrographs for record in told))
    order = [name for name in chain.from_iterable(turns) if name is not None]
    record = replace(
        told[0],
        micrographs=order,
        skipped=[name for record in told for name in record.skipped],
        seconds=sum(record.seconds or 0.0 for record in told),
        peak_bytes=max(record.peak_bytes or 0 for record in told) or None,
    )
    matched = match_names(table, [Path(name) for name in order])
    if matched.unmatched:
        return table, record
    used = matched.picks.restrict([name for name in order if name not in set(record.skipped)])
    return concatenate([own for _, own in used.split_by_micrograph()]), record
