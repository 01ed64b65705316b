"""Standard streams that the caller has closed, or that cannot show every file name.

Python has None in place of a closed stream, and the next file that is opened gets its number: a
library that writes a warning to stderr would then write into a file of the user.

- `open_standard_streams`: open what is closed.
- `escape_output`: escape on stdout what the terminal cannot show, as Python does on stderr.
"""

import io
import os
import sys

__all__ = ["escape_output", "open_standard_streams"]


def open_standard_streams() -> None:
    """Open closed standard streams on the null device, before any other file is opened."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "w", errors="backslashreplace")  # noqa: SIM115, PTH123
            setattr(sys, name, stream)


def escape_output() -> None:
    """Escape characters on stdout that its encoding lacks, such as bytes of odd file names."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
