"""The command line: each command parses, calls one function, and reports.

Results go to files or stdout, words to stderr. Nothing heavy is imported before a command
runs: `--help` needs neither NumPy nor torch.

- `app`: the commands; `main`: the entry point.
"""

from cryopick.cli import (  # noqa: F401  # they register
    benchmark,
    convert,
    cryosparc_job,
    demo,
    evaluate,
    feedback,
    filaments,
    info,
    label,
    models,
    pick,
    preprocess,
    propose,
    relion_job,
    report,
    scale,
    score,
    sets,
    simulate,
    split,
    stack,
    suggest,
    train,
    validate,
)
from cryopick.cli.app import app, main

__all__ = ["app", "main"]
