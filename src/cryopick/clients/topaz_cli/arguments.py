"""Argument parsing as in Topaz, which uses argparse with a few additions.

Long options accept `=` or a space and unambiguous abbreviations; options may come before, between
and after file names; a negative number is a value; `@file` is replaced by the lines of a file.
Messages go to stderr, data to stdout. Only the standard library is imported.

- `Parser`: options of one command.
- `add_scale_options`: the options that scale coordinates.
- `expand_argument_files`: replace `@file`.
- `parse_integer`: parse 150 or 150.0.
- `report`: print a message.
- `set_thread_count`: limit the threads of NumPy and torch.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "Parser",
    "add_scale_options",
    "expand_argument_files",
    "parse_integer",
    "report",
    "set_thread_count",
]

_NUMBER_BELOW_0 = re.compile(r"^-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|^-(inf|nan)$", re.IGNORECASE)
_DEEPEST = 8  # argument files in argument files


class Parser(argparse.ArgumentParser):
    """Options of one command; a usage error ends the program with status 2."""

    def __init__(self, program: str, command: str, description: str) -> None:
        super().__init__(prog=f"{program} {command}", description=description)
        # argparse would read -1e-3 and -inf as options
        self._negative_number_matcher = _NUMBER_BELOW_0

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words; values are stored under the long names."""
        return self.parse_intermixed_args(words)


def add_scale_options(parser: Parser) -> None:
    """Add the options that scale the coordinates of a table."""
    for names, operation in (
        (("-s", "--down-scale"), "divide"),
        (("-x", "--up-scale"), "multiply"),
    ):
        help_text = f"{operation} coordinates by this factor (default: 1)"
        parser.add_argument(*names, type=float, default=1.0, help=help_text)


def expand_argument_files(words: Sequence[str], depth: int = 0) -> list[str]:
    """Replace each `@file` by the lines of the file, one word per line; skip blank lines.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not text, or argument files include each other.
    """
    if depth > _DEEPEST:
        raise ValueError(f"argument files within argument files, more than {_DEEPEST} deep")
    words_out = []
    for word in words:
        if word.startswith("@") and len(word) > 1:
            lines = Path(word[1:]).read_text(encoding="utf-8").splitlines()
            words_out += expand_argument_files([line for line in lines if line.strip()], depth + 1)
        else:
            words_out.append(word)
    return words_out


def parse_integer(text: str) -> int:
    """Parse an integer; some clients write it with a decimal point.

    Raises:
        ValueError: It is not an integer.

    >>> parse_integer("150.0"), parse_integer("-1")
    (150, -1)
    """
    number = float(text)
    if number != int(number):
        raise ValueError(f"{text} is not an integer")
    return int(number)


def report(text: str) -> None:
    """Print a message to stderr, because stdout is for data."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def set_thread_count(count: int) -> None:
    """Set the number of threads; below 1 keeps OMP_NUM_THREADS, or all cores.

    Call it before NumPy or torch is imported.
    """
    if count > 0:
        os.environ["OMP_NUM_THREADS"] = str(count)
