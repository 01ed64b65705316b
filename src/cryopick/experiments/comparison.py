"""Means, spreads and paired tests of many runs.

Runs that differ in nothing but labels and repeat belong to one way of learning, which is named
by the fields in which it differs from the others: "ge-kl", "ge-binomial, autoencoder 10/N".

- `compare`: records as a comparison.
- `Comparison`, `Cell`: the ways, and one way at one place along the axis.
"""

import math
import statistics
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryopick.errors import SettingsError
from cryopick.experiments.results import Record
from cryopick.train.objectives import OBJECTIVES

__all__ = ["MEASURES", "Axis", "Cell", "Comparison", "Measure", "compare"]

Axis = Literal["labels", "prior_factor"]
Measure = Literal["region_average_precision", "particle_average_precision"]
MEASURES: tuple[Measure, ...] = ("region_average_precision", "particle_average_precision")

# Fields that name a way by their value alone; the others by "name value".
_BY_VALUE = ("objective", "normalization")
_FIRST = (
    "objective",
    "init",
    "prior_factor",
    "autoencoder",
    "normalization",
    "penalty_weight",
    "warm_up_steps",
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One way of learning at one place along the axis.

    Attributes:
        way: Its name.
        at: The place: the number of labels, or the factor of the prior.
        values: What each repeat gave, by repeat; where several numbers of labels are taken
            together, by both.
        mean: Of the values.
        spread: Their standard deviation; NaN for a single one.
        p_value: Of the two-sided paired t test against the way of reference, over the repeats
            that both have; NaN for less than two of them and for the reference itself.
        gain: Mean difference from the reference over the same repeats; NaN likewise.
    """

    way: str
    at: float
    values: Mapping[tuple[int, int], float]
    mean: float
    spread: float
    p_value: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ways of learning side by side on one data set.

    Attributes:
        name: Of the data set.
        axis: What runs along the table.
        reference: The way that others are tested against.
        ways: Their names, the reference among them, in the order of their fields.
        cells: For each measure, cells by way and place.
    """

    name: str
    axis: Axis
    reference: str
    ways: tuple[str, ...]
    cells: Mapping[Measure, tuple[Cell, ...]]

    def cell(self, measure: Measure, way: str, at: float) -> Cell | None:
        """The cell of a way at a place, if it was run."""
        return next((c for c in self.cells[measure] if c.way == way and c.at == at), None)

    @property
    def places(self) -> tuple[float, ...]:
        """Places along the axis that any way was run at."""
        return tuple(sorted({cell.at for cell in self.cells[MEASURES[0]]}))


def compare(
    records: Sequence[Record], *, name: str, axis: Axis = "labels", against: str | None = None
) -> Comparison:
    """Compare the ways of learning that the records are of.

    Args:
        records: Of one data set.
        name: Of the data set.
        axis: What runs along the table; runs that differ in it alone are one way.
        against: Name of the way of reference; None takes "ge-binomial", or the first.

    Raises:
        SettingsError: There is no such way, or two records are of the same run.
    """
    records = sorted(records, key=_rank)
    names = _names(records, axis)
    groups: dict[str, list[Record]] = defaultdict(list)
    for record, way in zip(records, names, strict=True):
        groups[way].append(record)
    ways = tuple(groups)
    reference = against or ("ge-binomial" if "ge-binomial" in groups else ways[0])
    if reference not in groups:
        raise SettingsError(f"no way of learning is named {reference!r}; there are {_listed(ways)}")
    cells: dict[Measure, tuple[Cell, ...]] = {}
    for measure in MEASURES:
        values = {way: _values(own, axis, measure) for way, own in groups.items()}
        cells[measure] = tuple(
            _cell(way, at, own, values[reference].get(at, {}) if way != reference else {})
            for way in ways
            for at, own in sorted(values[way].items())
        )
    return Comparison(name=name, axis=axis, reference=reference, ways=ways, cells=cells)


def _rank(record: Record) -> tuple[tuple[float, str], ...]:
    """Objectives in the order of their table, then the values of the fields."""
    table = record.fields()
    order = {name: float(number) for number, name in enumerate(OBJECTIVES)}
    ranks = []
    for name in _FIRST:
        value = table.get(name)
        number = value if isinstance(value, float) else order.get(str(value), math.inf)
        ranks.append((number, str(value)))
    return tuple(ranks)


def _values(
    records: Sequence[Record], axis: Axis, measure: Measure
) -> dict[float, dict[tuple[int, int], float]]:
    """Values by place, then by number of labels and repeat.

    Raises:
        SettingsError: Two records are of the same run.
    """
    table: dict[float, dict[tuple[int, int], float]] = defaultdict(dict)
    for record in records:
        own = table[float(getattr(record, axis))]
        key = (record.labels, record.repeat)
        if key in own:
            raise SettingsError(
                f"two runs of {record.labels} labels, repeat {record.repeat}, differ in their "
                "seed alone; remove one of them"
            )
        own[key] = getattr(record, measure)
    return table


def _cell(
    way: str,
    at: float,
    values: Mapping[tuple[int, int], float],
    others: Mapping[tuple[int, int], float],
) -> Cell:
    from scipy.stats import ttest_rel

    own = list(values.values())
    both = [key for key in values if key in others]
    ours, theirs = [values[key] for key in both], [others[key] for key in both]
    gain, p_value = math.nan, math.nan
    if len(both) > 1:
        gain = statistics.mean(ours) - statistics.mean(theirs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of differences that are all equal
            p_value = 1.0 if ours == theirs else float(ttest_rel(ours, theirs).pvalue)
    return Cell(
        way=way,
        at=at,
        values=values,
        mean=statistics.mean(own),
        spread=statistics.stdev(own) if len(own) > 1 else math.nan,
        p_value=p_value,
        gain=gain,
    )


def _names(records: Sequence[Record], axis: Axis) -> list[str]:
    """For each record the name of its way: as few fields as tell all ways apart.

    A field is passed over where the fields before it tell the same.
    """
    tables = [record.fields() for record in records]
    known = {name for table in tables for name in table} - {axis}
    order = [name for name in _FIRST if name in known]
    order += sorted(known - set(order))
    parts: list[tuple[Any, ...]] = [()] * len(tables)
    chosen: list[str] = []
    for name in order:
        finer = [(*part, str(t.get(name))) for part, t in zip(parts, tables, strict=True)]
        if len(set(finer)) > len(set(parts)):
            parts = finer
            chosen.append(name)
    if not chosen:
        return [str(table["objective"]) for table in tables]
    return [_name(table, chosen) for table in tables]


def _name(table: Mapping[str, Any], chosen: Sequence[str]) -> str:
    words = []
    for field in chosen:
        value = table.get(field)
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        words.append(shown if field in _BY_VALUE else f"{field.replace('_', ' ')} {shown}")
    return ", ".join(words)


def _listed(ways: Sequence[str]) -> str:
    return "; ".join(repr(way) for way in ways)
