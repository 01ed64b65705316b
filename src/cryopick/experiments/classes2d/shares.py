"""The share of false positives by threshold: as the classes tell it, and as it is.

- `Shares`: both, for nested sets of picks.
- `write_shares`: them as a table.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryopick.evaluate.matching import match_picks
from cryopick.experiments.classes2d.relion import Classes
from cryopick.experiments.classes2d.rule import Verdict
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import match_names
from cryopick.picks import Picks
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.runs.atomic_write import atomic_write

__all__ = ["Shares", "write_shares"]


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The share of false positives by threshold, the strictest first.

    Attributes:
        threshold: Least score in each set.
        count: Images in each set.
        by_classes: Share of them in classes that are no particle.
        in_truth: Share of them that are no known particle; None where none are known.
    """

    threshold: tuple[float, ...]
    count: tuple[int, ...]
    by_classes: tuple[float, ...]
    in_truth: tuple[float, ...] | None

    @classmethod
    def of(
        cls,
        sets: Sequence[Classes],
        verdicts: Sequence[Sequence[Verdict]],
        thresholds: Sequence[float],
        truth: Picks | None,
        diameter_ang: float,
    ) -> "Shares":
        """Count images by the verdicts on their classes, and by known particles.

        Args:
            sets: Classes of nested sets, the strictest first.
            verdicts: What is said of each class of each.
            thresholds: Of each set.
            truth: Known particles, if any; an image is one within a third of the diameter.
            diameter_ang: Particle diameter.
        """
        real = [_unknown(own.picks, truth, diameter_ang) for own in sets] if truth else None
        return cls(
            threshold=tuple(thresholds),
            count=tuple(len(own.number) for own in sets),
            by_classes=tuple(_junk(own) for own in verdicts),
            in_truth=None if real is None else tuple(real),
        )


def write_shares(shares: Shares, path: Path) -> None:
    """Write one row for each set; a table of an earlier run is replaced."""
    real = shares.in_truth or ("",) * len(shares.count)
    rows = zip(shares.threshold, shares.count, shares.by_classes, real, strict=True)
    with atomic_write(path, overwrite=True) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("threshold", "particles", "false_by_classes", "false_in_truth"))
        for threshold, count, told, known in rows:
            shown = f"{known:.3f}" if isinstance(known, float) else ""
            table.writerow((f"{threshold:g}", count, f"{told:.3f}", shown))


def _junk(verdicts: Sequence[Verdict]) -> float:
    junk = sum(verdict.count for verdict in verdicts if not verdict.is_particle)
    return junk / max(1, sum(verdict.count for verdict in verdicts))


def _unknown(picks: Picks, truth: Picks, diameter_ang: float) -> float:
    """Share of the picks that are no known particle."""
    names = picks.micrographs
    known = match_names(truth, [Path(name) for name in names]).picks.restrict(names)
    first = Path(names[0])
    pixel_ang = raw_pixel_size(first, read_micrograph(first).pixel_size_ang)
    return float(1 - (match_picks(picks, known, diameter_ang / 3 / pixel_ang) >= 0).mean())
