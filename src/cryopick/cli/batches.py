"""What the commands that take a batch of micrographs have in common.

- `ledger`: go on with what is done.
- `Batched`: the micrographs and tables of a command, or of one part of it.
- `own_part`: the micrographs and outputs of one part, where each has a file of its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typer import echo

from cryopick.cli.tables import planned_tables

if TYPE_CHECKING:
    from cryopick.runs.ledger import Parts

__all__ = ["Batched", "ledger", "own_part"]


@contextmanager
def ledger(
    parts: "Parts",
    outputs: Iterable[Path],
    inputs: Iterable[Path] = (),
    *,
    overwrite: bool,
    keep: bool = True,
) -> Iterator[None]:
    """Do the work within the block, less what the ledger says is done, and say so.

    Args:
        parts: The ledger.
        outputs: The files that will be written.
        inputs: The micrographs.
        overwrite: Replace those outputs that exist.
        keep: Leave the ledger at the end, for more of the same.
    """
    with parts.begun(outputs, overwrite=overwrite, inputs=inputs, keep=keep) as goes_on:
        if goes_on:
            echo(f"going on with {goes_on}", err=True)
        yield


@dataclass(frozen=True)
class Batched:
    """The micrographs and tables of a command, or of one part of it.

    Attributes:
        paths: The micrographs.
        out: Where it writes: a table, or a folder with a slash at its end.
        tables: The tables.
        beside: What the ledger is kept beside.
    """

    paths: list[Path]
    out: str
    tables: list[Path]
    beside: Path

    @classmethod
    def plan(
        cls,
        paths: Sequence[Path],
        out: str,
        shard: str | None = None,
        *,
        table_format: str | None,
        box_px: int | None = None,
    ) -> "Batched":
        """Plan a command, its tables tried without a pick so that mistakes show at once.

        Args:
            paths: The micrographs of all parts.
            out: As it was given.
            shard: Which part, as it was given; None is the whole.
            table_format: Format of the tables, as it was given.
            box_px: Side of the boxes.
        """
        out = f"{out.rstrip('/')}/" if Path(out).is_dir() else out
        tables = planned_tables(paths, out, table_format=table_format, box_px=box_px)
        if shard is None:
            return cls(list(paths), out, tables, Path(out))
        from cryopick.distributed.shards import Shard

        part = Shard.parse(shard)
        beside = part.output(Path(out))
        if out.endswith("/"):
            return cls(part.own(paths), out, part.own(tables), beside)
        return cls(part.own(paths), str(beside), [beside], beside)


def own_part(
    outputs: Mapping[Path, Path], out: Path, shard: str | None
) -> tuple[dict[Path, Path], Path]:
    """The micrographs of one part with their outputs, and what its ledger is kept beside."""
    if shard is None:
        return dict(outputs), out
    from cryopick.distributed.shards import Shard

    part = Shard.parse(shard)
    return {path: outputs[path] for path in part.own(list(outputs))}, part.output(out)
