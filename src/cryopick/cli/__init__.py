"""The command line: each command parses, calls one function, and reports.

Results go to files or stdout, messages to stderr. Nothing heavy is imported before a command
runs: `--help` needs neither NumPy nor torch. Only the module of the command that was typed
is imported.

- `app`: the commands; `load`: their modules, all or some; `main`: the entry point.
"""

from cryopick.cli.app import app, load, main

__all__ = ["app", "load", "main"]
