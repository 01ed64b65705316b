import json
import math

import numpy as np
import pytest

from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.experiments.comparison import compare
from cryopick.experiments.figure import draw_comparisons
from cryopick.experiments.results import Record, load_records, save_record, selected


def made(value, *, labels=10, repeat=0, factor=1.0, particles=None, **settings):
    shared = {"objective": "ge-binomial", "init": "random", "autoencoder": "0", "seed": repeat}
    return Record(
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


def p_of(values, others):
    """P of the paired test, from the t statistic of the differences."""
    from scipy.stats import t

    gaps = np.subtract(values, others)
    statistic = gaps.mean() / (gaps.std(ddof=1) / np.sqrt(len(gaps)))
    return 2 * t.sf(abs(statistic), len(gaps) - 1)


ONE, OTHER = [0.5, 0.6, 0.4, 0.7], [0.4, 0.55, 0.42, 0.5]
TWO_WAYS = [made(v, repeat=r) for r, v in enumerate(ONE)] + [
    made(v, repeat=r, objective="pn") for r, v in enumerate(OTHER)
]


def test_means_spreads_and_paired_tests_are_those_of_the_repeats():
    found = compare(TWO_WAYS, name="set")

    cell = found.cell("region_average_precision", "pn", 10.0)
    assert found.reference == "ge-binomial"
    assert cell.mean == pytest.approx(np.mean(OTHER))
    assert cell.spread == pytest.approx(np.std(OTHER, ddof=1))
    assert cell.p_value == pytest.approx(p_of(OTHER, ONE))
    assert cell.gain == pytest.approx(np.mean(OTHER) - np.mean(ONE))
    assert math.isnan(found.cell("region_average_precision", "ge-binomial", 10.0).p_value)


def test_only_repeats_that_both_have_are_tested():
    found = compare(TWO_WAYS[1:], name="set")  # the reference lacks the first

    cell = found.cell("region_average_precision", "pn", 10.0)
    assert cell.p_value == pytest.approx(p_of(OTHER[1:], ONE[1:]))
    assert cell.gain == pytest.approx(np.mean(OTHER[1:]) - np.mean(ONE[1:]))
    assert len(cell.values) == 4


def test_equal_values_are_no_difference():
    records = [made(0.5, repeat=r, objective=o) for r in range(3) for o in ("pn", "pu")]

    assert compare(records, name="set").cell("region_average_precision", "pu", 10.0).p_value == 1.0


def test_ways_are_named_by_what_tells_them_apart_and_by_no_more():
    records = [
        made(0.1),
        made(0.2, autoencoder="10/N"),
        made(0.3, objective="pn"),
        made(0.4, init="general", normalization="white"),  # goes with the start, so says nothing
    ]

    ways = compare(records, name="set").ways

    assert ways == (
        "pn, init random, autoencoder 0",
        "ge-binomial, init general, autoencoder 0",
        "ge-binomial, init random, autoencoder 0",
        "ge-binomial, init random, autoencoder 10/N",
    )


def test_factors_of_the_prior_are_places_where_they_are_the_axis():
    records = [made(0.1 * f, factor=f, repeat=r) for f in (0.5, 1.0, 2.0) for r in (0, 1)]

    assert compare(records, name="set", axis="prior_factor").places == (0.5, 1.0, 2.0)
    assert len(compare(records, name="set").ways) == 3


def test_two_records_of_one_run_are_refused():
    with pytest.raises(SettingsError, match="differ in their seed alone"):
        compare([made(0.1), made(0.2)], name="set")


def test_a_way_that_was_not_run_is_no_reference():
    with pytest.raises(SettingsError, match="'nothing'"):
        compare(TWO_WAYS, name="set", against="nothing")


def test_records_are_selected_by_values_numbers_as_numbers():
    records = [made(0.1, factor=0.5), made(0.2, objective="pn"), made(0.3, labels=25)]

    assert selected(records, {"prior_factor": "1.0", "labels": "10"}) == [records[1]]
    assert selected(records, {"objective": "pn,ge-binomial"}) == records
    with pytest.raises(SettingsError, match="no field 'objektive'"):
        selected(records, {"objektive": "pn"})
    with pytest.raises(SettingsError, match="no run has objective=pu"):
        selected(records, {"objective": "pu"})


def test_records_are_read_back_and_a_damaged_one_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no finished run"):
        load_records(tmp_path)
    save_record(made(0.25), tmp_path / "runs" / "a.json")

    assert load_records(tmp_path) == [made(0.25)]

    (tmp_path / "runs" / "b.json").write_text(json.dumps({"labels": 3}))
    with pytest.raises(FormatError, match=r"b\.json"):
        load_records(tmp_path)


def test_the_figure_has_one_row_of_panels_for_each_data_set(tmp_path, monkeypatch):
    found = compare(TWO_WAYS, name="compact"), compare(TWO_WAYS[:4], name="rod")
    kept = []
    save = "cryopick.experiments.figure.save_figure"
    monkeypatch.setattr(save, lambda draw, *_, **__: kept.append(draw))

    draw_comparisons(found, tmp_path / "figure.png")

    from matplotlib.figure import Figure

    figure = Figure()
    kept[0](figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["compact, regions", "compact, particles", "rod, regions", "rod, particles"]
    assert [len(axes.containers) for axes in figure.axes] == [2, 2, 1, 1]
