"""Limits of the numbers that options accept, for all commands.

- `CheckedCommand`: command that refuses numbers without a value or out of bounds.
"""

import math
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand

__all__ = ["CheckedCommand"]

_MAX_NUMBER = 1e12  # ångströms, pixels, counts and seconds are all far below
_MAX_INTEGER = 2**63 - 1  # largest seed
_UNLIMITED = ("threshold", "score", "at")  # scores; an infinite threshold keeps all or none


class CheckedCommand(TyperCommand):
    """Command that refuses nan, and numbers so large that no computation can use them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # as in Typer
        """Parse the command line and check its numbers.

        Raises:
            BadParameter: A number is nan or too large, or an argument is empty.
        """
        if "" in args and not self.context_settings.get("ignore_unknown_options"):
            raise BadParameter("an argument is empty, such as a shell variable that is not set")
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            for item in value if isinstance(value, tuple | list) else (value,):
                fault = _find_fault(item, parameter.name or "")
                if fault:
                    raise BadParameter(fault, ctx=ctx, param=parameter)
        return rest


def _find_fault(value: object, name: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and math.isnan(value):
        return "nan is not a number"
    is_unlimited = any(name.split("__")[-1].endswith(ending) for ending in _UNLIMITED)
    limit = _MAX_INTEGER if isinstance(value, int) else _MAX_NUMBER
    if abs(value) > limit and not (is_unlimited and isinstance(value, float)):
        return f"{value:.4g} is out of bounds; expected at most {limit:.4g}"
    return None
