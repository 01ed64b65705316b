"""Check before training that labels lie on particles, and not on their mirror images.

The general model picks some labelled micrographs for the particle count anyway. Labels are
compared with its best picks, as they are and after the mistakes of other programs' conventions:
mirrored, x and y swapped, made at another binning or in ångströms, shifted like box corners. The
general model may not know the particle, so an alternative counts only if the labels hit the picks
much more often than they do now and than points beside them do.

- `check_labels`: find the alternative that fits much better, and count hits.
- `LabelCheck`: hits of the labels as they are, and the better alternative.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.picks import Picks

if TYPE_CHECKING:
    from scipy.spatial import KDTree

__all__ = ["LabelCheck", "check_labels"]

_RADIUS_DIAMETERS = 1 / 3  # between a label and the pick that it hits
_MAX_COVERAGE = 0.15  # of the micrographs' area, by the discs of the best picks
_MIN_LABELS = 8
_MAX_CHANCE = 1e-4  # of a better fit of the alternative by chance, over all alternatives
_MIN_RATIO = 1.5  # of hits of the alternative to hits now
_MIN_HITS_FRAC = 0.3  # of the labels, for the alternative
_MAX_SHIFT_DIAMETERS, _SHIFT_STEP_DIAMETERS = 2.0, 0.25
_MIN_SHIFT_DIAMETERS = 0.3  # less is an inaccurate label
_NEARBY_DIAMETERS = (1.0, 1.5, 2.0)  # distances of the points beside the labels
_DIRECTIONS = 12
_MIN_LABELS_FOR_DOUBT = 20
_DOUBTFUL_CHANCE = 0.05  # of as many hits by points beside the labels
_FACTORS = (2.0, 3.0, 4.0, 8.0)

Shape = tuple[int, int]


@dataclass(frozen=True)
class _Alternative:
    """A change of the labels: x and y swapped, scaled, shifted, then mirrored.

    Attributes:
        description: The change in words.
        fix: Advice on how to apply it.
    """

    description: str
    fix: str
    swap: bool = False
    scale: float = 1.0
    shift_px: tuple[float, float] = (0.0, 0.0)
    mirror_xy: tuple[bool, bool] = (False, False)

    def apply(
        self, xy_px: Float[np.ndarray, "labels 2"], shape: Shape
    ) -> Float[np.ndarray, "labels 2"]:
        """Change the labels of a micrograph of some height and width."""
        changed = (xy_px[:, ::-1] if self.swap else xy_px) * self.scale + self.shift_px
        last_xy = np.array([shape[1] - 1, shape[0] - 1])
        return np.where(self.mirror_xy, last_xy - changed, changed)


@dataclass(frozen=True)
class LabelCheck:
    """Result of the check.

    Attributes:
        labels: Number of labels, without duplicates.
        hits: Labels that hit one of the best picks of the general model.
        nearby_frac: Fraction of the points beside the labels that hit one.
        alternative: The change of the labels that fits much better; empty if there is none.
        alternative_hits: Hits of the changed labels.
        fix: Advice on how to apply the change.
    """

    labels: int
    hits: int
    nearby_frac: float
    alternative: str = ""
    alternative_hits: int = 0
    fix: str = ""

    @property
    def objection(self) -> str:
        """Describe the better alternative and its fix; empty if there is none."""
        if not self.alternative:
            return ""
        ratio = self.alternative_hits / max(self.hits, 1)
        return (
            f"the labels fit {ratio:.1f} times better {self.alternative}: "
            f"{self.alternative_hits} of {self.labels} labels then hit picks of the general "
            f"model, {self.hits} now; {self.fix}"
        )

    @property
    def doubt(self) -> str:
        """Describe that the labels hit no more picks than points beside them; empty if they do."""
        if self.objection or self.labels < _MIN_LABELS_FOR_DOUBT:
            return ""
        if _tail_probability(self.hits, self.labels, self.nearby_frac) <= _DOUBTFUL_CHANCE:
            return ""
        return (
            f"the labels hit picks of the general model no more often than points beside them "
            f"({self.hits} of {self.labels}); check the labels, the pixel size and --diameter-ang, "
            "or ignore this if the general model does not know such particles"
        )


def check_labels(
    picks: Picks,
    labels: Picks,
    shapes: Mapping[str, Shape],
    diameter_px: float,
    pixel_size_ang: float,
) -> LabelCheck:
    """Compare labels, and changes of them, with the best picks of the general model.

    Args:
        picks: Picks of the general model, down to a low score.
        labels: Labels on the same micrographs.
        shapes: Height and width of the micrographs by name, in raw pixels.
        diameter_px: Particle diameter in raw pixels.
        pixel_size_ang: Raw pixel size, for labels in ångströms.
    """
    groups = list(_group(picks, labels, shapes, diameter_px))
    number = sum(len(group.xy_px) for group in groups)
    unchanged = _Alternative("", "")
    hits = _count_hits(groups, unchanged)
    counts: dict[str, Any] = {
        "labels": number,
        "hits": hits,
        "nearby_frac": _nearby_frac(groups, unchanged, diameter_px),
    }
    if number < _MIN_LABELS:
        return LabelCheck(**counts)
    for alternatives in (_list_conventions(pixel_size_ang), list(_list_shifts(diameter_px))):
        alternative, best_hits = _find_best(groups, alternatives)
        rate = max((hits + 1) / (number + 2), _nearby_frac(groups, alternative, diameter_px))
        if _is_better(best_hits, number, rate, len(alternatives)):
            return LabelCheck(
                **counts,
                alternative=alternative.description,
                alternative_hits=best_hits,
                fix=alternative.fix,
            )
    return LabelCheck(**counts)


def _find_best(
    groups: "Sequence[_Group]", alternatives: "Sequence[_Alternative]"
) -> "tuple[_Alternative, int]":
    """Find the alternative with the most hits; of equals, the one with the most central shift."""
    hits = np.array([_count_hits(groups, alternative) for alternative in alternatives])
    best = np.flatnonzero(hits == hits.max())
    shifts_px = np.array([alternatives[index].shift_px for index in best.tolist()])
    central = int(np.argmin(np.linalg.norm(shifts_px - shifts_px.mean(axis=0), axis=1)))
    return alternatives[best.tolist()[central]], int(hits.max())


def _is_better(hits: int, number: int, rate: float, alternatives: int) -> bool:
    """Test if hits of the best alternative clearly exceed the rate of hits now and beside it."""
    return (
        hits >= number * max(_MIN_RATIO * rate, _MIN_HITS_FRAC)
        and alternatives * _tail_probability(hits, number, rate) < _MAX_CHANCE
    )


def _list_conventions(pixel_size_ang: float) -> list[_Alternative]:
    """List mistakes of orientation and unit."""
    edit = "correct the coordinates of the table"
    changes = [
        _Alternative(
            "with --invert-y",
            "apply `cryopick convert --invert-y` to the table",
            mirror_xy=(False, True),
        ),
        _Alternative("mirrored in x", edit, mirror_xy=(True, False)),
        _Alternative("rotated by 180 degrees", edit, mirror_xy=(True, True)),
        _Alternative("with x and y swapped", edit, swap=True),
        _Alternative("rotated by 90 degrees", edit, swap=True, mirror_xy=(True, False)),
        _Alternative("rotated by -90 degrees", edit, swap=True, mirror_xy=(False, True)),
    ]
    for scale in (*_FACTORS, *(1 / factor for factor in _FACTORS)):
        binning = f"apply `cryopick convert --scale {scale:.4g}` to the table"
        changes.append(_Alternative(f"with coordinates times {scale:.4g}", binning, scale=scale))
    if abs(pixel_size_ang - 1) > 0.05:  # almost the same as pixels
        to_px = 1 / pixel_size_ang
        advice = f"the coordinates are in ångströms; apply `cryopick convert --scale {to_px:.5g}`"
        changes.append(_Alternative(f"with coordinates times {to_px:.4g}", advice, scale=to_px))
    return changes


def _list_shifts(diameter_px: float) -> Iterator[_Alternative]:
    """List shifts by up to some diameters."""
    steps = round(_MAX_SHIFT_DIAMETERS / _SHIFT_STEP_DIAMETERS)
    offsets = np.arange(-steps, steps + 1) * _SHIFT_STEP_DIAMETERS * diameter_px
    shifts = [(float(x), float(y)) for x in offsets for y in offsets]
    for x, y in sorted(shifts, key=lambda shift: np.hypot(*shift)):
        if np.hypot(x, y) >= _MIN_SHIFT_DIAMETERS * diameter_px:
            yield _Alternative(
                f"shifted by about ({x:.0f}, {y:.0f}) pixels in x and y",
                "the table may hold corners of boxes instead of centres, or coordinates of other "
                "micrographs",
                shift_px=(x, y),
            )


@dataclass(frozen=True, eq=False)
class _Group:
    """Labels of one micrograph, with the tree of its best picks."""

    xy_px: Float[np.ndarray, "labels 2"]
    shape: Shape
    best_picks: "KDTree | None"
    radius_px: float = field(kw_only=True)

    def is_hit(self, xy_px: Float[np.ndarray, "points 2"]) -> Bool[np.ndarray, " points"]:
        """Test which points lie near one of the best picks."""
        if self.best_picks is None:
            return np.zeros(len(xy_px), bool)
        distance_px, _ = self.best_picks.query(xy_px, distance_upper_bound=self.radius_px)
        return np.isfinite(distance_px)


def _group(
    picks: Picks, labels: Picks, shapes: Mapping[str, Shape], diameter_px: float
) -> Iterator[_Group]:
    """Yield the labels of each labelled micrograph, without duplicates, and its best picks."""
    from scipy.spatial import KDTree

    pick_rows, label_rows = picks.rows_by_micrograph(), labels.rows_by_micrograph()
    names = [name for name in pick_rows if len(label_rows.get(name, ())) and name in shapes]
    radius_px = _RADIUS_DIAMETERS * diameter_px
    area_px = float(sum(shapes[name][0] * shapes[name][1] for name in names))
    number = int(_MAX_COVERAGE * area_px / (np.pi * radius_px**2))
    rows = np.concatenate([pick_rows[name] for name in names]) if names else np.zeros(0, int)
    best = set(rows[np.argsort(-picks.score[rows], kind="stable")[:number]].tolist())
    for name in names:
        chosen = [row for row in pick_rows[name].tolist() if row in best]
        tree = KDTree(picks.xy_px[chosen]) if chosen else None
        xy_px = np.unique(labels.xy_px[label_rows[name]], axis=0)
        yield _Group(xy_px, shapes[name], tree, radius_px=radius_px)


def _count_hits(groups: Sequence[_Group], alternative: _Alternative) -> int:
    return sum(
        int(group.is_hit(alternative.apply(group.xy_px, group.shape)).sum()) for group in groups
    )


def _nearby_frac(groups: Sequence[_Group], alternative: _Alternative, diameter_px: float) -> float:
    """Compute the fraction of hits among points one to two diameters beside the labels."""
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    ring = np.column_stack([np.cos(angles), np.sin(angles)]) * diameter_px
    offsets_px = np.concatenate([distance * ring for distance in _NEARBY_DIAMETERS])
    hits = [
        group.is_hit(
            (alternative.apply(group.xy_px, group.shape)[:, None] + offsets_px).reshape(-1, 2)
        )
        for group in groups
    ]
    return float(np.concatenate(hits).mean()) if hits else 0.0


def _tail_probability(hits: int, number: int, rate: float) -> float:
    """Compute the probability of at least this many hits at a rate, by chance."""
    from scipy.stats import binom

    return float(binom.sf(hits - 1, number, rate))
