"""Records of the outputs of a batch: whatever differs from them was changed by the user.

- `OutputRecords`: records in the folder of a batch.
- `file_state`: size and checksum of a file.
"""

import hashlib
import json
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryopick.runs.atomic_write import atomic_write, observe_writes

__all__ = ["OutputRecords", "file_state"]

_MAX_CHECKED_BYTES = 1 << 26


@dataclass(frozen=True)
class OutputRecords:
    """Records of the outputs that a batch has written or may replace.

    A missing or damaged record means that an existing output is not replaced unasked.

    Attributes:
        folder: Folder of the batch.
    """

    folder: Path

    def accept(self, outputs: Iterable[Path]) -> None:
        """Record the outputs that exist when the batch starts and that it may replace."""
        states = {str(path.resolve()): file_state(path) for path in outputs if path.exists()}
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._accepted_path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(states), encoding="utf-8")

    @contextmanager
    def record_writes(self, outputs: Iterable[Path]) -> Iterator[None]:
        """Record each output that the block writes, before it gets its final name."""
        records = {path.resolve(): self._record_path(path) for path in outputs}

        def record(path: Path, temporary: Path) -> None:
            record_path = records.get(path.resolve())
            if record_path is not None:
                record_path.write_text(json.dumps(file_state(temporary)), encoding="utf-8")

        with observe_writes(record):
            yield

    def list_changed(self, outputs: Iterable[Path]) -> list[Path]:
        """List the outputs that exist in a state that is not recorded."""
        accepted = _read_json(self._accepted_path)
        accepted = accepted if isinstance(accepted, dict) else {}
        return [
            path
            for path in outputs
            if path.exists()
            and file_state(path)
            not in (accepted.get(str(path.resolve())), _read_json(self._record_path(path)))
        ]

    @property
    def _accepted_path(self) -> Path:
        return self.folder / "accepted.json"

    def _record_path(self, output: Path) -> Path:
        name = hashlib.sha256(str(output.resolve()).encode(errors="surrogateescape")).hexdigest()
        return self.folder / f"{name[:24]}.written"


def file_state(path: Path) -> list[str]:
    """Return the size of a file in bytes, and a checksum of its content.

    A copy of an output is still that output, and an edit within the same tick of the clock is not.
    Image stacks and other files over 64 MiB would take long to read again at each start: for these,
    the modification time stands in for the checksum.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_CHECKED_BYTES:
        return [str(status.st_size), str(status.st_mtime_ns)]
    with path.open("rb") as file:
        return [str(status.st_size), hashlib.file_digest(file, "blake2b").hexdigest()[:32]]


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
