"""What a run has written of itself, read for the page.

- `read_log`: the last lines, the curves, and how far it is.
"""

import math
import re
from pathlib import Path
from typing import Any

__all__ = ["read_log"]

_LOG_BYTES = 200_000
_ROW = re.compile(r"step (\d+)/(\d+)\s+loss ([-\d.naif]+)(?:.*held-out AP ([\d.]+))?")
_COUNT = re.compile(r"([A-Z][a-z ]+[a-z]): (\d+) of (\d+)")


def read_log(file: Path) -> tuple[list[str], dict[str, list[Any]], dict[str, Any]]:
    """The last lines, the curves, and how far it is."""
    curves: dict[str, list[Any]] = {"step": [], "loss": [], "recall_step": [], "recall": []}
    progress: dict[str, Any] = {}
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _LOG_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return [], curves, progress
    for line in lines:
        if row := _ROW.search(line):
            step, steps = int(row[1]), int(row[2])
            curves["step"].append(step)
            loss = float(row[3])
            curves["loss"].append(loss if math.isfinite(loss) else None)
            if row[4]:
                curves["recall_step"].append(step)
                curves["recall"].append(float(row[4]))
            progress = {"says": "learning", "step": step, "steps": steps}
        elif count := _COUNT.search(line):
            says = count[1][0].lower() + count[1][1:]
            progress = {"says": says, "step": int(count[2]), "steps": int(count[3])}
    return lines[-40:], curves, progress
