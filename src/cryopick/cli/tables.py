"""Tables of picks as commands take and give them.

- `align_names`: call micrographs by one name across tables.
- `given_files`: which of the files at hand each micrograph of a table is.
- `write_table`: to one file, or to one file per micrograph.
- `planned_tables`: the files that it will write.
- `settings_file`, `record_file`: what stands beside them.
- `read_only`: the micrographs of `--only`, by the names of given tables.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from typer import echo

if TYPE_CHECKING:
    from cryopick.io.tables.codec import Layout
    from cryopick.picks import Picks

__all__ = [
    "align_names",
    "given_files",
    "planned_tables",
    "read_only",
    "record_file",
    "settings_file",
    "write_table",
]


def align_names(table: "Picks", names: Sequence[str]) -> "Picks":
    """Rename the micrographs of a table that are meant by one of `names`; keep the others.

    Raises:
        UnmatchedError: A micrograph of the table may be more than one of `names`.
    """
    from cryopick.io.names import match_names
    from cryopick.picks import concatenate

    spelt = {str(Path(name)): name for name in names}
    matched = match_names(table, [Path(name) for name in spelt])
    return concatenate([matched.picks.rename(spelt), table.restrict(matched.unmatched)])


def given_files(table: "Picks", paths: Sequence[Path]) -> Mapping[str, Path]:
    """Match the micrographs of a table to files; those that match none are left out.

    Raises:
        UnmatchedError: A micrograph of the table may be more than one of the files.
    """
    import numpy as np

    from cryopick.io.names import match_names
    from cryopick.picks import Picks

    names = [name for name, rows in table.rows().items() if len(rows)]
    found = match_names(Picks.from_columns(names, np.zeros((len(names), 2))), paths)
    known = [name for name in names if name not in set(found.unmatched)]
    files = (Path(found.picks.micrographs[i]) for i in found.picks.index.tolist())
    return dict(zip(known, files, strict=True))


def read_only(path: Path, names: Sequence[str]) -> list[str]:
    """The micrographs that a list names, under the names they have in `names`."""
    import numpy as np

    from cryopick.picks import Picks
    from cryopick.runs.text_files import name_list

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
    layout: "Layout | None" = None,
) -> None:
    """Write one table, or one per micrograph where `out` ends with a slash, and say so."""
    from cryopick.io.tables.pick_tables import write_picks, write_picks_per_micrograph

    where = f"{len(picks)} particles on {len(picks.micrographs)} micrographs"
    if out.endswith("/"):
        written = write_picks_per_micrograph(
            picks,
            Path(out),
            format=table_format or "tsv",
            overwrite=overwrite,
            box_px=box_px,
            layout=layout,
        )
        echo(f"{where} written to {len(written)} files in {out}", err=True)
    else:
        write_picks(
            picks,
            Path(out),
            format=table_format,
            overwrite=overwrite,
            box_px=box_px,
            layout=layout,
        )
        echo(f"{where} written to {out}", err=True)


def planned_tables(
    paths: Sequence[Path], out: str, *, table_format: str | None, box_px: int | None
) -> list[Path]:
    """The tables to be written, tried without a pick so that mistakes show before the work."""
    import numpy as np

    from cryopick.io.tables.pick_tables import write_picks, write_picks_per_micrograph
    from cryopick.picks import Picks

    nothing = Picks(
        micrographs=tuple(str(path) for path in paths),
        index=np.zeros(0, np.int64),
        xy_px=np.zeros((0, 2)),
        score=np.zeros(0),
    )
    with TemporaryDirectory() as folder:
        if not out.endswith("/"):
            write_picks(nothing, Path(folder, Path(out).name), format=table_format, box_px=box_px)
            return [Path(out)]
        tables = write_picks_per_micrograph(
            nothing, Path(folder), format=table_format or "tsv", box_px=box_px
        )
    return [Path(out) / table.name for table in tables]


def settings_file(out: str) -> Path:
    """`picks.settings.toml` for a table, `settings.toml` inside a folder of tables."""
    path = Path(out)
    return path / "settings.toml" if out.endswith("/") else path.with_suffix(".settings.toml")


def record_file(out: str) -> Path:
    """`picks.run.json` for a table, `run.json` inside a folder of tables."""
    path = Path(out)
    return path / "run.json" if out.endswith("/") else path.with_suffix(".run.json")
