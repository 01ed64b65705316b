"""Table of the micrographs of a task of picking: numbers, verdicts and warnings.

The table `picks.micrographs.tsv` lies beside `picks.star`, and beside a folder of tables.

- `MicrographRow`: what is known about one micrograph.
- `summarize_micrographs`: the rows of a task.
- `list_skipped`: the rows of micrographs that could not be used.
- `write_micrograph_table`, `read_micrograph_table`: the file.
- `merge_micrograph_tables`: the table of all shards.
- `micrograph_table_file`: its path.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.errors import FormatError
from cryopick.io.images.sizes import read_pixel_size
from cryopick.runs.atomic_write import atomic_write

if TYPE_CHECKING:
    from cryopick.picks import Picks
    from cryopick.workflows.empty_check import Judgement

__all__ = [
    "SKIPPED",
    "MicrographRow",
    "list_skipped",
    "merge_micrograph_tables",
    "micrograph_table_file",
    "read_micrograph_table",
    "summarize_micrographs",
    "write_micrograph_table",
]

SKIPPED = "skipped"  # verdict on a micrograph that could not be used
_SEPARATOR = "; "
_MIN_DIAMETER_PX = 8.0  # of a particle in the raw micrograph
_MIN_DIAMETER_ANG = 30.0  # smaller than any particle that cryo-EM resolves
_DISCS_PER_SQUARE = 2 / math.sqrt(3)  # discs in close packing per square of their diameter
_MAX_PACKED_FRAC = 0.9  # of close packing


@dataclass(frozen=True, kw_only=True)
class MicrographRow:
    """Result of picking one micrograph.

    Attributes:
        micrograph: The micrograph, as in the task.
        picks: Number of its picks in the table.
        expected_particles: Sum of the probabilities of all candidates by the distribution of
            scores; None if it was skipped.
        verdict: A `Verdict`, or `SKIPPED`.
        pixel_size_ang: Ångströms per raw pixel; None if unknown.
        polarity: Contrast of the particles: dark, bright or as trained.
        warnings: Irregularities.
    """

    micrograph: str
    picks: int
    expected_particles: float | None
    verdict: str
    pixel_size_ang: float | None
    polarity: str
    warnings: tuple[str, ...] = ()


def micrograph_table_file(output: Path, *, is_folder: bool = False) -> Path:
    """Return `picks.micrographs.tsv` for the table `picks.star` or the folder `picks`."""
    return output.with_name(f"{output.name if is_folder else output.stem}.micrographs.tsv")


def summarize_micrographs(
    candidates: "Picks",
    selected: "Picks",
    *,
    diameter_ang: float,
    pixel_size_ang: float | None,
    polarity: str,
    judgement: "Judgement | None" = None,
) -> list[MicrographRow]:
    """Summarize the micrographs of a task.

    Args:
        candidates: Picks with scores, down to a low minimum.
        selected: The picks in the table, on the same micrographs.
        diameter_ang: Particle diameter.
        pixel_size_ang: Raw pixel size, if it was given by the user.
        polarity: Contrast of the particles.
        judgement: Verdicts, warnings and scores of labels; by default those of the scores alone.
    """
    from cryopick.evaluate.emptiness import classify_micrographs
    from cryopick.evaluate.score_distribution import fit_score_distribution

    rows = []
    selected_rows = selected.rows_by_micrograph()
    labels = judgement.labels if judgement else None
    distribution = fit_score_distribution(candidates.score, labels)
    if judgement is None:
        verdicts = dict(zip(candidates.micrographs, classify_micrographs(candidates), strict=True))
    else:
        verdicts = dict(judgement.verdicts)
    for name, table in candidates.split_by_micrograph():
        verdict = verdicts[name]
        size_ang = pixel_size_ang or read_pixel_size(Path(name))
        expected = float(distribution.compute_probability(table.score).sum())
        warnings = _check_size(table, expected, diameter_ang, size_ang) if size_ang else ()
        warnings += judgement.warnings_of(name) if judgement else ()
        rows.append(
            MicrographRow(
                micrograph=name,
                picks=len(selected_rows[name]),
                expected_particles=expected,
                verdict=verdict,
                pixel_size_ang=size_ang,
                polarity=polarity,
                warnings=warnings,
            )
        )
    return rows


def list_skipped(skipped: Sequence[Path], polarity: str) -> list[MicrographRow]:
    """List the micrographs that could not be used."""
    return [
        MicrographRow(
            micrograph=str(path),
            picks=0,
            expected_particles=None,
            verdict=SKIPPED,
            pixel_size_ang=None,
            polarity=polarity,
        )
        for path in skipped
    ]


def _check_size(
    candidates: "Picks", expected: float, diameter_ang: float, pixel_size_ang: float
) -> tuple[str, ...]:
    """Check the diameter against the pixel size, and the number of particles against the area."""
    warnings = []
    diameter_px = diameter_ang / pixel_size_ang
    if diameter_px < _MIN_DIAMETER_PX or diameter_ang < _MIN_DIAMETER_ANG:
        warnings.append(
            f"a diameter of {diameter_ang:g} Å is {diameter_px:.1f} pixels of {pixel_size_ang:.3g} "
            "Å, too few to recognize particles"
        )
    if len(candidates):
        sides_px = candidates.xy_px.max(axis=0) - candidates.xy_px.min(axis=0) + diameter_px
        limit = _DISCS_PER_SQUARE * float(sides_px.prod()) / diameter_px**2
        if expected > _MAX_PACKED_FRAC * limit:
            warnings.append(
                f"{expected:.0f} expected particles are more than close packing permits "
                f"({limit:.0f} of {diameter_ang:g} Å)"
            )
    return tuple(warnings)


def write_micrograph_table(rows: Sequence[MicrographRow], path: Path) -> None:
    """Write the table, in place of an earlier one."""
    lines = ["\t".join(field.name for field in fields(MicrographRow))]
    for row in rows:
        expected = "" if row.expected_particles is None else f"{row.expected_particles:.1f}"
        size = "" if row.pixel_size_ang is None else f"{row.pixel_size_ang:.6g}"
        cells = [row.micrograph, row.picks, expected, row.verdict, size, row.polarity]
        lines.append("\t".join([*map(str, cells), _SEPARATOR.join(row.warnings)]))
    with atomic_write(path, overwrite=True) as temporary:
        text = "\n".join([*lines, ""])
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_micrograph_table(path: Path) -> list[MicrographRow]:
    """Read a table.

    Raises:
        FormatError: The file is not such a table.
    """
    head, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    names = [field.name for field in fields(MicrographRow)]
    if head.split("\t") != names:
        raise FormatError(f"{path}:1: expected the columns {', '.join(names)}; pick again")
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            name, picks, expected, verdict, size, polarity, warnings = line.split("\t")
            row = MicrographRow(
                micrograph=name,
                picks=int(picks),
                expected_particles=float(expected) if expected else None,
                verdict=verdict,
                pixel_size_ang=float(size) if size else None,
                polarity=polarity,
                warnings=tuple(warnings.split(_SEPARATOR)) if warnings else (),
            )
        except ValueError as error:
            raise FormatError(
                f"{path}:{number}: expected {len(names)} columns; pick again"
            ) from error
        rows.append(row)
    return rows


def merge_micrograph_tables(
    tables: Sequence[Path], out: Path, *, order: Sequence[str] = ()
) -> None:
    """Merge the tables of shards, whose verdicts stay; write nothing if one is missing.

    Args:
        tables: Tables of the shards.
        out: The table to write.
        order: Order of the micrographs, if known; those that were skipped come last.

    Raises:
        FormatError: A table is malformed.
    """
    if not all(path.exists() for path in tables):
        return
    rows = [row for path in tables for row in read_micrograph_table(path)]
    position = {name: index for index, name in enumerate(order)}
    rows.sort(key=lambda row: (row.verdict == SKIPPED, position.get(row.micrograph, len(position))))
    write_micrograph_table(rows, out)
