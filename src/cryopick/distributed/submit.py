"""Batch scripts that run the shards of a command as an array job.

- `render_array_script`: the text of a script.
- `SCHEDULERS`: the supported schedulers.
"""

import shlex
from collections.abc import Sequence

__all__ = ["SCHEDULERS", "render_array_script"]

_HEADERS = {
    "slurm": (
        "#SBATCH --job-name=cryopick",
        "#SBATCH --array=1-{shards}",
        "#SBATCH --cpus-per-task={cores}",
    ),
    "pbs": ("#PBS -N cryopick", "#PBS -J 1-{shards}", "#PBS -l select=1:ncpus={cores}", "#PBS -V"),
    "sge": ("#$ -N cryopick", "#$ -t 1-{shards}", "#$ -pe smp {cores}", "#$ -cwd", "#$ -V"),
    "lsf": ('#BSUB -J "cryopick[1-{shards}]"', "#BSUB -n {cores}", '#BSUB -R "span[hosts=1]"'),
}
_SUBMIT_COMMANDS = {
    "slurm": "sbatch {file}",
    "pbs": "qsub {file}",
    "sge": "qsub {file}",
    "lsf": "bsub < {file}",
}
_CHANGE_FOLDER = {"pbs": 'cd "$PBS_O_WORKDIR"\n'}
SCHEDULERS = tuple(_HEADERS)


def render_array_script(
    scheduler: str, words: Sequence[str], *, shards: int, cores: int, file: str
) -> str:
    """Return a batch script that runs each shard as one task of an array job.

    Args:
        scheduler: One of `SCHEDULERS`.
        words: Words of the cryopick command, without `--shard`.
        shards: Number of shards.
        cores: CPU cores per task.
        file: Name of the script, for the comment that shows how to submit it.
    """
    header = "\n".join(line.format(shards=shards, cores=cores) for line in _HEADERS[scheduler])
    submit_command = _SUBMIT_COMMANDS[scheduler].format(file=shlex.quote(file))
    command = shlex.join(["cryopick", *words, "--shard", "auto"])
    return (
        f"#!/bin/bash\n{header}\n\n# Submit with: {submit_command}\n"
        "# To repeat a failed task, submit its number again: it resumes where it stopped.\n"
        "set -euo pipefail\n"
        f"{_CHANGE_FOLDER.get(scheduler, '')}"
        f"export CRYOPICK_SHARDS={shards} OMP_NUM_THREADS={cores}\n"
        f"{command}\n"
    )
