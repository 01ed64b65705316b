"""Labelled micrographs: the input of a training.

- `LabelledMicrographs`: micrographs, labels and negative labels; matching and splitting them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryopick.errors import InputError, SettingsError
from cryopick.evaluate.set_operations import hold_out
from cryopick.evaluate.spacing import merge_duplicates
from cryopick.io.names import match_names
from cryopick.picks import Picks
from cryopick.runs.checksums import checksum_micrographs, checksum_text
from cryopick.runs.ledger import identify_files
from cryopick.train.label_extent import select_inside

__all__ = ["LabelledMicrographs"]


@dataclass(frozen=True, kw_only=True)
class LabelledMicrographs:
    """Micrographs with labels on some of them.

    Attributes:
        paths: The micrographs, labelled or not.
        labels: The labels on them, named by `str(path)`.
        unmatched_labels: Number of labels in the table that lie on other micrographs.
        negatives: Negative labels on them, named likewise.
        duplicate_labels: Number of labels merged with another one at the same place.
        outside_labels: Number of labels outside their micrograph, which are ignored.
    """

    paths: tuple[Path, ...]
    labels: Picks
    unmatched_labels: int = 0
    negatives: Picks | None = None
    duplicate_labels: int = 0
    outside_labels: int = 0

    @classmethod
    def from_table(cls, paths: Sequence[Path], table: Picks, source: Path) -> "LabelledMicrographs":
        """Match the micrographs of a table of labels to files.

        Args:
            paths: The micrographs.
            table: The labels, with any names that identify the micrographs.
            source: File of the table, for messages.

        Raises:
            InputError: The table is empty, no label lies on one of the micrographs, or many lie
                outside them, as labels of differently binned micrographs do.
            UnmatchedError: A name in the table may mean several micrographs.
        """
        if not len(table):
            raise InputError(f"{source}: the table contains no labels; add some particles to it")
        labels = match_names(table, paths).picks
        if not len(labels):
            raise InputError(
                f"{source}: none of the {len(table)} labels lies on one of the {len(paths)} "
                f"micrographs: the table names {table.micrographs[0]!r}, the micrographs are "
                f"named like {paths[0].name!r}; give the micrographs that were labelled"
            )
        distinct = merge_duplicates(labels)
        inside = select_inside(distinct, paths, source)
        return cls(
            paths=tuple(paths),
            labels=inside,
            unmatched_labels=len(table) - len(labels),
            duplicate_labels=len(labels) - len(distinct),
            outside_labels=len(distinct) - len(inside),
        )

    def with_negatives(self, table: Picks, source: Path) -> "LabelledMicrographs":
        """Return a copy with negative labels from a table.

        Args:
            table: The negative labels, with any names that identify the micrographs.
            source: File of the table, for messages.

        Raises:
            InputError: None of them lies on one of the micrographs, or many lie outside them.
            UnmatchedError: A name in the table may mean several micrographs.
        """
        negatives = match_names(table, self.paths).picks
        if len(table) and not len(negatives):
            raise InputError(
                f"{source}: none of the {len(table)} negative labels lies on one of the "
                f"{len(self.paths)} micrographs; give the micrographs that were labelled"
            )
        negatives = select_inside(negatives, self.paths, source, noun="negative labels")
        return replace(self, negatives=negatives)

    def split(
        self, held_out_frac: float, seed: int
    ) -> tuple["LabelledMicrographs", "LabelledMicrographs"]:
        """Split the labelled micrographs at random into a training set and a held-out set.

        Unlabelled micrographs stay in the training set.

        Raises:
            SettingsError: Either set would contain no labelled micrograph.
        """
        labelled = [name for name, rows in self.labels.rows_by_micrograph().items() if len(rows)]
        number = max(1, round(held_out_frac * len(labelled)))
        if not 0 < held_out_frac < 1 or number >= len(labelled):
            raise SettingsError(
                f"--held-out-frac {held_out_frac:g} of {len(labelled)} labelled micrographs "
                "leaves none to hold out or none to train on; choose another fraction, or label "
                "more micrographs"
            )
        chosen = set(hold_out(labelled, number, seed).test)
        sides = []
        for is_held_out in (False, True):
            paths = tuple(path for path in self.paths if (str(path) in chosen) is is_held_out)
            names = [name for name in labelled if (name in chosen) is is_held_out]
            sides.append(LabelledMicrographs(paths=paths, labels=self.labels.restrict(names)))
        training = replace(
            sides[0],
            unmatched_labels=self.unmatched_labels,
            negatives=self.negatives,
            duplicate_labels=self.duplicate_labels,
            outside_labels=self.outside_labels,
        )
        return training, sides[1]

    def collect_checksums(self) -> dict[str, str]:
        """Return checksums of the micrographs and labels that do not depend on their folders."""
        names = [Path(self.labels.micrographs[i]).name for i in self.labels.index]
        rows = zip(names, self.labels.xy_px.tolist(), strict=True)
        return {
            "micrographs": checksum_micrographs(self.paths),
            "labels": checksum_text("".join(f"{name}\t{x!r}\t{y!r}\n" for name, (x, y) in rows)),
        }

    def identity_lines(self) -> list[str]:
        """Return lines of text that change when a micrograph or a label changes."""
        names = [self.labels.micrographs[i] for i in self.labels.index]
        labels = zip(names, self.labels.xy_px.tolist(), strict=True)
        lines = [*identify_files(self.paths), *(f"{n} {xy}" for n, xy in labels)]
        if self.negatives is not None:
            for name, table in self.negatives.split_by_micrograph():
                lines.append(f"not {name} {table.xy_px.tolist()}")
        return lines
