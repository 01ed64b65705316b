"""Pick tables that a workflow writes, and the files beside them.

An output is one table, or a folder (with a slash at its end) that holds a table for each
micrograph.

- `plan_tables`: the tables of an output, with mistakes found before any work.
- `write_tables`: write picks to an output.
- `settings_file`, `metadata_file`: settings and run metadata beside an output.
- `TableOutput`: the micrographs and tables of a task, or of one shard of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cryopick.errors import format_count

if TYPE_CHECKING:
    from cryopick.io.tables.codec import TableLayout
    from cryopick.picks import Picks

__all__ = ["TableOutput", "metadata_file", "plan_tables", "settings_file", "write_tables"]

COORDINATE_LIST = "autopick.star"  # RELION's list of the tables in a folder
_MAX_FIRST = 64  # more than are scored; some may be unusable
_FOLDER_FORMAT = "tsv"  # of the tables in a folder, unless another is given


def plan_tables(
    paths: Sequence[Path], out: str, *, table_format: str | None, box_px: int | None
) -> list[Path]:
    """List the tables of an output, after writing them without picks to a temporary folder.

    Raises:
        CryopickError: A table of this format or these names cannot be written.
    """
    import numpy as np

    from cryopick.io.tables.formats import choose_output_codec
    from cryopick.io.tables.pick_tables import write_picks, write_picks_per_micrograph
    from cryopick.picks import Picks
    from cryopick.runs.file_errors import is_decodable

    no_picks = Picks(
        micrographs=tuple(  # files with undecodable names are skipped later
            str(path) for path in paths if is_decodable(str(path))
        ),
        index=np.zeros(0, np.int64),
        xy_px=np.zeros((0, 2)),
        score=np.zeros(0),
    )
    with TemporaryDirectory() as folder:
        if not out.endswith("/"):
            if table_format is None:
                choose_output_codec(Path(out))  # the message names the file of the user
            write_picks(no_picks, Path(folder, Path(out).name), format=table_format, box_px=box_px)
            return [Path(out)]
        tables = write_picks_per_micrograph(
            no_picks, Path(folder), format=table_format or _FOLDER_FORMAT, box_px=box_px
        )
    return [Path(out) / table.name for table in tables]


def write_tables(
    picks: "Picks",
    out: str,
    *,
    table_format: str | None,
    overwrite: bool,
    box_px: int | None = None,
    layout: "TableLayout | None" = None,
) -> str:
    """Write picks to one table, or to one table per micrograph in a folder.

    Returns:
        A summary for people: numbers of particles and micrographs, and where they are.
    """
    from cryopick.io.tables.pick_tables import write_picks, write_picks_per_micrograph

    count = (
        f"{format_count(len(picks), 'particle')} on "
        f"{format_count(len(picks.micrographs), 'micrograph')}"
    )
    if not out.endswith("/"):
        write_picks(
            picks,
            Path(out),
            format=table_format,
            overwrite=overwrite,
            box_px=box_px,
            layout=layout,
        )
        return f"{count} written to {out}"
    tables = write_picks_per_micrograph(
        picks,
        Path(out),
        format=table_format or _FOLDER_FORMAT,
        overwrite=overwrite,
        box_px=box_px,
        layout=layout,
    )
    return f"{count} written to {format_count(len(tables), 'file')} in {out}"


def settings_file(out: str) -> Path:
    """Return `picks.settings.toml` for a table, `settings.toml` inside a folder of tables."""
    path = Path(out)
    return path / "settings.toml" if out.endswith("/") else path.with_suffix(".settings.toml")


def metadata_file(out: str) -> Path:
    """Return `picks.run.json` for a table, `run.json` inside a folder of tables."""
    path = Path(out)
    return path / "run.json" if out.endswith("/") else path.with_suffix(".run.json")


@dataclass(frozen=True, kw_only=True)
class TableOutput:
    """The micrographs and tables of a task, or of one shard of it.

    Attributes:
        micrographs: The micrographs.
        out: A table, or a folder with a slash at its end.
        tables: All tables to write.
        ledger_output: Path that the ledger is kept beside.
        first_micrographs: The first micrographs of all shards, on which settings are decided.
        table_format: Format of the tables; None follows from the file name.
        box_px: Side of the boxes, for formats that have boxes.
    """

    micrographs: list[Path]
    out: str
    tables: list[Path]
    ledger_output: Path
    first_micrographs: tuple[Path, ...] = ()
    table_format: str | None = None
    box_px: int | None = None

    @classmethod
    def plan(
        cls,
        paths: Sequence[Path],
        out: str,
        shard: str | None = None,
        *,
        table_format: str | None,
        box_px: int | None = None,
    ) -> "TableOutput":
        """Plan the output of a task; mistakes in names and formats show before any work.

        Args:
            paths: The micrographs of all shards.
            out: A table or a folder.
            shard: Shard as "I/N" or "auto"; None is the whole task.
            table_format: Format of the tables; None follows from the file name.
            box_px: Side of the boxes, for formats that have boxes.

        Raises:
            CryopickError: The tables cannot be written, or the shard is none.
        """
        out = f"{out.rstrip('/')}/" if Path(out).is_dir() else out
        tables = plan_tables(paths, out, table_format=table_format, box_px=box_px)
        micrographs, ledger_output = list(paths), Path(out)
        if shard is not None:
            from cryopick.distributed.shards import Shard

            part = Shard.parse(shard)
            micrographs, ledger_output = part.select(paths), part.output_path(Path(out))
            if out.endswith("/"):
                tables = part.select(tables)
            else:
                out, tables = str(ledger_output), [ledger_output]
        elif out.endswith("/") and table_format == "star":
            tables = [*tables, Path(out) / COORDINATE_LIST]
        return cls(
            micrographs=micrographs,
            out=out,
            tables=tables,
            ledger_output=ledger_output,
            first_micrographs=tuple(paths[:_MAX_FIRST]),
            table_format=table_format,
            box_px=box_px,
        )

    def write(self, picks: "Picks", provenance: str = "") -> str:
        """Write the tables in place of earlier ones, and return a summary.

        A STAR table gets the optics groups of the lists that name the micrographs. STAR tables in
        a folder are listed in `autopick.star`, unless this is one shard of them.

        Args:
            picks: The picks.
            provenance: Line on the origin of the picks, for a comment in STAR tables.
        """
        picks, layout = _add_optics(picks, self.micrographs)
        layout = replace(layout, star=replace(layout.star, provenance=provenance))
        summary = write_tables(
            picks,
            self.out,
            table_format=self.table_format,
            overwrite=True,
            box_px=self.box_px,
            layout=layout,
        )
        if self._writes_list:
            from cryopick.io.tables.pick_tables import write_coordinate_list

            tables = dict(zip(map(Path, picks.micrographs), self._tables_of(picks), strict=True))
            write_coordinate_list(tables, Path(self.out, COORDINATE_LIST))
        return summary

    @property
    def _writes_list(self) -> bool:
        return Path(self.out, COORDINATE_LIST) in self.tables

    def _tables_of(self, picks: "Picks") -> list[Path]:
        from cryopick.io.tables.pick_tables import per_micrograph_path

        return [
            per_micrograph_path(name, Path(self.out), format="star") for name in picks.micrographs
        ]


def _add_optics(picks: "Picks", micrographs: Sequence[Path]) -> "tuple[Picks, TableLayout]":
    """Give picks the optics groups of the STAR files that list their micrographs."""
    from cryopick.io.tables import star
    from cryopick.io.tables.codec import TableLayout
    from cryopick.io.tables.formats import detect_codec
    from cryopick.io.tables.star_merge import assign_optics_groups, merge_contexts
    from cryopick.picks import concatenate
    from cryopick.runs.listed_path import ListedPath

    listed_paths = [path for path in micrographs if isinstance(path, ListedPath) and path.source]
    sources = [p for p in dict.fromkeys(path.source for path in listed_paths) if p is not None]
    sources = [source for source in sources if detect_codec(source) is star.CODEC]
    if not sources or len(listed_paths) < len(micrographs):
        return picks, TableLayout()
    contexts, tables = [], []
    for source in sources:
        context, group_of = star.read_list_optics(source)
        names = {str(p) for p in listed_paths if p.source == source}
        groups = {
            str(p): group_of[p.listed_name] for p in listed_paths if p.listed_name in group_of
        }
        table = picks.restrict([name for name in picks.micrographs if name in names])
        tables.append(assign_optics_groups(table, context, groups, source))
        contexts.append(context)
    if not all(context.others for context in contexts):
        return picks, TableLayout()
    tables, merged = merge_contexts(tables, contexts, sources)
    joined = concatenate(tables)
    return joined.restrict(picks.micrographs), TableLayout(star=merged)
