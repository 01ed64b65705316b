import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.train.curves import CurveRow, StepMetrics, TrainingCurves

shares = st.floats(0.01, 0.99)


def step(positive, unlabelled, prior, loss=1.0, penalty=0.5):
    values = (loss, penalty, positive, unlabelled)
    return StepMetrics(*(torch.tensor(v, dtype=torch.float64) for v in values), prior=prior)


@settings(deadline=None)
@given(shares, shares, shares)
def test_the_rates_solve_the_balance_of_unlabelled_predictions(true, false, prior):
    unlabelled = prior * true + (1 - prior) * false

    row = CurveRow.from_steps(1, [step(true, unlabelled, prior)], None)

    assert row.true_positive_rate == pytest.approx(true, rel=1e-5)
    assert row.false_positive_rate == pytest.approx(false, rel=1e-3, abs=1e-5)
    assert row.expected_precision == pytest.approx(prior * true / unlabelled, rel=1e-3)


def test_a_constant_classifier_is_as_precise_as_the_prior():
    row = CurveRow.from_steps(1, [step(0.5, 0.5, 0.02)], None)

    assert row.expected_precision == pytest.approx(0.02)
    assert row.false_positive_rate == pytest.approx(0.5)


def test_fewer_predictions_than_the_labelled_regions_imply_are_no_false_positives():
    row = CurveRow.from_steps(1, [step(0.9, 0.001, 0.1)], None)

    assert row.false_positive_rate == 0.0
    assert row.expected_precision == 1.0


def test_a_row_is_the_mean_of_its_steps():
    row = CurveRow.from_steps(
        8, [step(0.2, 0.1, 0.1, loss=1.0), step(0.4, 0.3, 0.1, loss=2.0)], (0.5, 0.25)
    )

    assert (row.step, row.loss, row.true_positive_rate) == (8, 1.5, pytest.approx(0.3))
    assert (row.region_average_precision, row.particle_average_precision) == (0.5, 0.25)


def test_a_classifier_that_predicts_nothing_has_no_precision():
    assert CurveRow.from_steps(1, [step(0.0, 0.0, 0.1)], None).expected_precision == 0.0


def test_the_table_has_full_step_numbers_and_dashes_for_missing_values():
    row = CurveRow.from_steps(1_234_567, [step(0.5, 0.5, 0.5, loss=math.pi)], None)

    header, values, end = TrainingCurves([row]).to_tsv().split("\n")

    assert header.split("\t")[0] == "step"
    assert values.split("\t")[:2] == ["1234567", "3.14159"]
    assert values.split("\t")[-2:] == ["-", "-"]
    assert end == ""
