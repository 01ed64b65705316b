"""Parts of a batch that know nothing of each other: each takes every N-th micrograph.

- `Shard`: one part.
- `shards_of`: the tables that parts wrote.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryopick.errors import InputError, SettingsError

__all__ = ["Shard", "shards_of"]

# Names of environment variables: this task, the first task, the last one, and the step.
_ARRAYS = {
    "Slurm": ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", None),
    "SGE": ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"),
    "LSF": ("LSB_JOBINDEX", None, "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP"),
}
_PBS = ("PBS_ARRAY_INDEX", "PBS_ARRAYID")  # neither tells how many there are
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
        for this, first, last, step in _ARRAYS.values():
            task = environment.get(this, "")
            if not task.isdigit() or (task == "0" and this == "LSB_JOBINDEX"):
                continue  # SGE says "undefined" and LSF 0 where there is no array
            low = int(environment.get(first, "1")) if first else 1
            size = int(environment.get(step, "1")) if step else 1
            high = int(environment.get(last, task)) if last else int(task)
            return cls((int(task) - low) // size + 1, (high - low) // size + 1)
        for name in _PBS:
            task, of = environment.get(name, ""), environment.get(_OF, "")
            if task.isdigit():
                if not of.isdigit():
                    raise SettingsError(f"PBS does not tell how many tasks there are; set {_OF}")
                return cls(int(task), int(of))
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
