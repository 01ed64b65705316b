"""Micrographs and labels that the options of a command name.

- `find_images`: micrographs of a command, also by patterns that no shell has expanded.
- `report_failures`: exit status after a batch.
- `LabelledImages`, `read_labelled_images`: micrographs with labels.
- `split_for_testing`: training and test micrographs.
"""

import glob
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.tables import read_tables
from cryopick.errors import FormatError, InputError
from cryopick.evaluate.set_operations import fold
from cryopick.io.inputs import find_micrographs
from cryopick.io.names import MICROGRAPH_SUFFIXES, find_listed_file, micrograph_stem
from cryopick.picks import Picks
from cryopick.runs.text_files import read_name_list

__all__ = [
    "LabelledImages",
    "find_images",
    "read_labelled_images",
    "report_failures",
    "split_for_testing",
]


def find_images(words: Sequence[str]) -> list[Path]:
    """List the micrographs, each once; a missing file fails later on its own.

    Patterns that no shell has expanded and folders stand for the micrographs in them.

    Raises:
        InputError: Nothing matches a pattern, or a folder holds no micrograph.
    """
    paths: list[Path] = []
    for word in words:
        path = Path(word)
        is_pattern = glob.has_magic(word) and not path.exists()
        paths += find_micrographs([word]) if is_pattern or path.is_dir() else [path]
    if not paths:
        raise InputError("no micrographs given; add files, a pattern or a folder")
    return list(dict.fromkeys(paths))


def report_failures(count: int, failures: Sequence[Exception], kind: str = "micrographs") -> int:
    """Report the failures of a batch, one per line, and return the exit status."""
    for error in failures:
        report(f"skipped {' '.join(str(error).split())}")
    if failures:
        report(f"{len(failures)} of {count} {kind} could not be used; the others are processed")
    return 1 if failures else 0


@dataclass(frozen=True)
class LabelledImages:
    """Micrographs with labels.

    Attributes:
        paths: Paths of the micrographs by their names in tables.
        labels: Labels on them, with the same names; some may have none.
    """

    paths: Mapping[str, Path]
    labels: Picks

    def select(self, names: tuple[str, ...]) -> "LabelledImages":
        """Select micrographs by name."""
        return LabelledImages({n: self.paths[n] for n in names}, self.labels.restrict(names))

    def name_by_path(self) -> Picks:
        """Name the labels by the paths of the micrographs."""
        return self.labels.rename({name: str(path) for name, path in self.paths.items()})


def read_labelled_images(images: str, targets: str, values: Namespace) -> LabelledImages:
    """Read a list or folder of micrographs and a table of labels.

    Raises:
        InputError: A file is missing, or no label lies on one of the micrographs.
        FormatError: The list has no column of paths, or a name twice.
    """
    paths = _list_micrographs(Path(images), values.image_ext)
    table = read_tables([targets], values.format)
    labels = table.restrict(list(paths))
    if not len(labels):
        raise InputError(
            f"{targets}: none of its {len(table)} particles lies on one of the {len(paths)} "
            f"micrographs of {images}, such as {next(iter(paths))}"
        )
    if len(labels) < len(table):
        report(f"# ignored {len(table) - len(labels)} particles on micrographs not in {images}")
    return LabelledImages(paths, labels)


def split_for_testing(
    values: Namespace, training: LabelledImages
) -> tuple[LabelledImages, LabelledImages | None]:
    """Return training and test micrographs; without a test set, None.

    Raises:
        InputError: As for `read_labelled_images`, or the fold does not exist.
    """
    if values.test_images and values.test_targets:
        return training, read_labelled_images(values.test_images, values.test_targets, values)
    if values.k_fold < 2:
        return training, None
    names = [name for name, rows in training.labels.rows_by_micrograph().items() if len(rows)]
    if values.k_fold > len(names) or not 0 <= values.fold < values.k_fold:
        raise InputError(
            f"--k-fold {values.k_fold} --fold {values.fold}: expected at most {len(names)} folds, "
            "the number of labelled micrographs, and a fold number from 0"
        )
    sides = fold(names, values.k_fold, values.cross_validation_seed)[values.fold]
    test_names = set(sides.test)
    training_names = tuple(name for name in training.paths if name not in test_names)
    return training.select(training_names), training.select(sides.test)


def _list_micrographs(source: Path, image_ext: str) -> dict[str, Path]:
    """List micrographs by name, from a folder or a list `image_name path`."""
    if source.is_dir():
        endings = (image_ext,) if image_ext else MICROGRAPH_SUFFIXES
        files = sorted(path for path in source.iterdir() if path.name.endswith(endings))
        if not files:
            raise InputError(f"{source}: no micrograph ({' '.join(endings)}) in this folder")
        pairs = [(micrograph_stem(path.name), path) for path in files]
    else:
        lines = [line.split("\t") for line in read_name_list(source)]
        header = [cell.strip() for cell in lines[0]] if lines else []
        if "path" not in header:
            raise FormatError(f"{source}: expected a list with the columns image_name and path")
        path_column, name_column = (
            header.index("path"),
            header.index("image_name") if len(header) > 1 else None,
        )
        folders = (Path(), source.parent)
        pairs = []
        for cells in lines[1:]:
            path = find_listed_file(cells[path_column].strip(), folders, source)
            name = path.name if name_column is None else cells[name_column].strip()
            pairs.append((micrograph_stem(name), path))
    paths = dict(pairs)
    if len(paths) < len(pairs):
        raise FormatError(f"{source}: two micrographs have the same name; rename one")
    if not paths:
        raise InputError(f"{source}: the list is empty")
    return paths
