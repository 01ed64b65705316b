"""Micrographs with labels, as the options of `train` name them.

- `LabelledImages`: micrographs by their names in the tables, and the labels on them.
- `labelled_images`, `part_for_testing`: what to learn from, and what to judge by.
"""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryopick.clients.topaz_cli.manners import say
from cryopick.clients.topaz_cli.tables import read_tables
from cryopick.errors import FormatError, InputError
from cryopick.evaluate.set_operations import fold
from cryopick.io.inputs import MICROGRAPH_SUFFIXES, look_up
from cryopick.io.names import stem_of
from cryopick.picks import Picks
from cryopick.runs.text_files import name_list

__all__ = ["LabelledImages", "labelled_images", "part_for_testing"]


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


def labelled_images(images: str, targets: str, values: Namespace) -> LabelledImages:
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
        say(f"# left out: {len(table) - len(labels)} particles on micrographs not in {images}")
    return LabelledImages(paths, labels)


def part_for_testing(
    values: Namespace, training: LabelledImages
) -> tuple[LabelledImages, LabelledImages | None]:
    """Learn from one part and judge by the other, if there is another.

    Raises:
        InputError: As for `labelled_images`, or the parts are no parts.
    """
    if values.test_images and values.test_targets:
        return training, labelled_images(values.test_images, values.test_targets, values)
    if values.k_fold < 2:
        return training, None
    names = [name for name, rows in training.labels.rows().items() if len(rows)]
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
        pairs = [(stem_of(path.name), path) for path in files]
    else:
        lines = [line.split("\t") for line in name_list(source)]
        header = [cell.strip() for cell in lines[0]] if lines else []
        if "path" not in header:
            raise FormatError(f"{source}: expected a list with the columns image_name and path")
        at, named = header.index("path"), header.index("image_name") if len(header) > 1 else None
        places = (Path(), source.parent)
        pairs = []
        for cells in lines[1:]:
            path = look_up(cells[at].strip(), places, source)
            name = path.name if named is None else cells[named].strip()
            pairs.append((stem_of(name), path))
    paths = dict(pairs)
    if len(paths) < len(pairs):
        raise FormatError(f"{source}: two micrographs have one name; name each by itself")
    if not paths:
        raise InputError(f"{source}: the list names no micrograph")
    return paths
