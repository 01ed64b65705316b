"""Fraction of false positives by threshold, estimated from 2D classes and from true particles.

- `FalsePositiveRates`: both fractions, for nested sets of picks.
- `estimate_false_positives`: computes them.
- `write_false_positives`: writes them to a table.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryopick.evaluate.matching import match_picks
from cryopick.experiments.classes2d.relion import ClassAssignment
from cryopick.experiments.classes2d.rule import ClassVerdict, has_collapsed
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import match_names
from cryopick.picks import Picks
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.runs.atomic_write import atomic_write

__all__ = ["FalsePositiveRates", "estimate_false_positives", "write_false_positives"]


@dataclass(frozen=True, kw_only=True)
class FalsePositiveRates:
    """Fraction of false positives in nested sets of picks, the strictest first.

    Attributes:
        threshold: Minimum score of each set.
        count: Number of images in each set.
        by_classes: Fraction of the images in junk classes; NaN where nearly all images are in
            one or few classes, the largest without a verdict of a person: such a classification
            says nothing.
        in_truth: Fraction of the images that match no true particle; None without truth.
    """

    threshold: tuple[float, ...]
    count: tuple[int, ...]
    by_classes: tuple[float, ...]
    in_truth: tuple[float, ...] | None


def estimate_false_positives(
    sets: Sequence[ClassAssignment],
    verdicts: Sequence[Sequence[ClassVerdict]],
    thresholds: Sequence[float],
    truth: Picks | None,
    diameter_ang: float,
) -> FalsePositiveRates:
    """Estimate the fraction of false positives from the classes and, if given, from the truth.

    Args:
        sets: Classes of nested sets, the strictest first.
        verdicts: Verdict on each class of each set.
        thresholds: Minimum score of each set.
        truth: True particles; a pick within a third of the diameter of one is correct.
        diameter_ang: Particle diameter.
    """
    in_truth = None
    if truth:
        in_truth = tuple(_unmatched_fraction(subset.picks, truth, diameter_ang) for subset in sets)
    return FalsePositiveRates(
        threshold=tuple(thresholds),
        count=tuple(len(subset.number) for subset in sets),
        by_classes=tuple(_junk_fraction(set_verdicts) for set_verdicts in verdicts),
        in_truth=in_truth,
    )


def write_false_positives(rates: FalsePositiveRates, path: Path) -> None:
    """Write one row per set as tab-separated text; an existing file is replaced."""
    in_truth = rates.in_truth or (None,) * len(rates.count)
    rows = zip(rates.threshold, rates.count, rates.by_classes, in_truth, strict=True)
    with atomic_write(path, overwrite=True) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("threshold", "particles", "false_by_classes", "false_in_truth"))
        for threshold, count, by_classes, true_fraction in rows:
            truth_text = "" if true_fraction is None else f"{true_fraction:.3f}"
            classes_text = "" if math.isnan(by_classes) else f"{by_classes:.3f}"
            table.writerow((f"{threshold:g}", count, classes_text, truth_text))


def _junk_fraction(verdicts: Sequence[ClassVerdict]) -> float:
    largest = max(verdicts, key=lambda verdict: verdict.count)
    if has_collapsed(verdicts) and largest.by_person is None:
        return math.nan
    junk = sum(verdict.count for verdict in verdicts if not verdict.is_particle)
    return junk / max(1, sum(verdict.count for verdict in verdicts))


def _unmatched_fraction(picks: Picks, truth: Picks, diameter_ang: float) -> float:
    """Return the fraction of the picks that match no true particle."""
    names = picks.micrographs
    particles = match_names(truth, [Path(name) for name in names]).picks.restrict(names)
    first_path = Path(names[0])
    pixel_size_ang = raw_pixel_size(first_path, read_micrograph(first_path).pixel_size_ang)
    radius_px = diameter_ang / 3 / pixel_size_ang
    return float(1 - (match_picks(picks, particles, radius_px) >= 0).mean())
