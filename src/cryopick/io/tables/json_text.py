"""The text of JSON files from elsewhere, with messages that name file and line.

- `parsed`: text to values; what is no JSON is refused with its line.
- `finite`: a value that should be a finite number.
"""

import json
import math
from pathlib import Path
from typing import Any

from cryopick.errors import FormatError
from cryopick.io.tables.codec import broken

__all__ = ["finite", "parsed"]


def parsed(text: str, path: Path) -> Any:  # noqa: ANN401 -- whatever the file holds
    """Read JSON.

    Raises:
        FormatError: It is no JSON, or nested too deeply to be a table.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        lines = error.doc.split("\n")
        line = lines[error.lineno - 1].strip() if error.lineno <= len(lines) else ""
        raise broken(path, error.lineno, f"JSON ({error.msg})", line) from None
    except (RecursionError, ValueError):  # also a whole number of thousands of digits
        raise FormatError(f"{path}: expected a table in JSON, found values out of bounds") from None


def finite(value: object, what: str, path: Path) -> float:
    """Take a value that should be a finite number.

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
    raise FormatError(f"{path}: expected a finite number as {what}, found {str(value)[:80]!r}")
