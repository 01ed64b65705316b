"""The ledger of long work: what is done, item by item, and what it gave.

Work that was cut off goes on where it stopped, and what it ends with is what it would have
ended with: an item counts as done once its part is complete. Work that ended leaves its ledger,
so that the same work on more files does only those. Decision 0010 says why parts are files.

- `Parts`: the parts of one piece of work.
- `file_identity`: a text that changes when a file does.
"""

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import InputError, MicrographError, OutputExistsError
from cryopick.runs.atomic_write import whole
from cryopick.runs.lock import alone

__all__ = ["Parts", "file_identity"]

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

# Names of what a part holds beside the result: the file it was made from, and the size and time
# of the one that was written.
_READ, _WRITTEN = "file_read", "file_written"
_ABOUT = "about.json"
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def file_identity(path: Path) -> str:
    """Name a file as it is now: where it lies, how long it is, when it was last written.

    Raises:
        InputError: It is not there, or cannot be looked at.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of one piece of work, beside its output.

    While the work goes on they are files in a hidden folder, each whole or not there, so that
    neither a kill nor a file system without locks can damage more than the item at hand. When
    it has ended they are packed into one hidden file.

    Attributes:
        output: What is written in the end.
        work: What the work is: everything but the item that its results depend on.
    """

    output: Path
    work: str
    _seen: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def beside(cls, output: Path, work: Iterable[str]) -> "Parts":
        """Place parts beside a file or folder that is to be written."""
        text = "\n".join([version("cryopick"), *work])
        named = output if output.name not in ("", "..") else output.resolve()
        return cls(output=named, work=hashlib.sha256(text.encode()).hexdigest()[:16])

    @property
    def folder(self) -> Path:
        """Where parts lie; those of other work on the same output lie there too."""
        return self.output.with_name(f".{self.output.name}.parts")

    @property
    def ledger(self) -> Path:
        """What is left of them when the work has ended."""
        return self.output.with_name(f".{self.output.name}.done")

    @property
    def _own(self) -> Path:
        return self.folder / self.work

    @contextmanager
    def begun(
        self,
        outputs: Iterable[Path],
        *,
        overwrite: bool,
        inputs: Iterable[Path] = (),
        keep: bool = True,
    ) -> Iterator[str]:
        """Begin the work, or go on with it; end it when the block does.

        When the block raises, what is done stays for the next time.

        Args:
            outputs: The files that it will write.
            overwrite: Replace those that exist before it begins.
            inputs: The files that it is given. They may become more from one time to the next;
                if one that was used is missing, what exists is not replaced unasked.
            keep: Leave the ledger at the end.

        Yields:
            What it goes on with, in words; nothing if it begins.

        Raises:
            OutputExistsError: An output exists, was not to be replaced, and is not of this
                same work.
            BusyError: Another process is at this very moment at work on it.
        """
        planned, given = list(outputs), list(inputs)
        self._look_at(given)
        with alone(self.folder / "lock", str(self.output)):
            try:
                yield self._open(planned, given, overwrite=overwrite)
            except BaseException:
                self._leave()
                raise
            if keep:
                self._pack(planned)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _look_at(self, inputs: Iterable[Path]) -> None:
        """Keep in mind what the files are before any of them is read, perhaps ahead of its turn."""
        for path in inputs:
            with suppress(InputError):  # whoever asks for it will be told
                self._seen[path] = file_identity(path)

    def _open(self, outputs: list[Path], inputs: list[Path], *, overwrite: bool) -> str:
        if self._own.is_dir():
            return f"the unfinished work in {self.folder}"
        about = self._about()
        if not overwrite:
            self._refuse_what_is_not_ours(outputs, inputs, about)
        if not about:
            self._own.mkdir(parents=True)
            return ""
        unpacked = self._own.with_suffix(".unpacked")
        shutil.rmtree(unpacked, ignore_errors=True)
        with zipfile.ZipFile(self.ledger) as packed:
            packed.extractall(unpacked)
        unpacked.replace(self._own)
        return f"what {self.ledger} says is done"

    def _refuse_what_is_not_ours(
        self, outputs: list[Path], inputs: list[Path], about: Mapping[str, Any]
    ) -> None:
        for path in outputs:
            if path.exists() and about.get("outputs", {}).get(str(path.resolve())) != _state(path):
                raise OutputExistsError(
                    f"{path}: exists already; replace it with --force or name another"
                )
        given = {str(path.resolve()) for path in inputs}
        left_out = [name for name in about.get("inputs", ()) if name not in given]
        if left_out and any(path.exists() for path in outputs):
            raise OutputExistsError(
                f"{self.output}: exists already, and was made from {len(left_out)} files that are "
                f"not given now, such as {left_out[0]}; give them too, replace it with --force or "
                "name another"
            )

    def _about(self) -> dict[str, Any]:
        """What the ledger says of its work; nothing where it is of other work, or damaged."""
        try:
            with zipfile.ZipFile(self.ledger) as packed:
                about = dict(json.loads(packed.read(_ABOUT)))
                if about["work"] == self.work and packed.testzip() is None:
                    return about
        except _DAMAGED:
            pass
        return {}

    def _leave(self) -> None:
        """After a failure: drop what is empty, so that nothing done leaves nothing behind."""
        if not any(self._own.glob("*.npz")):
            shutil.rmtree(self._own, ignore_errors=True)
        if not any(path.is_dir() for path in self.folder.iterdir()):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _pack(self, outputs: list[Path]) -> None:
        sources = {}
        for path in sorted(self._own.glob("[!.]*.npz")):
            part = _load(path)
            if part is not None:
                sources[path] = str(part.get(_READ, ""))
        about = {
            "work": self.work,
            "inputs": sorted(set(sources.values()) - {""}),
            "outputs": {str(path.resolve()): _state(path) for path in outputs if path.exists()},
        }
        with (
            whole(self.ledger, overwrite=True) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
        ):
            packed.writestr(_ABOUT, json.dumps(about))
            for path in sources:
                packed.write(path, path.name)

    def once(
        self,
        item: str,
        make: Callable[[], Arrays],
        *,
        reads: Path | None = None,
        writes: Path | None = None,
    ) -> Arrays:
        """The result of an item: the one kept, or a new one, which is then kept.

        Args:
            item: Text that tells the item from all others, save the file it is made from.
            make: Makes its result; files that it writes must be whole when it returns.
            reads: The file that it is made from, if any: another size or time of writing makes
                another item of it.
            writes: The file that it writes, if any: the item is made again where that is no
                longer as it was written.

        Raises:
            InputError: The file to read is not there.
            MicrographError: The file to read has changed since the work began.
        """
        identity = "" if reads is None else self._identity(reads)
        part = self._part(item, identity)
        kept = _kept(part, writes)
        if kept is not None:
            return kept
        made = dict(make())
        if reads is not None and file_identity(reads) != identity:
            raise MicrographError(
                f"{reads}: has changed since this run began; run it again once it is complete"
            )
        notes = {} if reads is None else {_READ: np.array(str(reads.resolve()))}
        notes |= {} if writes is None else {_WRITTEN: np.array(_state(writes))}
        with whole(part, overwrite=True) as temporary:
            np.savez(temporary, allow_pickle=False, **made, **notes)
        return made

    def missing(
        self, paths: Iterable[Path], item: str, writes: Mapping[Path, Path] | None = None
    ) -> list[Path]:
        """The files of which an item has not been made, in their order.

        Args:
            paths: The files to read.
            item: What was made of each.
            writes: For each the file that was written, if any.
        """
        return [
            path
            for path in paths
            if not self.has(item, reads=path, writes=writes[path] if writes else None)
        ]

    def has(self, item: str, *, reads: Path, writes: Path | None = None) -> bool:
        """Whether an item has been made of a file as it is now."""
        try:
            part = self._part(item, self._identity(reads))
        except InputError:
            return False  # whoever asks for it will be told
        return _kept(part, writes) is not None

    def _identity(self, path: Path) -> str:
        return self._seen.get(path) or file_identity(path)

    def _part(self, item: str, identity: str) -> Path:
        name = hashlib.sha256(f"{identity} {item}".encode()).hexdigest()[:24]
        return self._own / f"{name}.npz"


def _load(part: Path) -> dict[str, np.ndarray] | None:
    """What a part holds; a damaged one is none."""
    try:
        with part.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except _DAMAGED:
        return None


def _kept(part: Path, writes: Path | None) -> dict[str, np.ndarray] | None:
    """The result that a part holds, if what was written with it is still so."""
    kept = _load(part)
    if kept is None:
        return None
    kept.pop(_READ, None)
    written = kept.pop(_WRITTEN, None)
    if writes is None:
        return kept
    is_there = written is not None and writes.exists() and written.tolist() == _state(writes)
    return kept if is_there else None


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]
