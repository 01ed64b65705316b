"""Comparison of training methods: statistics, names, records and the figure."""

import json
import math

import numpy as np
import pytest

from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.experiments.comparison import compare_methods
from cryopick.experiments.figure import plot_comparisons
from cryopick.experiments.results import TrialRecord, load_records, save_record, select_records


def make_record(value, *, labels=10, repeat=0, factor=1.0, particles=None, **settings):
    shared = {"objective": "ge-binomial", "init": "random", "autoencoder": "0", "seed": repeat}
    return TrialRecord(
        labels=labels,
        repeat=repeat,
        label_seed=0,
        label_digest="",
        prior_factor=factor,
        prior=0.1,
        settings={**shared, "particles_per_micrograph": 9 * factor, **settings},
        start="",
        region_average_precision=value,
        particle_average_precision=value if particles is None else particles,
        seconds=1.0,
        version="1",
    )


def paired_p_value(values, reference):
    """Compute the P value of the paired test from the t statistic of the differences."""
    from scipy.stats import t

    differences = np.subtract(values, reference)
    statistic = differences.mean() / (differences.std(ddof=1) / np.sqrt(len(differences)))
    return 2 * t.sf(abs(statistic), len(differences) - 1)


REFERENCE, OTHER = [0.5, 0.6, 0.4, 0.7], [0.4, 0.55, 0.42, 0.5]
TWO_METHODS = [make_record(v, repeat=r) for r, v in enumerate(REFERENCE)] + [
    make_record(v, repeat=r, objective="pn") for r, v in enumerate(OTHER)
]


def test_statistics_are_those_of_the_repeats():
    comparison = compare_methods(TWO_METHODS, name="set")

    cell = comparison.find_cell("region_average_precision", "pn", 10.0)
    assert comparison.reference == "ge-binomial"
    assert cell.mean == pytest.approx(np.mean(OTHER))
    assert cell.standard_deviation == pytest.approx(np.std(OTHER, ddof=1))
    assert cell.p_value == pytest.approx(paired_p_value(OTHER, REFERENCE))
    assert cell.gain == pytest.approx(np.mean(OTHER) - np.mean(REFERENCE))
    assert math.isnan(comparison.find_cell("region_average_precision", "ge-binomial", 10.0).p_value)


def test_only_common_repeats_are_tested():
    comparison = compare_methods(TWO_METHODS[1:], name="set")  # the reference lacks the first

    cell = comparison.find_cell("region_average_precision", "pn", 10.0)
    assert cell.p_value == pytest.approx(paired_p_value(OTHER[1:], REFERENCE[1:]))
    assert cell.gain == pytest.approx(np.mean(OTHER[1:]) - np.mean(REFERENCE[1:]))
    assert len(cell.values) == 4


def test_equal_values_have_a_p_value_of_one():
    records = [make_record(0.5, repeat=r, objective=o) for r in range(3) for o in ("pn", "pu")]

    assert (
        compare_methods(records, name="set")
        .find_cell("region_average_precision", "pu", 10.0)
        .p_value
        == 1.0
    )


def test_methods_are_named_by_the_fewest_distinguishing_fields():
    records = [
        make_record(0.1),
        make_record(0.2, autoencoder="10/N"),
        make_record(0.3, objective="pn"),
        make_record(
            0.4, init="general", normalization="white"
        ),  # determined by init, so not part of the name
    ]

    methods = compare_methods(records, name="set").methods

    assert methods == (
        "pn, init random, autoencoder 0",
        "ge-binomial, init general, autoencoder 0",
        "ge-binomial, init random, autoencoder 0",
        "ge-binomial, init random, autoencoder 10/N",
    )


def test_prior_factors_are_columns_if_they_are_the_axis():
    records = [make_record(0.1 * f, factor=f, repeat=r) for f in (0.5, 1.0, 2.0) for r in (0, 1)]

    assert compare_methods(records, name="set", axis="prior_factor").columns == (0.5, 1.0, 2.0)
    assert len(compare_methods(records, name="set").methods) == 3


def test_two_records_of_one_trial_are_refused():
    with pytest.raises(SettingsError, match="differ only in their seed"):
        compare_methods([make_record(0.1), make_record(0.2)], name="set")


def test_an_unknown_reference_is_refused():
    with pytest.raises(SettingsError, match="'nothing'"):
        compare_methods(TWO_METHODS, name="set", against="nothing")


def test_records_are_selected_by_values_with_numbers_compared_as_numbers():
    records = [
        make_record(0.1, factor=0.5),
        make_record(0.2, objective="pn"),
        make_record(0.3, labels=25),
    ]

    assert select_records(records, {"prior_factor": "1.0", "labels": "10"}) == [records[1]]
    assert select_records(records, {"objective": "pn,ge-binomial"}) == records
    with pytest.raises(SettingsError, match="no field 'objektive'"):
        select_records(records, {"objektive": "pn"})
    with pytest.raises(SettingsError, match="no trial has objective=pu"):
        select_records(records, {"objective": "pu"})


def test_records_are_read_back_and_invalid_files_are_named(tmp_path):
    with pytest.raises(InputError, match="contains no finished trial"):
        load_records(tmp_path)
    save_record(make_record(0.25), tmp_path / "runs" / "a.json")

    assert load_records(tmp_path) == [make_record(0.25)]

    (tmp_path / "runs" / "b.json").write_text(json.dumps({"labels": 3}))
    with pytest.raises(FormatError, match=r"b\.json"):
        load_records(tmp_path)


def test_the_figure_has_one_row_of_panels_per_data_set(tmp_path, monkeypatch):
    comparisons = (
        compare_methods(TWO_METHODS, name="compact"),
        compare_methods(TWO_METHODS[:4], name="rod"),
    )
    drawings = []
    save = "cryopick.experiments.figure.save_figure"
    monkeypatch.setattr(save, lambda draw, *_, **__: drawings.append(draw))

    plot_comparisons(comparisons, tmp_path / "figure.png")

    from matplotlib.figure import Figure

    figure = Figure()
    drawings[0](figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["compact, regions", "compact, particles", "rod, regions", "rod, particles"]
    assert [len(axes.containers) for axes in figure.axes] == [2, 2, 1, 1]
