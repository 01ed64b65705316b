import itertools
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cryopick.errors import SettingsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.thresholds import apply_threshold, select_nested, select_strongest
from cryopick.picks import Picks

rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 5), st.integers(-2, 2)),
    min_size=1,
    max_size=15,
)


def table(entries):
    names, x, y, score = zip(*entries, strict=True)
    return Picks.from_columns(
        names, np.column_stack([x, y]).astype(float), np.array(score, dtype=float)
    )


@settings(deadline=None)
@given(rows, rows, st.sampled_from([-3.0, -1.0, 0.0, 2.0, 3.0]))
def test_a_point_of_the_curve_is_what_judging_the_cut_table_gives(picked, known, threshold):
    picks, truth = table(picked), table(known)
    assume(set(picks.micrographs) & set(truth.micrographs))

    whole = evaluate_picks(picks, truth, 1.5)
    cut = evaluate_picks(apply_threshold(picks, threshold), truth, 1.5)

    point = whole.curve.at_threshold(threshold)
    assert (point.recall, point.f1) == (cut.all_picks.recall, cut.all_picks.f1)
    assert point.precision == pytest.approx(cut.all_picks.precision, nan_ok=True)


@settings(deadline=None)
@given(rows)
def test_a_table_judged_by_itself_is_perfect(known):
    truth = table({entry[:3]: entry for entry in known}.values())  # duplicates would be merged

    judged = evaluate_picks(truth, truth, 0.0)

    assert judged.average_precision == pytest.approx(1.0)
    assert judged.best.f1 == 1.0
    assert judged.n_matched == judged.n_truth == len(truth)


def test_a_micrograph_on_which_nothing_was_found_lowers_the_recall():
    truth = table([("a", 0, 0, 0), ("b", 0, 0, 0)])
    picks = table([("a", 0, 0, 1)])

    judged = evaluate_picks(picks, truth, 1.0)

    assert judged.average_precision == pytest.approx(0.5)
    assert [(own.name, own.n_picks, own.n_truth) for own in judged.micrographs] == [
        ("a", 1, 1),
        ("b", 0, 1),
    ]


def test_a_micrograph_that_the_truth_does_not_mention_is_left_out_and_named():
    judged = evaluate_picks(table([("a", 0, 0, 1), ("new", 0, 0, 5)]), table([("a", 0, 0, 0)]), 1.0)

    assert judged.not_evaluated == ("new",)
    assert judged.n_picks == 1
    assert judged.average_precision == 1.0


def test_only_says_what_is_judged():
    picks = table([("a", 0, 0, 1), ("new", 0, 0, 5)])
    truth = table([("a", 0, 0, 0), ("b", 0, 0, 0)])

    judged = evaluate_picks(picks, truth, 1.0, only=["a", "new", "ghost"])

    assert (judged.n_picks, judged.n_truth) == (2, 1)
    assert judged.all_picks.precision == 0.5
    assert judged.in_neither_table == ("ghost",)
    assert judged.not_evaluated == ()


def test_picks_without_scores_have_precision_and_recall_but_no_ranking():
    truth = table([("a", 0, 0, 0), ("a", 4, 4, 0)])
    picks = Picks.for_micrograph("a", np.array([[0.0, 0.0], [9.0, 9.0]]))

    judged = evaluate_picks(picks, truth, 1.0)

    assert (
        judged.average_precision is judged.best is judged.at_zero_threshold is judged.curve is None
    )
    assert (judged.all_picks.precision, judged.all_picks.recall) == (0.5, 0.5)
    assert judged.micrographs[0].at_best_threshold.f1 == 0.5


def test_what_is_undefined_is_null_in_json():
    judged = evaluate_picks(
        Picks.for_micrograph("a", np.zeros((0, 2))), table([("a", 0, 0, 0)]), 1.0
    )

    values = json.loads(json.dumps(judged.to_dict(), allow_nan=False))

    assert values["all_picks"] == {"threshold": None, "precision": None, "recall": 0.0, "f1": 0.0}
    assert values["micrographs"][0]["n_truth"] == 1
    assert values["average_precision"] == 0.0


def test_tables_of_different_data_sets_are_an_error_and_not_a_score_of_zero():
    with pytest.raises(SettingsError, match="the picks name 'a', the truth 'b'"):
        evaluate_picks(table([("a", 0, 0, 0)]), table([("b", 0, 0, 0)]), 1.0)


def test_nothing_to_judge_is_an_error():
    with pytest.raises(SettingsError, match="no micrograph to evaluate"):
        evaluate_picks(table([("a", 0, 0, 0)]), table([("b", 0, 0, 0)]), 1.0, only=["c"])


@given(rows, st.lists(st.sampled_from([-3.0, -0.5, 0.0, 1.0]), min_size=2, max_size=4))
def test_the_set_of_a_lower_threshold_contains_that_of_a_higher(picked, thresholds):
    sets = [apply_threshold(table(picked), threshold) for threshold in sorted(thresholds)]

    for looser, stricter in itertools.pairwise(sets):
        assert rows_of(stricter) <= rows_of(looser)


@given(rows, st.integers(0, 20))
def test_no_pick_left_behind_is_surer_than_one_kept(picked, count):
    picks = table(picked)

    kept = select_strongest(picks, count)

    assert len(kept) == min(count, len(picks))
    assert kept.micrographs == picks.micrographs
    left_behind = sorted(picks.score)[: len(picks) - len(kept)]
    assert not left_behind or not len(kept) or max(left_behind) <= kept.score.min()


def rows_of(picks):
    names = [picks.micrographs[i] for i in picks.index]
    return set(zip(names, map(tuple, picks.xy_px), picks.score, strict=True))


def test_sets_by_number_hold_that_many():
    picks = table([("a", i, 0, i % 2) for i in range(6)])

    assert [len(kept) for kept in select_nested(picks, [1, 4, 9])] == [1, 4, 6]


def test_a_table_without_scores_cannot_be_cut():
    picks = Picks.for_micrograph("a", np.zeros((2, 2)))

    with pytest.raises(SettingsError, match="2 of 2 picks have none"):
        apply_threshold(picks, 0.0)
    with pytest.raises(ValueError, match="count must be at least 0"):
        select_strongest(picks, -1)
