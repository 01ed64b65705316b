"""Tables without a common micrograph, and duplicates in tables."""

import numpy as np
import pytest

from cryopick.errors import SettingsError, UnmatchedError
from cryopick.evaluate.consensus import find_consensus
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.set_operations import intersect, subtract, union
from cryopick.evaluate.spacing import merge_duplicates
from cryopick.picks import Picks


def table(*names, xy=(0.0, 0.0)):
    return Picks.from_columns(list(names), np.tile(xy, (len(names), 1)), np.zeros(len(names)))


@pytest.mark.parametrize("combine", [union, intersect, subtract, find_consensus])
class TestCombination:
    def test_tables_without_a_common_micrograph_are_refused(self, combine):
        with pytest.raises(UnmatchedError, match="no micrograph in common") as caught:
            combine([table("a", "b"), table("c")], 5.0)
        assert "'c'" in str(caught.value)
        assert "'a'" in str(caught.value)

    def test_a_third_table_must_share_one_too(self, combine):
        with pytest.raises(UnmatchedError, match="table 3 has no micrograph in common"):
            combine([table("a", "b"), table("b"), table("c")], 5.0)

    def test_one_common_micrograph_suffices(self, combine):
        combine([table("a", "b"), table("b", "c")], 5.0)

    def test_an_empty_table_has_nothing_to_compare(self, combine):
        combine([table("a"), table()], 5.0)
        combine([table(), table("a")], 5.0)


def test_evaluation_of_other_micrographs_is_refused():
    for picks, truth, only in [
        (table("a"), table("b"), None),
        (table("a"), table("b"), ["a"]),
        (table("a"), table("a"), ["c"]),
    ]:
        with pytest.raises(SettingsError):
            evaluate_picks(picks, truth, 5.0, only)


def test_duplicates_within_a_pixel_are_merged_and_the_first_is_kept():
    xy = np.array([[10, 10], [10.4, 10], [40, 40], [10, 10], [12, 10]], float)
    picks = Picks.from_columns(["a", "a", "a", "b", "a"], xy, np.arange(5.0))

    assert merge_duplicates(picks).score.tolist() == [0, 2, 3, 4]


def test_repeated_particles_count_once_in_an_evaluation():
    xy = np.array([[10, 10], [60, 60]], float)
    picks = Picks.from_columns(["a", "a"], xy, np.zeros(2))
    truth = Picks.from_columns(["a"] * 6, np.tile(xy, (3, 1)))

    evaluation = evaluate_picks(picks, truth, 5.0)

    assert (evaluation.n_truth, evaluation.n_duplicate_truth) == (2, 4)
    assert evaluation.all_picks.recall == 1
