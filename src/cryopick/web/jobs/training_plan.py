"""What a training would learn from, and whether it can.

- `plan`: numbers, warnings and defaults for the page.
- `scale_problem`: why lengths cannot be told.
"""

from typing import Any

from cryopick.web.jobs.commands import PRESETS
from cryopick.web.project.project import Desk

__all__ = ["plan", "scale_problem"]

_FEW = 10
_LEAST_HELD_OUT = 3  # labelled micrographs to learn from that must stay


def plan(desk: Desk) -> dict[str, Any]:
    """Labels, an estimate of the number of particles, who judges, and what stands in the way."""
    labels, usable = desk.marks.table("pos"), desk.micrographs.usable()
    counts = {name: len(rows) for name, rows in labels.rows().items()}
    complete = [name for name in desk.marks.complete() if counts.get(name)]
    estimate = round(sum(counts[name] for name in complete) / len(complete)) if complete else None
    refusal, warnings = None, []
    if not usable:
        refusal = "Bring micrographs first, under Micrographs."
    elif not len(labels):
        refusal = "Mark some particles first, under Label."
    elif not any(str(path) in counts for path in usable.values()):
        refusal = "All marked micrographs are left out; use one of them again."
    elif len(labels) < _FEW:
        warnings.append(
            f"{len(labels)} particles are few: ten or more, better 25, teach much more."
        )
    if not refusal and len(counts) == 1 and len(usable) > 1:
        warnings.append(
            "All are on one micrograph: mark some on others, with thicker and thinner ice."
        )
    refusal = refusal or scale_problem(desk)
    numbers = {str(path): mid for mid, path in usable.items()}
    held = _held_out(complete, counts, numbers)
    diameter = desk.store.meta("diameter_ang")
    return {
        "labels": len(labels),
        "micrographs": len(counts),
        "negatives": desk.marks.count("neg"),
        "complete": len(complete),
        "all_micrographs": len(usable),
        "estimate": estimate,
        "warnings": warnings,
        "refusal": refusal,
        "presets": [{"id": name, "name": text} for name, (text, _) in PRESETS.items()],
        "held_out": held,
        "defaults": {
            "diameter_ang": float(diameter) if diameter else 150.0,
            "particles_per_micrograph": None,
            "preset": "usual",
            "pick": True,
        },
    }


def scale_problem(desk: Desk) -> str | None:
    """Why lengths on some micrograph cannot be told, if they cannot."""
    sources = desk.micrographs.pixel_size_sources()
    if "unknown" in sources:
        return "The pixel size is not known; say it under Micrographs."
    if "doubtful" in sources:
        return (
            "The files say 1 Å per pixel, which many programs write when they do not know; "
            "confirm it or correct it under Micrographs."
        )
    return None


def _held_out(
    complete: list[str], counts: dict[str, int], numbers: dict[str, int]
) -> tuple[int, ...]:
    """One fully marked micrograph judges, if enough others stay to learn from."""
    judges = [name for name in complete if name in numbers]
    if not judges or len(counts) <= _LEAST_HELD_OUT:
        return ()
    return (numbers[min(judges, key=lambda name: counts[name])],)
