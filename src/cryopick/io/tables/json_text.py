"""Parsing of JSON files from other programs, with messages that name file and line.

- `parse_json`: parse text; an error names the line.
- `require_finite`: check that a value is a finite number.
"""

import json
import math
from pathlib import Path
from typing import Any

from cryopick.errors import FormatError
from cryopick.io.tables.codec import line_error

__all__ = ["parse_json", "require_finite"]


def parse_json(text: str, path: Path) -> Any:  # noqa: ANN401 -- whatever the file holds
    """Parse JSON.

    Raises:
        FormatError: The text is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        lines = error.doc.split("\n")
        line = lines[error.lineno - 1].strip() if error.lineno <= len(lines) else ""
        raise line_error(path, error.lineno, f"JSON ({error.msg})", line) from None
    except (RecursionError, ValueError):  # the latter also for an integer of thousands of digits
        raise FormatError(f"{path}: expected a table in JSON, found values out of bounds") from None


def require_finite(value: object, description: str, path: Path) -> float:
    """Convert a value to a finite number.

    Raises:
        FormatError: It is something else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise FormatError(
        f"{path}: expected a finite number as {description}, found {str(value)[:80]!r}"
    )
