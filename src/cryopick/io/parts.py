"""Results of single items of long work, kept on disk until the whole is done.

Work that was cut off goes on where it stopped, and what it ends with is what it would have
ended with: an item counts as done once its part is complete.

- `Parts`: the parts of one piece of work.
- `file_identity`: a text that changes when a file does.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from cryopick.errors import OutputExistsError
from cryopick.io.files import whole

__all__ = ["Parts", "file_identity"]

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


def file_identity(path: Path) -> str:
    """Name a file as it is now: where it lies, how long it is, when it was last written."""
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of one piece of work, in a hidden folder beside its output.

    Attributes:
        folder: Where parts lie; those of other work on the same output lie there too.
        work: What the work is: everything but the item that its results depend on.
    """

    folder: Path
    work: str

    @classmethod
    def beside(cls, output: Path, work: Iterable[str]) -> "Parts":
        """Place parts beside a file or folder that is to be written."""
        text = "\n".join(work)
        return cls(
            folder=output.with_name(f".{output.name}.parts"),
            work=hashlib.sha256(text.encode()).hexdigest()[:16],
        )

    @property
    def _own(self) -> Path:
        return self.folder / self.work

    def begin(self, outputs: Iterable[Path], *, overwrite: bool, kept: bool = False) -> bool:
        """Begin the work, or go on with it if it was cut off.

        Args:
            outputs: The files that it will write.
            overwrite: Replace those that exist before it begins.
            kept: Parts of finished work were kept, and there may be more items now. What they
                were written to is this work's own.

        Returns:
            Whether it goes on.

        Raises:
            OutputExistsError: An output exists, was not to be replaced, and is not of this
                same work, cut off.
        """
        if self._own.is_dir():
            return True
        existing = [path for path in outputs if path.exists()]
        if existing and not overwrite and not (kept and self.folder.is_dir()):
            raise OutputExistsError(
                f"{existing[0]}: exists already; replace it with --force or name another"
            )
        self._own.mkdir(parents=True)
        return False

    def once(self, item: str, make: Callable[[], Arrays]) -> Arrays:
        """The result of an item: the one kept, or a new one, which is then kept.

        Args:
            item: Text that tells the item from all others.
            make: Makes its result; files that it writes must be whole when it returns.
        """
        name = hashlib.sha256(item.encode()).hexdigest()[:24]
        part = self._own / f"{name}.npz"
        if part.exists():
            with np.load(part, allow_pickle=False) as kept:
                return dict(kept)
        made = make()
        with whole(part) as temporary:
            np.savez(temporary, allow_pickle=False, **made)
        return made

    def remove(self) -> None:
        """End the work: drop all parts for this output."""
        shutil.rmtree(self.folder, ignore_errors=True)
