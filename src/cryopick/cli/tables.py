"""Reading and writing of pick tables by commands.

- `align_names`: call micrographs by one name across tables.
- `match_files`: which of the files available each micrograph of a table is.
- `read_with_context`: tables, with the blocks around the picks of STAR files.
- `describe_other_scale`: describe tables of differently binned micrographs.
- `warn_about_tiff`: report micrographs that RELION reads upside down.
- `write_table`: to one file, or to one file per micrograph.
- `read_micrograph_list`: the micrographs of `--only`, by the names of given tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.cli.app import stopwatch
from cryopick.cli.messages import add_results, note, warn
from cryopick.errors import format_count

if TYPE_CHECKING:
    from cryopick.io.tables.codec import StarContext, TableLayout
    from cryopick.picks import Picks

__all__ = [
    "align_names",
    "describe_other_scale",
    "match_files",
    "read_micrograph_list",
    "read_with_context",
    "warn_about_tiff",
    "write_table",
]


def align_names(table: "Picks", names: Sequence[str]) -> "Picks":
    """Rename micrographs of a table that match one of `names`; keep the others.

    Raises:
        UnmatchedError: A micrograph of the table matches several of `names`.
    """
    from cryopick.io.names import match_names
    from cryopick.picks import concatenate

    spelling = {str(Path(name)): name for name in names}
    matched = match_names(table, [Path(name) for name in spelling])
    return concatenate([matched.picks.rename(spelling), table.restrict(matched.unmatched)])


def match_files(table: "Picks", paths: Sequence[Path]) -> Mapping[str, Path]:
    """Match the micrographs of a table to files; those without a file are skipped.

    Raises:
        UnmatchedError: A micrograph of the table matches several files.
    """
    import numpy as np

    from cryopick.io.names import match_names
    from cryopick.picks import Picks

    names = [name for name, rows in table.rows_by_micrograph().items() if len(rows)]
    matched = match_names(Picks.from_columns(names, np.zeros((len(names), 2))), paths)
    matched_names = [name for name in names if name not in set(matched.unmatched)]
    files = (Path(matched.picks.micrographs[i]) for i in matched.picks.index.tolist())
    return dict(zip(matched_names, files, strict=True))


def read_micrograph_list(path: Path, names: Sequence[str]) -> list[str]:
    """Read a list of micrographs, with the spelling that they have in `names`."""
    import numpy as np

    from cryopick.picks import Picks
    from cryopick.runs.text_files import read_name_list

    no_picks = Picks(
        micrographs=tuple(dict.fromkeys(read_name_list(path))),
        index=np.zeros(0, np.int64),
        xy_px=np.zeros((0, 2)),
        score=np.zeros(0),
    )
    return list(align_names(no_picks, names).micrographs)


def read_with_context(
    paths: Sequence[Path], out: str, out_format: str | None, *, in_format: str | None = None
) -> "tuple[Picks, StarContext]":
    """Read tables as one, with the content around the picks if the output is a STAR file."""
    from cryopick.io.tables.codec import StarContext
    from cryopick.io.tables.pick_tables import read_picks_many, read_picks_with_context

    is_star = out_format == "star" or (out_format is None and out.lower().endswith(".star"))
    if is_star and not out.endswith("/"):
        return read_picks_with_context(paths, format=in_format)
    return read_picks_many(paths, format=in_format), StarContext()


def describe_other_scale(
    picks: "Picks", others: "Picks", radius_px: float, source: Path
) -> str | None:
    """Describe picks that match others only at the scale of another binning; None if not."""
    from cryopick.evaluate.scale_check import find_scale_factor

    factor = find_scale_factor(picks, others, radius_px)
    if factor is None:
        return None
    return (
        f"{source}: its picks match the others only if they are multiplied by {factor:.4g}, as "
        "picks of differently binned micrographs do; convert the table with `cryopick convert "
        f"--scale {factor:.4g}`"
    )


def warn_about_tiff(names: Iterable[str]) -> None:
    """Report TIFF micrographs, which some programs flip vertically and others do not."""
    tiffs = {name for name in names if name.lower().endswith((".tif", ".tiff"))}
    if tiffs:
        warn(
            f"note: {format_count(len(tiffs), 'TIFF micrograph')}. RELION, MotionCor2, IMOD, "
            "EMAN2 and SerialEM flip TIFF files vertically, cryoSPARC and "
            "cryopick do not; see --invert-y"
        )


def write_table(
    picks: "Picks",
    out: str,
    *,
    table_format: str | None,
    overwrite: bool,
    box_px: int | None = None,
    layout: "TableLayout | None" = None,
    sources: Sequence[Path] = (),
) -> None:
    """Write one table, or one table per micrograph where `out` ends with a slash; report it.

    The run metadata and settings of the tables that it was made from, the sources, follow it.
    """
    from cryopick.workflows.derived_table import carry_run_files
    from cryopick.workflows.table_output import write_tables

    summary = write_tables(
        picks,
        out,
        table_format=table_format,
        overwrite=overwrite,
        box_px=box_px,
        layout=layout,
    )
    carry_run_files(sources, out, stopwatch().command, overwrite=overwrite)
    add_results(picks=len(picks), micrographs=len(picks.micrographs))
    note(summary)
