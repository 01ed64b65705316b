"""Tables of picks as commands take and give them.

- `align_names`: call micrographs by one name across tables.
- `write_table`: to one file, or to one file per micrograph.
- `read_only`: the micrographs of `--only`, by the names of given tables.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typer import echo

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["align_names", "read_only", "write_table"]


def align_names(table: "Picks", names: Sequence[str]) -> "Picks":
    """Rename the micrographs of a table that are meant by one of `names`; keep the others.

    Raises:
        UnmatchedError: A micrograph of the table may be more than one of `names`.
    """
    from cryopick.io import match_names
    from cryopick.picks import concatenate

    spelt = {str(Path(name)): name for name in names}
    matched = match_names(table, [Path(name) for name in spelt])
    return concatenate([matched.picks.rename(spelt), table.restrict(matched.unmatched)])


def read_only(path: Path, names: Sequence[str]) -> list[str]:
    """The micrographs that a list names, under the names they have in `names`."""
    import numpy as np

    from cryopick.io import name_list
    from cryopick.picks import Picks

    listed = Picks(
        micrographs=tuple(dict.fromkeys(name_list(path))),
        index=np.zeros(0, np.int64),
        xy_px=np.zeros((0, 2)),
        score=np.zeros(0),
    )
    return list(align_names(listed, names).micrographs)


def write_table(
    picks: "Picks",
    out: str,
    *,
    table_format: str | None,
    overwrite: bool,
    box_px: int | None = None,
) -> None:
    """Write one table, or one per micrograph where `out` ends with a slash, and say so."""
    from cryopick import io

    where = f"{len(picks)} particles on {len(picks.micrographs)} micrographs"
    if out.endswith("/"):
        written = io.write_picks_per_micrograph(
            picks, Path(out), format=table_format or "tsv", overwrite=overwrite, box_px=box_px
        )
        echo(f"{where} written to {len(written)} files in {out}", err=True)
    else:
        io.write_picks(picks, Path(out), format=table_format, overwrite=overwrite, box_px=box_px)
        echo(f"{where} written to {out}", err=True)
