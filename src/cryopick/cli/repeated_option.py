"""Several micrographs after one `-m`, as a shell expands an unquoted pattern.

- `repeat_micrograph_option`: write the option before each of them.
"""

from collections.abc import Sequence
from typing import Any

__all__ = ["repeat_micrograph_option"]

_NAMES = ("-m", "--micrographs")


def repeat_micrograph_option(parameters: Sequence[Any], words: Sequence[str]) -> list[str]:
    """Rewrite `-m a.mrc b.mrc` as `-m a.mrc -m b.mrc`.

    Words that follow the value of `-m` are micrographs once all positional arguments have been
    given; before that, they are positional arguments.

    >>> from click import Argument, Option
    >>> parameters = [Argument(["picks"]), Option(["-m"], multiple=True)]
    >>> repeat_micrograph_option(parameters, ["picks.star", "-m", "a.mrc", "b.mrc"])
    ['picks.star', '-m', 'a.mrc', '-m', 'b.mrc']
    >>> repeat_micrograph_option(parameters, ["-m", "a.mrc", "picks.star"])
    ['-m', 'a.mrc', 'picks.star']

    Args:
        parameters: Parameters of the command, from click.
        words: Words of the command line after the command.
    """
    options = [p for p in parameters if p.param_type_name == "option"]
    if not any(name in p.opts and p.multiple for p in options for name in _NAMES):
        return list(words)
    value_counts = {
        name: 0 if p.is_flag or p.count else p.nargs for p in options for name in p.opts
    }
    missing = sum(max(p.nargs, 1) for p in parameters if p.param_type_name == "argument")
    result: list[str] = []
    values_left, repeats = 0, False
    for i, word in enumerate(words):
        if word == "--":
            return [*result, *words[i:]]
        if values_left:
            values_left -= 1
        elif word.startswith("-") and len(word) > 1:
            values_left, repeats = value_counts.get(word, 0), word in _NAMES
        elif repeats and missing <= 0:
            result.append(_NAMES[0])
        else:
            missing, repeats = missing - 1, False
        result.append(word)
    return result
