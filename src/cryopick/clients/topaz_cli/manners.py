"""The manners of a command line that other programs write: those of argparse, and a few more.

Long options take `=` or a space and any unambiguous beginning of their name; options may stand
before, between and after file names; a number below 0 is a value; `@file` stands for the lines of
a file, anywhere. Words go to stderr, stdout is for data. Only the standard library is imported.

- `Parser`: the options of one command.
- `unfolded`: the words with `@file` replaced.
- `whole_number`: 150, also where it is written 150.0.
- `say`: a word to the user.
- `use_cores`: how many threads later work takes.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Parser", "say", "unfolded", "use_cores", "whole_number"]

_NUMBER_BELOW_0 = re.compile(r"^-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|^-(inf|nan)$", re.IGNORECASE)
_DEEPEST = 8  # argument files in argument files


class Parser(argparse.ArgumentParser):
    """The options of one command; a mistake in them ends the program with status 2."""

    def __init__(self, program: str, command: str, about: str) -> None:
        super().__init__(prog=f"{program} {command}", description=about)
        # argparse takes -1e-3 and -inf for options
        self._negative_number_matcher = _NUMBER_BELOW_0

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The values of the options, each under its long name."""
        return self.parse_intermixed_args(words)


def unfolded(words: Sequence[str], depth: int = 0) -> list[str]:
    """Replace each `@file` by the lines of that file, one word a line; blank lines do not count.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not text, or argument files name each other in a circle.
    """
    if depth > _DEEPEST:
        raise ValueError(f"argument files within argument files, more than {_DEEPEST} deep")
    found = []
    for word in words:
        if word.startswith("@") and len(word) > 1:
            lines = Path(word[1:]).read_text(encoding="utf-8").splitlines()
            found += unfolded([line for line in lines if line.strip()], depth + 1)
        else:
            found.append(word)
    return found


def whole_number(text: str) -> int:
    """A whole number; some clients write it with a point.

    Raises:
        ValueError: It is none.

    >>> whole_number("150.0"), whole_number("-1")
    (150, -1)
    """
    number = float(text)
    if number != int(number):
        raise ValueError(f"{text} is not a whole number")
    return int(number)


def say(text: str) -> None:
    """Tell the user something: on stderr, as stdout holds data alone."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def use_cores(asked: int) -> None:
    """Let later work take so many threads; below 1 means all cores, or as OMP_NUM_THREADS says.

    It must come before NumPy or torch start their own.
    """
    if asked > 0:
        os.environ["OMP_NUM_THREADS"] = str(asked)
