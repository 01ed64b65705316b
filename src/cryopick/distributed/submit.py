"""Batch scripts that run a command in parts, one array task each, and then put them together.

- `script`: the text of one.
- `SCHEDULERS`: those that are known.
"""

import shlex
from collections.abc import Sequence

__all__ = ["SCHEDULERS", "script"]

_HEADS = {
    "slurm": (
        "#SBATCH --job-name=cryopick",
        "#SBATCH --array=1-{of}",
        "#SBATCH --cpus-per-task={cores}",
    ),
    "pbs": ("#PBS -N cryopick", "#PBS -J 1-{of}", "#PBS -l select=1:ncpus={cores}", "#PBS -V"),
    "sge": ("#$ -N cryopick", "#$ -t 1-{of}", "#$ -pe smp {cores}", "#$ -cwd", "#$ -V"),
    "lsf": ('#BSUB -J "cryopick[1-{of}]"', "#BSUB -n {cores}", '#BSUB -R "span[hosts=1]"'),
}
_SUBMIT = {
    "slurm": "sbatch {file}",
    "pbs": "qsub {file}",
    "sge": "qsub {file}",
    "lsf": "bsub < {file}",
}
_GO_THERE = {"pbs": 'cd "$PBS_O_WORKDIR"\n'}
SCHEDULERS = tuple(_HEADS)


def script(scheduler: str, words: Sequence[str], *, of: int, cores: int, file: str) -> str:
    """A batch script.

    Args:
        scheduler: One of `SCHEDULERS`.
        words: The command's words, without `--shard`.
        of: Parts.
        cores: Cores for each.
        file: What the script will be called, for the line that says how to submit it.
    """
    head = "\n".join(line.format(of=of, cores=cores) for line in _HEADS[scheduler])
    how = _SUBMIT[scheduler].format(file=shlex.quote(file))
    line = shlex.join(["cryopick", *words, "--shard", "auto"])
    return (
        f"#!/bin/bash\n{head}\n\n# Submit with: {how}\n"
        f"# A task that failed may be submitted again by its number: it goes on where it stopped.\n"
        "set -euo pipefail\n"
        f"{_GO_THERE.get(scheduler, '')}export CRYOPICK_SHARDS={of} OMP_NUM_THREADS={cores}\n"
        f"{line}\n"
    )
