"""Summary of the data for training, with warnings and default settings.

- `plan_training`: numbers, warnings and defaults for the page.
- `check_pixel_sizes`: message if a pixel size is missing or doubtful.
"""

from typing import Any

from cryopick.errors import format_count
from cryopick.web.jobs.commands import PRESETS
from cryopick.web.project.project import AnnotationProject

__all__ = ["check_pixel_sizes", "plan_training"]

_FEW_LABELS = 10
_MIN_TRAINING_MICROGRAPHS = 3  # labelled micrographs that remain for training


def plan_training(project: AnnotationProject) -> dict[str, Any]:
    """Summarize labels and micrographs, and the reasons against training, if any."""
    labels, usable = project.annotations.table("pos"), project.micrographs.usable()
    counts = {name: len(rows) for name, rows in labels.rows_by_micrograph().items()}
    complete = [name for name in project.annotations.fully_labelled() if counts.get(name)]
    estimate = round(sum(counts[name] for name in complete) / len(complete)) if complete else None
    numbers = {str(path): mid for mid, path in usable.items()}
    refusal = _find_refusal(counts, numbers) or check_pixel_sizes(project)
    diameter = project.database.meta("diameter_ang")
    return {
        "labels": len(labels),
        "micrographs": len(counts),
        "negatives": project.annotations.count("neg"),
        "complete": len(complete),
        "all_micrographs": len(usable),
        "estimate": estimate,
        "expected": _expect_particles(project),
        "warnings": _list_warnings(counts, numbers),
        "refusal": refusal,
        "presets": [{"id": name, "name": text} for name, (text, _) in PRESETS.items()],
        "held_out": _choose_held_out(complete, counts, numbers),
        "defaults": {
            "diameter_ang": float(diameter) if diameter else 150.0,
            "particles_per_micrograph": None,
            "preset": "usual",
            "pick": True,
        },
    }


def _expect_particles(project: AnnotationProject) -> float | None:
    """Return the particles per micrograph expected from the scores of the last run."""
    runs = (row["id"] for row in project.runs.list_all() if project.runs.has_picks(row["id"]))
    run = next(runs, None)
    picks = project.runs.picks(run) if run else None
    if run is None or picks is None or not project.jobs.is_calibrated(run):
        return None
    if picks.selection is None or picks.selection.is_capped:
        return None
    number = picks.distribution.count.value / max(1, len(picks.micrographs))
    return float(f"{number:.2g}")


def _find_refusal(counts: dict[str, int], numbers: dict[str, int]) -> str | None:
    """Return the reason why training is impossible, if there is one."""
    if not numbers:
        return "Add micrographs first, under Micrographs."
    if not counts:
        return "Label some particles first, under Label."
    if not any(name in counts for name in numbers):
        return "All labelled micrographs are excluded; include one of them again."
    return None


def _list_warnings(counts: dict[str, int], numbers: dict[str, int]) -> list[str]:
    if _find_refusal(counts, numbers):
        return []
    warnings, labels = [], sum(counts.values())
    if labels < _FEW_LABELS:
        warnings.append(
            f"The project has only {format_count(labels, 'label')}. Label at least {_FEW_LABELS} "
            "particles, better 25, for a much better model."
        )
    if len(counts) == 1 and len(numbers) > 1:
        warnings.append(
            "All labels are on one micrograph. Label particles on other micrographs too, with "
            "thicker and thinner ice."
        )
    return warnings


def check_pixel_sizes(project: AnnotationProject) -> str | None:
    """Return a message if the pixel size of a usable micrograph is missing or doubtful."""
    sources = project.micrographs.pixel_size_sources()
    if "unknown" in sources:
        return "The pixel size is unknown; enter it under Micrographs."
    if "doubtful" in sources:
        return (
            "The files state a pixel size of 1 Å, which many programs write if they do not know "
            "it; confirm it or correct it under Micrographs."
        )
    return None


def _choose_held_out(
    complete: list[str], counts: dict[str, int], numbers: dict[str, int]
) -> tuple[int, ...]:
    """Hold out the fully labelled micrograph with the fewest labels, if enough others remain."""
    candidates = [name for name in complete if name in numbers]
    if not candidates or len(counts) <= _MIN_TRAINING_MICROGRAPHS:
        return ()
    return (numbers[min(candidates, key=lambda name: counts[name])],)
