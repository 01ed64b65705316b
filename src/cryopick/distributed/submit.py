"""Batch scripts that run a command, or the shards of a command, on a cluster.

- `JobScript`: a script and the resources that it asks for.
- `SCHEDULERS`: the supported schedulers.
- `parse_time_limit`: seconds of a time limit such as 12:00:00.
- `PLACEHOLDERS`: what the template of a site may refer to.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryopick.errors import SettingsError

__all__ = ["PLACEHOLDERS", "SCHEDULERS", "JobScript", "parse_time_limit"]

SCHEDULERS = ("slurm", "pbs", "sge", "lsf")
_PREFIXES = {"slurm": "#SBATCH", "pbs": "#PBS", "sge": "#$", "lsf": "#BSUB"}
_SUBMIT_COMMANDS = {
    "slurm": "sbatch {file}",
    "pbs": "qsub {file}",
    "sge": "qsub {file}",
    "lsf": "bsub < {file}",
}
_PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")
PLACEHOLDERS = {
    "directives": "the lines of the scheduler that cryopick would write",
    "setup": "the lines of --setup and the variables of the job",
    "command": "the command; required",
    "name": "name of the job",
    "shards": "number of shards; 1 without --shards",
    "cores": "CPU cores per task",
    "partition": "partition or queue",
    "time": "time limit as hours:minutes:seconds",
    "memory_gb": "memory per task in GB",
    "gpus": "GPUs per task",
    "log_folder": "folder of the logs",
}


@dataclass(frozen=True, kw_only=True)
class JobScript:
    """A batch script.

    Attributes:
        scheduler: One of `SCHEDULERS`.
        words: Words of the cryopick command, without `--shard`.
        file: Name of the script, for the comment that shows how to submit it.
        shards: Number of shards, each a task of an array job; None for a single job.
        cores: CPU cores per task.
        partition: Partition or queue; empty for the default of the cluster.
        time_s: Time limit of a task in seconds; None for the default of the cluster.
        memory_gb: Memory of a task in GB; None for the default of the cluster.
        gpus: GPUs of a task.
        log_folder: Folder of the logs; empty for the default of the scheduler.
        setup: Lines of shell to run before the command.
        template: Text of the script with placeholders; empty for the one of cryopick.
    """

    scheduler: str
    words: Sequence[str]
    file: str
    shards: int | None = None
    cores: int = 4
    partition: str = ""
    time_s: int | None = None
    memory_gb: float | None = None
    gpus: int = 0
    log_folder: str = ""
    setup: Sequence[str] = ()
    template: str = ""

    @property
    def submit_command(self) -> str:
        """The command that submits the script."""
        return _SUBMIT_COMMANDS[self.scheduler].format(file=shlex.quote(self.file))

    def render(self) -> str:
        """Return the text of the script.

        Raises:
            SettingsError: The template has an unknown placeholder, or none for the command.
        """
        values = {
            "directives": "\n".join(self._list_directives()),
            "setup": "\n".join(self._list_setup()),
            "command": self._command,
            "name": self._name,
            "shards": str(self.shards or 1),
            "cores": str(self.cores),
            "partition": self.partition,
            "time": _format_time(self.time_s) if self.time_s else "",
            "memory_gb": f"{self.memory_gb:g}" if self.memory_gb else "",
            "gpus": str(self.gpus),
            "log_folder": self.log_folder,
        }
        template = self.template or self._own_template
        names = set(_PLACEHOLDER.findall(template))
        if unknown := sorted(names - set(values)):
            raise SettingsError(
                f"the template refers to {unknown[0]!r}; expected one of {', '.join(values)}"
            )
        if "command" not in names:
            raise SettingsError("the template has no {{command}}; add it where cryopick is to run")
        return _PLACEHOLDER.sub(lambda match: values[match[1]], template)

    @property
    def _own_template(self) -> str:
        repeat = (
            "# To repeat a failed task, submit its number again: it resumes where it stopped.\n"
        )
        return (
            "#!/bin/bash\n{{directives}}\n\n"
            f"# Submit with: {self.submit_command}\n{repeat if self.shards else ''}"
            "set -euo pipefail\n{{setup}}\n{{command}}\n"
        )

    @property
    def _name(self) -> str:
        return f"cryopick-{self.words[0]}"

    @property
    def _command(self) -> str:
        shard_words = ["--shard", "auto"] if self.shards else []
        return shlex.join(["cryopick", *self.words, *shard_words])

    def _list_setup(self) -> Iterator[str]:
        if self.scheduler == "pbs":
            yield 'cd "$PBS_O_WORKDIR"'
        yield from self.setup
        count = f"CRYOPICK_SHARDS={self.shards} " if self.shards else ""
        yield f"export {count}OMP_NUM_THREADS={self.cores}"

    def _list_directives(self) -> Iterator[str]:
        lines = {
            "slurm": self._list_slurm,
            "pbs": self._list_pbs,
            "sge": self._list_sge,
            "lsf": self._list_lsf,
        }[self.scheduler]()
        for line in lines:
            yield f"{_PREFIXES[self.scheduler]} {line}"

    def _list_slurm(self) -> Iterator[str]:
        yield f"--job-name={self._name}"
        if self.shards:
            yield f"--array=1-{self.shards}"
        yield f"--cpus-per-task={self.cores}"
        if self.partition:
            yield f"--partition={self.partition}"
        if self.time_s:
            yield f"--time={_format_time(self.time_s)}"
        if self.memory_gb:
            yield f"--mem={round(1024 * self.memory_gb)}M"
        if self.gpus:
            yield f"--gres=gpu:{self.gpus}"
        if self.log_folder:
            yield f"--output={self.log_folder}/%x-{'%A_%a' if self.shards else '%j'}.log"

    def _list_pbs(self) -> Iterator[str]:
        yield f"-N {self._name}"
        if self.shards:
            yield f"-J 1-{self.shards}"
        memory = f":mem={round(1024 * self.memory_gb)}mb" if self.memory_gb else ""
        gpus = f":ngpus={self.gpus}" if self.gpus else ""
        yield f"-l select=1:ncpus={self.cores}{memory}{gpus}"
        if self.partition:
            yield f"-q {self.partition}"
        if self.time_s:
            yield f"-l walltime={_format_time(self.time_s)}"
        if self.log_folder:
            yield f"-j oe -o {self.log_folder}/"
        yield "-V"

    def _list_sge(self) -> Iterator[str]:
        yield f"-N {self._name}"
        if self.shards:
            yield f"-t 1-{self.shards}"
        yield f"-pe smp {self.cores}"
        if self.partition:
            yield f"-q {self.partition}"
        if self.time_s:
            yield f"-l h_rt={_format_time(self.time_s)}"
        if self.memory_gb:
            yield f"-l h_vmem={round(1024 * self.memory_gb / self.cores)}M"  # of one slot
        if self.gpus:
            yield f"-l gpu={self.gpus}"
        if self.log_folder:
            yield f"-j y -o {self.log_folder}/"
        yield "-cwd"
        yield "-V"

    def _list_lsf(self) -> Iterator[str]:
        array = f"[1-{self.shards}]" if self.shards else ""
        yield f'-J "{self._name}{array}"'
        yield f"-n {self.cores}"
        yield '-R "span[hosts=1]"'
        if self.partition:
            yield f"-q {self.partition}"
        if self.time_s:
            yield f"-W {-(-self.time_s // 60)}"  # in minutes, rounded up
        if self.memory_gb:
            yield f"-M {round(1024 * self.memory_gb)}MB"
        if self.gpus:
            yield f'-gpu "num={self.gpus}"'
        if self.log_folder:
            yield f"-o {self.log_folder}/{self._name}-%J{'-%I' if self.shards else ''}.log"


def parse_time_limit(text: str) -> int:
    """Return the seconds of a time limit.

    >>> parse_time_limit("1:30:00"), parse_time_limit("2-00:00:00")
    (5400, 172800)

    Args:
        text: Hours:minutes:seconds, with days and a hyphen before them or not.

    Raises:
        SettingsError: The text is not such a limit.
    """
    match = re.fullmatch(r"(?:(\d{1,3})-)?(\d{1,4}):([0-5]\d):([0-5]\d)", text)
    seconds = 0
    if match:
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    if not seconds:
        raise SettingsError(
            f"a time limit must have the form 12:00:00 or 2-00:00:00 (days); got {text!r}"
        )
    return seconds


def _format_time(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
