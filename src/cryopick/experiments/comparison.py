"""Means, standard deviations and paired t-tests of training methods.

Trials that differ only in their labels and repeat belong to one method. A method is named by the
fields in which it differs from the others: "ge-kl", "ge-binomial, autoencoder 10/N".

- `compare_methods`: groups records by method, and tests the differences.
- `Comparison`, `ComparisonCell`: the table, and one cell of it.
"""

import math
import statistics
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryopick.errors import SettingsError
from cryopick.experiments.results import TrialRecord
from cryopick.train.objectives import OBJECTIVES

__all__ = ["MEASURES", "Axis", "Comparison", "ComparisonCell", "Measure", "compare_methods"]

Axis = Literal["labels", "prior_factor", "steps"]
Measure = Literal["region_average_precision", "particle_average_precision"]
MEASURES: tuple[Measure, ...] = ("region_average_precision", "particle_average_precision")

# Fields whose value alone appears in the name of a method; others appear as "field value".
_UNNAMED_FIELDS = ("objective", "normalization")
_FIELD_ORDER = (
    "objective",
    "init",
    "prior_factor",
    "autoencoder",
    "normalization",
    "penalty_weight",
    "warm_up_steps",
)


@dataclass(frozen=True, kw_only=True)
class ComparisonCell:
    """One method in one column.

    Attributes:
        method: Name of the method.
        column: Number of labels, prior factor or number of steps.
        values: Results of the trials, by number of labels and repeat.
        mean: Mean of the values.
        standard_deviation: Standard deviation of the values; NaN for a single value.
        p_value: P value of the two-sided paired t-test against the reference, over common
            repeats; NaN for fewer than two common repeats and for the reference.
        gain: Mean difference from the reference over the same repeats; NaN likewise.
    """

    method: str
    column: float
    values: Mapping[tuple[int, int], float]
    mean: float
    standard_deviation: float
    p_value: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of training methods on one data set.

    Attributes:
        name: Name of the data set.
        axis: Field that defines the columns.
        reference: Method against which the others are tested.
        methods: Names of all methods, in the order of their fields.
        cells: Cells of each measure, by method and column.
    """

    name: str
    axis: Axis
    reference: str
    methods: tuple[str, ...]
    cells: Mapping[Measure, tuple[ComparisonCell, ...]]

    def find_cell(self, measure: Measure, method: str, column: float) -> ComparisonCell | None:
        """Return the cell of a method in a column; None if there are no trials."""
        for cell in self.cells[measure]:
            if cell.method == method and cell.column == column:
                return cell
        return None

    @property
    def columns(self) -> tuple[float, ...]:
        """Columns in which any method has trials, in ascending order."""
        return tuple(sorted({cell.column for cell in self.cells[MEASURES[0]]}))


def compare_methods(
    records: Sequence[TrialRecord], *, name: str, axis: Axis = "labels", against: str | None = None
) -> Comparison:
    """Compare the training methods of the records.

    Args:
        records: Records of one data set.
        name: Name of the data set.
        axis: Field that defines the columns; it is not part of the methods.
        against: Name of the reference; None for "ge-binomial", or else the first method.

    Raises:
        SettingsError: The reference does not exist, or two records are of the same trial.
    """
    if axis == "steps":
        records = [one for record in records for one in record.evaluations() or [record]]
    records = sorted(records, key=_rank)
    groups: dict[str, list[TrialRecord]] = defaultdict(list)
    for record, method in zip(records, _name_methods(records, axis), strict=True):
        groups[method].append(record)
    methods = tuple(groups)
    reference = against or ("ge-binomial" if "ge-binomial" in groups else methods[0])
    if reference not in groups:
        choices = "; ".join(map(repr, methods))
        raise SettingsError(f"no method is named {reference!r}; choose one of {choices}")
    cells: dict[Measure, tuple[ComparisonCell, ...]] = {}
    for measure in MEASURES:
        tables = {method: _group_values(group, axis, measure) for method, group in groups.items()}
        cells[measure] = tuple(
            _compute_cell(
                method,
                column,
                values,
                tables[reference].get(column, {}) if method != reference else {},
            )
            for method in methods
            for column, values in sorted(tables[method].items())
        )
    return Comparison(name=name, axis=axis, reference=reference, methods=methods, cells=cells)


def _rank(record: TrialRecord) -> tuple[tuple[float, str], ...]:
    """Return a sort key: the order of the objectives, then the values of the other fields."""
    table = record.fields()
    order = {name: float(number) for number, name in enumerate(OBJECTIVES)}
    ranks = []
    for name in _FIELD_ORDER:
        value = table.get(name)
        number = value if isinstance(value, float) else order.get(str(value), math.inf)
        ranks.append((number, str(value)))
    return tuple(ranks)


def _group_values(
    records: Sequence[TrialRecord], axis: Axis, measure: Measure
) -> dict[float, dict[tuple[int, int], float]]:
    """Return the results by column, then by number of labels and repeat.

    Raises:
        SettingsError: Two records are of the same trial.
    """
    table: dict[float, dict[tuple[int, int], float]] = defaultdict(dict)
    for record in records:
        values = table[float(getattr(record, axis))]
        key = (record.labels, record.repeat)
        if key in values:
            raise SettingsError(
                f"two trials with {record.labels} labels, repeat {record.repeat}, differ only in "
                "their seed; remove one of them"
            )
        values[key] = getattr(record, measure)
    return table


def _compute_cell(
    method: str,
    column: float,
    values: Mapping[tuple[int, int], float],
    reference_values: Mapping[tuple[int, int], float],
) -> ComparisonCell:
    from scipy.stats import ttest_rel

    sample = list(values.values())
    common_keys = [key for key in values if key in reference_values]
    paired = [values[key] for key in common_keys]
    reference = [reference_values[key] for key in common_keys]
    gain, p_value = math.nan, math.nan
    if len(common_keys) > 1:
        gain = statistics.mean(paired) - statistics.mean(reference)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # all differences are equal
            is_same = paired == reference
            p_value = 1.0 if is_same else float(ttest_rel(paired, reference).pvalue)
    return ComparisonCell(
        method=method,
        column=column,
        values=values,
        mean=statistics.mean(sample),
        standard_deviation=statistics.stdev(sample) if len(sample) > 1 else math.nan,
        p_value=p_value,
        gain=gain,
    )


def _name_methods(records: Sequence[TrialRecord], axis: Axis) -> list[str]:
    """Return the name of the method of each record, with the fewest fields that distinguish all.

    A field is omitted if the fields before it distinguish the same methods.
    """
    tables = [record.fields() for record in records]
    all_fields = {name for table in tables for name in table} - {axis}
    order = [name for name in _FIELD_ORDER if name in all_fields]
    order += sorted(all_fields - set(order))
    parts: list[tuple[Any, ...]] = [()] * len(tables)
    distinguishing: list[str] = []
    for name in order:
        finer = [(*part, str(t.get(name))) for part, t in zip(parts, tables, strict=True)]
        if len(set(finer)) > len(set(parts)):
            parts = finer
            distinguishing.append(name)
    if not distinguishing:
        return [str(table["objective"]) for table in tables]
    return [_name_method(table, distinguishing) for table in tables]


def _name_method(table: Mapping[str, Any], fields: Sequence[str]) -> str:
    words = []
    for field in fields:
        value = table.get(field)
        text = f"{value:g}" if isinstance(value, float) else str(value)
        words.append(text if field in _UNNAMED_FIELDS else f"{field.replace('_', ' ')} {text}")
    return ", ".join(words)
