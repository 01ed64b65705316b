"""The command line: each command parses, calls one function, and reports.

Results go to files or stdout, words to stderr. Nothing heavy is imported before a command
runs: `--help` needs neither NumPy nor torch.

- `app`: the commands; `main`: the entry point.
"""

from cryopick.cli import convert, evaluate, info, sets, split, train  # noqa: F401  # they register
from cryopick.cli.app import app, main

__all__ = ["app", "main"]
