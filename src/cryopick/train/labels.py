"""What a network learns from: micrographs with labels on some of them, and places that are none.

- `Labelled`: them, their labels, and how to part them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryopick.errors import InputError, SettingsError
from cryopick.evaluate.set_operations import hold_out
from cryopick.io.names import match_names
from cryopick.picks import Picks
from cryopick.runs.ledger import file_identity

__all__ = ["Labelled"]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Micrographs with labels.

    Attributes:
        paths: The micrographs, labelled or not.
        labels: The labels on them, named by `str(path)`.
        left_out: Labels that the table had on other micrographs.
        negatives: Places on them that are no particles, named likewise.
    """

    paths: tuple[Path, ...]
    labels: Picks
    left_out: int = 0
    negatives: Picks | None = None

    @classmethod
    def of(cls, paths: Sequence[Path], table: Picks, source: Path) -> "Labelled":
        """Find the micrographs that a table of labels means.

        Args:
            paths: The micrographs.
            table: The labels, on micrographs named as the user likes.
            source: The file the table is from, for messages.

        Raises:
            InputError: The table is empty, or no label lies on one of the micrographs.
            UnmatchedError: A name in the table may mean several micrographs.
        """
        if not len(table):
            raise InputError(f"{source}: the table holds no label; add some particles to it")
        labels = match_names(table, paths).picks
        if not len(labels):
            raise InputError(
                f"{source}: none of its {len(table)} labels lies on one of the {len(paths)} "
                f"micrographs: it names {table.micrographs[0]!r}, they are such as "
                f"{paths[0].name!r}; give the micrographs that were labelled"
            )
        return cls(paths=tuple(paths), labels=labels, left_out=len(table) - len(labels))

    def against(self, table: Picks, source: Path) -> "Labelled":
        """The same with a table of places that are no particles.

        Raises:
            InputError: None of them lies on one of the micrographs.
            UnmatchedError: A name in the table may mean several micrographs.
        """
        negatives = match_names(table, self.paths).picks
        if len(table) and not len(negatives):
            raise InputError(
                f"{source}: none of its {len(table)} negatives lies on one of the "
                f"{len(self.paths)} micrographs; give the micrographs that they are on"
            )
        return replace(self, negatives=negatives)

    def split(self, held_out_frac: float, seed: int) -> tuple["Labelled", "Labelled"]:
        """Part labelled micrographs into those to learn from and those to judge by.

        Unlabelled micrographs stay on the first side, where they still tell what is common.

        Raises:
            SettingsError: Either side would be left without a labelled micrograph.
        """
        labelled = [name for name, rows in self.labels.rows().items() if len(rows)]
        number = max(1, round(held_out_frac * len(labelled)))
        if not 0 < held_out_frac < 1 or number >= len(labelled):
            raise SettingsError(
                f"--held-out-frac {held_out_frac:g} of {len(labelled)} labelled micrographs "
                "leaves none to hold out or none to learn from; choose another, or label more"
            )
        chosen = set(hold_out(labelled, number, seed).test)
        sides = []
        for is_held in (False, True):
            paths = tuple(path for path in self.paths if (str(path) in chosen) is is_held)
            own = self.labels.restrict([name for name in labelled if (name in chosen) is is_held])
            sides.append(Labelled(paths=paths, labels=own))
        return replace(sides[0], left_out=self.left_out, negatives=self.negatives), sides[1]

    def identity(self) -> list[str]:
        """Lines that change when a micrograph or a label does."""
        names = [self.labels.micrographs[i] for i in self.labels.index]
        labels = zip(names, self.labels.xy_px.tolist(), strict=True)
        lines = [file_identity(path) for path in self.paths] + [f"{n} {xy}" for n, xy in labels]
        if self.negatives is not None:
            for name, own in self.negatives.by_micrograph():
                lines.append(f"not {name} {own.xy_px.tolist()}")
        return lines
