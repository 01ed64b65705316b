"""Commands that process a batch of micrographs: resuming and sharding.

- `open_ledger`: resume unfinished work, and report it.
- `select_shard`: the micrographs and output files of one shard.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.cli.messages import note

if TYPE_CHECKING:
    from cryopick.runs.ledger import Ledger

__all__ = ["open_ledger", "select_shard"]


@contextmanager
def open_ledger(
    ledger: "Ledger",
    outputs: Iterable[Path],
    inputs: Iterable[Path] = (),
    *,
    overwrite: bool,
    keep: bool = True,
) -> Iterator[None]:
    """Keep a ledger open while the block runs, and report results of an earlier run.

    Args:
        ledger: The ledger.
        outputs: Files that the work will write.
        inputs: The micrographs.
        overwrite: Replace outputs that exist.
        keep: Keep the ledger afterwards, so that the work can be extended.
    """
    with ledger.start(outputs, overwrite=overwrite, inputs=inputs, keep=keep) as source:
        if source:
            note(f"resuming from {source}")
        yield


def select_shard(
    outputs: Mapping[Path, Path], out: Path, shard: str | None
) -> tuple[dict[Path, Path], Path]:
    """Return the micrographs of one shard with their output files, and its ledger's output."""
    if shard is None:
        return dict(outputs), out
    from cryopick.distributed.shards import Shard

    part = Shard.parse(shard)
    return {path: outputs[path] for path in part.select(list(outputs))}, part.output_path(out)
