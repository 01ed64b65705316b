import numpy as np
import pytest

from cryopick.evaluate.consensus import find_consensus
from cryopick.picks import Picks, concatenate


def table(*rows, name="a"):
    """A table of (x, y, score) on one micrograph."""
    x, y, score = np.array(rows, float).reshape(-1, 3).T
    return Picks.for_micrograph(name, np.column_stack([x, y]), score)


def test_a_particle_lies_at_the_mean_of_the_picks_that_agree():
    agreed = find_consensus(
        [table((10, 10, 1)), table((14, 10, 5)), table((12, 13, 0))], radius_px=5.0
    )

    assert agreed.xy_px.tolist() == [[12.0, 11.0]]
    assert agreed.extra["agreement"].tolist() == [3]


def test_more_than_half_of_the_tables_must_agree_by_default():
    tables = [table((10, 10, 1), (50, 50, 1)), table((11, 10, 1), (90, 90, 1)), table((50, 51, 1))]

    assert find_consensus(tables, 5.0).extra["agreement"].tolist() == [2, 2]
    assert len(find_consensus(tables, 5.0, min_tables=1)) == 3
    assert len(find_consensus(tables, 5.0, min_tables=3)) == 0


def test_two_picks_of_one_table_are_two_particles_however_close():
    agreed = find_consensus(
        [table((10, 10, 1), (12, 10, 2)), table((12, 10, 1))], 5.0, min_tables=1
    )

    assert sorted(agreed.extra["agreement"].tolist()) == [1, 2]


def test_scores_count_by_rank_so_that_another_scale_changes_nothing():
    ours = table((0, 0, -3), (30, 0, 0), (60, 0, 3))
    theirs = table((0, 0, 0.2), (30, 0, 0.9), (60, 0, 0.95))
    scaled = table((0, 0, 20), (30, 0, 90), (60, 0, 95))

    one, other = find_consensus([ours, theirs], 5.0), find_consensus([ours, scaled], 5.0)

    assert one.score.tolist() == other.score.tolist()
    assert one.score.tolist() == sorted(one.score.tolist())
    # ranked 1st of 3 by both: the least share of no lower scores is a third
    assert one.score[0] == pytest.approx(np.log((1 / 3) / (2 / 3)))


def test_a_table_without_scores_votes_fully_for_each_of_its_picks():
    boxes = Picks.for_micrograph("a", np.array([[0.0, 0.0]]))
    scored = table((0, 0, 1), (30, 0, 2))

    agreed = find_consensus([boxes, scored], 5.0, min_tables=1)

    # (1 + 1/2) / 2 beside (0 + 1) / 2
    assert agreed.score == pytest.approx([np.log(3), 0.0])


def test_a_micrograph_that_one_table_lacks_is_voted_on_by_the_others_alone():
    first = concatenate([table((0, 0, 1)), table((5, 5, 1), name="b")])
    agreed = find_consensus([first, table((0, 0, 1))], 3.0, min_tables=1)

    assert agreed.micrographs == ("a", "b")
    assert agreed.extra["agreement"].tolist() == [2, 1]


def test_empty_tables_agree_on_nothing():
    nothing = Picks.for_micrograph("a", np.zeros((0, 2)))

    assert len(find_consensus([nothing, nothing], 5.0)) == 0
    assert find_consensus([nothing, nothing], 5.0).micrographs == ("a",)


@pytest.mark.parametrize(("tables", "least"), [([], None), ([table((0, 0, 1))], 2)])
def test_what_cannot_be_asked(tables, least):
    with pytest.raises(ValueError, match=r"at least one table|min_tables must be"):
        find_consensus(tables, 5.0, least)
