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
    """The micrographs that are meant, each once; a file that is missing fails later, by itself.

    A pattern that no shell has expanded, and a folder, stand for the micrographs in them.

    Raises:
        InputError: Nothing matches a pattern, or a folder holds no micrograph.
    """
    found: list[Path] = []
    for word in words:
        path = Path(word)
        is_pattern = glob.has_magic(word) and not path.exists()
        found += find_micrographs([word]) if is_pattern or path.is_dir() else [path]
    if not found:
        raise InputError("no micrograph was named; give files, a pattern or a folder")
    return list(dict.fromkeys(found))


def report_failures(count: int, failures: Sequence[Exception]) -> int:
    """The exit status of a batch of which some failed, each told on its line."""
    for error in failures:
        report(f"skipped {' '.join(str(error).split())}")
    if failures:
        report(f"{len(failures)} of {count} micrographs could not be used; the others are done")
    return 1 if failures else 0


@dataclass(frozen=True)
class LabelledImages:
    """Micrographs with labels.

    Attributes:
        paths: The micrographs by the names that tables give them.
        labels: Labels on them, under the same names; some may have none.
    """

    paths: Mapping[str, Path]
    labels: Picks

    def only(self, names: tuple[str, ...]) -> "LabelledImages":
        """Those of some names."""
        return LabelledImages({n: self.paths[n] for n in names}, self.labels.restrict(names))

    def by_path(self) -> Picks:
        """The labels under the paths of the micrographs."""
        return self.labels.rename({name: str(path) for name, path in self.paths.items()})


def read_labelled_images(images: str, targets: str, values: Namespace) -> LabelledImages:
    """Read a list or folder of micrographs and a table of labels.

    Raises:
        InputError: A file is missing, or no label lies on one of the micrographs.
        FormatError: The list has no column of paths, or a name twice.
    """
    paths = _listed(Path(images), values.image_ext)
    table = read_tables([targets], values.format)
    labels = table.restrict(list(paths))
    if not len(labels):
        raise InputError(
            f"{targets}: none of its {len(table)} particles lies on one of the {len(paths)} "
            f"micrographs of {images}, which are such as {next(iter(paths))}"
        )
    if len(labels) < len(table):
        report(f"# left out: {len(table) - len(labels)} particles on micrographs not in {images}")
    return LabelledImages(paths, labels)


def split_for_testing(
    values: Namespace, training: LabelledImages
) -> tuple[LabelledImages, LabelledImages | None]:
    """Learn from one part and judge by the other, if there is another.

    Raises:
        InputError: As for `read_labelled_images`, or the parts are no parts.
    """
    if values.test_images and values.test_targets:
        return training, read_labelled_images(values.test_images, values.test_targets, values)
    if values.k_fold < 2:
        return training, None
    names = [name for name, rows in training.labels.rows_by_micrograph().items() if len(rows)]
    if values.k_fold > len(names) or not 0 <= values.fold < values.k_fold:
        raise InputError(
            f"--k-fold {values.k_fold} --fold {values.fold}: expected at most the {len(names)} "
            "labelled micrographs as parts, and the number of one of them from 0"
        )
    sides = fold(names, values.k_fold, values.cross_validation_seed)[values.fold]
    held = set(sides.test)
    rest = tuple(name for name in training.paths if name not in held)
    return training.only(rest), training.only(sides.test)


def _listed(source: Path, image_ext: str) -> dict[str, Path]:
    """Micrographs by name: a folder's, or those of a list `image_name path`."""
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
        at, named = header.index("path"), header.index("image_name") if len(header) > 1 else None
        places = (Path(), source.parent)
        pairs = []
        for cells in lines[1:]:
            path = find_listed_file(cells[at].strip(), places, source)
            name = path.name if named is None else cells[named].strip()
            pairs.append((micrograph_stem(name), path))
    paths = dict(pairs)
    if len(paths) < len(pairs):
        raise FormatError(f"{source}: two micrographs have one name; name each by itself")
    if not paths:
        raise InputError(f"{source}: the list names no micrograph")
    return paths
