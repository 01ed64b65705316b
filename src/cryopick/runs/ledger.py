"""Ledger of a long batch: the results of finished items.

An interrupted batch resumes where it stopped and ends with the same output as an uninterrupted
one; an item counts as done once its result file is complete. A finished batch leaves an archive
of its results, so that the same batch with more files processes only the new ones. Decision 0010
says why results are files.

- `Ledger`: results of one batch.
- `read_unfinished`: results of a batch in progress.
- `identify_file`, `identify_files`: text that changes when a file does.
"""

import hashlib
import json
import os
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
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.listed_path import listed_pixel_size
from cryopick.runs.lock import exclusive_lock
from cryopick.runs.output_records import OutputRecords, file_state

__all__ = ["Ledger", "identify_file", "identify_files", "read_unfinished"]

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

# Additional arrays of a result file: the input file, and the state of the output file.
_INPUT_KEY, _OUTPUT_KEY = "file_read", "file_written"
_DESCRIPTION = "about.json"
_DAMAGE_ERRORS = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RecursionError),
    *(zipfile.BadZipFile, zlib.error),
)


def identify_file(path: Path) -> str:
    """Identify a file by its path, size, modification time and the pixel size that a list states.

    Raises:
        InputError: The file is missing or cannot be accessed.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    size_ang = listed_pixel_size(path)
    size_text = "" if size_ang is None else f" {size_ang:g}"
    return f"{os.path.realpath(path)} {stat.st_size} {stat.st_mtime_ns}{size_text}"


def identify_files(paths: Iterable[Path]) -> list[str]:
    """Identify files; one that cannot be accessed, which its reader reports, by its path alone."""
    identities = {path: str(path) for path in paths}
    for path in identities:
        with suppress(InputError):
            identities[path] = identify_file(path)
    return list(identities.values())


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Results of one batch, stored beside its output.

    During the batch, results are files in a hidden folder, each written atomically, so that a crash
    or a file system without locks can damage no more than the current item. At the end they are
    packed into one hidden archive.

    Attributes:
        output: Final output of the batch.
        work: Hash of everything, except the item, that the results depend on.
    """

    output: Path
    work: str
    _identities: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def for_output(cls, output: Path, work: Iterable[str]) -> "Ledger":
        """Create the ledger beside the file or folder that the batch will write.

        Args:
            output: Final output.
            work: Texts that describe everything the results depend on, such as the settings.
        """
        text = "\n".join([version("cryopick"), *work])
        absolute_output = output if output.name not in ("", "..") else output.resolve()
        return cls(output=absolute_output, work=hashlib.sha256(text.encode()).hexdigest()[:16])

    @property
    def folder(self) -> Path:
        """Folder of the results; other batches with the same output use it too."""
        return self.output.with_name(f".{self.output.name}.parts")

    @property
    def archive(self) -> Path:
        """File of packed results that remains after the batch."""
        return self.output.with_name(f".{self.output.name}.done")

    @property
    def _batch_folder(self) -> Path:
        return self.folder / self.work

    @contextmanager
    def start(
        self,
        outputs: Iterable[Path],
        *,
        overwrite: bool,
        inputs: Iterable[Path] = (),
        keep: bool = True,
    ) -> Iterator[str]:
        """Start or resume the batch; finish it when the block ends.

        If the block raises, finished results stay for the next run.

        Args:
            outputs: Files that the batch will write.
            overwrite: Overwrite outputs that exist before the batch starts.
            inputs: Input files. Later runs may add files; if one that was used is missing, existing
                outputs are not overwritten without `overwrite`.
            keep: Keep the archive of results at the end.

        Yields:
            Description of what is resumed; empty for a new batch.

        Raises:
            OutputExistsError: An output exists, must not be overwritten, and was not written by
                this same batch or has changed since.
            BusyError: Another process is running a batch with this output.
        """
        output_paths, input_paths = list(outputs), list(inputs)
        self._record_identities(input_paths)
        with exclusive_lock(self.folder / "lock", str(self.output)):
            try:
                source = self._open(output_paths, input_paths, overwrite=overwrite)
                with self._records.record_writes(output_paths):
                    yield source
            except BaseException:
                self._remove_empty_folders()
                raise
            if keep:
                self._pack(output_paths)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _record_identities(self, inputs: Iterable[Path]) -> None:
        """Record the identity of the input files before any is read, possibly by prefetching."""
        for path in inputs:
            with suppress(InputError):  # reported when the file is read
                self._identities[path] = identify_file(path)

    def _open(self, outputs: list[Path], inputs: list[Path], *, overwrite: bool) -> str:
        description = self._read_description()
        is_unfinished = self._batch_folder.is_dir()
        if not overwrite:
            self._check_outputs(outputs, description)
            if not is_unfinished:
                self._check_inputs(inputs, outputs, description)
        source = f"the unfinished batch in {self.folder}" if is_unfinished else ""
        if not is_unfinished and description:
            source = self._unpack()
        self._records.accept(outputs)
        return source

    def _unpack(self) -> str:
        unpacked = self._batch_folder.with_suffix(".unpacked")
        shutil.rmtree(unpacked, ignore_errors=True)
        with zipfile.ZipFile(self.archive) as packed:
            packed.extractall(unpacked)
        unpacked.replace(self._batch_folder)
        return f"the finished results in {self.archive}"

    @property
    def _records(self) -> OutputRecords:
        return OutputRecords(self._batch_folder)

    def _check_outputs(self, outputs: list[Path], description: Mapping[str, Any]) -> None:
        """Check that outputs which exist were written by this batch and not changed since."""
        written = description.get("outputs", {})
        for path in self._records.list_changed(outputs):
            if written.get(str(path.resolve())) != file_state(path):
                raise OutputExistsError(
                    f"{path}: already exists; overwrite it with --force or choose another name"
                )

    def _check_inputs(
        self, inputs: list[Path], outputs: list[Path], description: Mapping[str, Any]
    ) -> None:
        """Check that the files which existing outputs were made from are still among the inputs."""
        input_names = {os.path.realpath(path) for path in inputs}
        missing_inputs = [name for name in description.get("inputs", ()) if name not in input_names]
        if missing_inputs and any(path.exists() for path in outputs):
            raise OutputExistsError(
                f"{self.output}: already exists, made from {len(missing_inputs)} files that are "
                f"missing now, such as {missing_inputs[0]}; add them, overwrite it with --force or "
                "choose another name"
            )

    def _read_description(self) -> dict[str, Any]:
        """Read the archive's description; empty if it is damaged or from another batch."""
        try:
            with zipfile.ZipFile(self.archive) as packed:
                description = dict(json.loads(packed.read(_DESCRIPTION)))
                if description["work"] == self.work and packed.testzip() is None:
                    return description
        except _DAMAGE_ERRORS:
            pass
        return {}

    def _remove_empty_folders(self) -> None:
        """Remove folders without results after a failure."""
        if not any(self._batch_folder.glob("*.npz")):
            shutil.rmtree(self._batch_folder, ignore_errors=True)
        if not any(path.is_dir() for path in self.folder.iterdir()):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _pack(self, outputs: list[Path]) -> None:
        sources = {}
        for path in sorted(self._batch_folder.glob("[!.]*.npz")):
            arrays = _load_arrays(path)
            if arrays is not None:
                sources[path] = str(arrays.get(_INPUT_KEY, ""))
        description = {
            "work": self.work,
            "inputs": sorted(set(sources.values()) - {""}),
            "outputs": {str(path.resolve()): file_state(path) for path in outputs if path.exists()},
        }
        with (
            atomic_write(self.archive, overwrite=True) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
        ):
            packed.writestr(_DESCRIPTION, json.dumps(description))
            for path in sources:
                packed.write(path, path.name)

    def compute_once(
        self,
        item: str,
        make: Callable[[], Arrays],
        *,
        reads: Path | None = None,
        writes: Path | None = None,
    ) -> Arrays:
        """Return the stored result of an item, or compute and store it.

        Args:
            item: Text that identifies the item, apart from the file it is computed from.
            make: Computes the result; files that it writes must be complete when it returns.
            reads: Input file of the item, if any; a changed size or modification time makes it
                another item.
            writes: Output file of the item, if any; the item is computed again if the file has
                changed since it was written.

        Raises:
            InputError: The input file is missing.
            MicrographError: The input file has changed since the batch started.
        """
        identity = "" if reads is None else self._identify(reads)
        part = self._result_path(item, identity)
        stored = _load_result(part, writes)
        if stored is not None:
            return stored
        with self._records.record_writes([] if writes is None else [writes]):
            computed = dict(make())
        if reads is not None and identify_file(reads) != identity:
            raise MicrographError(
                f"{reads}: has changed since this run began; run it again once it is complete"
            )
        notes = {} if reads is None else {_INPUT_KEY: np.array(os.path.realpath(reads))}
        notes |= {} if writes is None else {_OUTPUT_KEY: np.array(file_state(writes))}
        with atomic_write(part, overwrite=True) as temporary:
            np.savez(temporary, allow_pickle=False, **computed, **notes)
        return computed

    def list_missing(
        self, paths: Iterable[Path], item: str, writes: Mapping[Path, Path] | None = None
    ) -> list[Path]:
        """List the files for which an item has no result, in order.

        Args:
            paths: Input files.
            item: Item computed from each.
            writes: Output file of each, if any.
        """
        return [
            path
            for path in paths
            if not self.has_result(item, reads=path, writes=writes[path] if writes else None)
        ]

    def has_result(self, item: str, *, reads: Path, writes: Path | None = None) -> bool:
        """Check whether the item has been computed from the current content of a file."""
        try:
            part = self._result_path(item, self._identify(reads))
        except InputError:
            return False  # reported when the file is read
        return _load_result(part, writes) is not None

    def _identify(self, path: Path) -> str:
        return self._identities.get(path) or identify_file(path)

    def _result_path(self, item: str, identity: str) -> Path:
        key = f"{identity} {item}".encode(errors="surrogateescape")
        name = hashlib.sha256(key).hexdigest()[:24]
        return self._batch_folder / f"{name}.npz"


def read_unfinished(output: Path) -> list[tuple[str, Arrays]]:
    """Read the results that an unfinished batch has stored so far, with the input file of each.

    Args:
        output: Final output of the batch.
    """
    parts = output.with_name(f".{output.name}.parts").glob("*/[!.]*.npz")
    loaded = [arrays for part in sorted(parts) if (arrays := _load_arrays(part)) is not None]
    return [(str(arrays[_INPUT_KEY]), arrays) for arrays in loaded if _INPUT_KEY in arrays]


def _load_arrays(part: Path) -> dict[str, np.ndarray] | None:
    """Load the arrays of a result file; None if it is damaged."""
    try:
        with part.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except _DAMAGE_ERRORS:
        return None


def _load_result(part: Path, writes: Path | None) -> dict[str, np.ndarray] | None:
    """Load a result, unless the output file written with it has changed."""
    arrays = _load_arrays(part)
    if arrays is None:
        return None
    arrays.pop(_INPUT_KEY, None)
    written = arrays.pop(_OUTPUT_KEY, None)
    if writes is None:
        return arrays
    is_there = written is not None and writes.exists() and written.tolist() == file_state(writes)
    return arrays if is_there else None
