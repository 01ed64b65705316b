import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.evaluate.set_operations import fold, hold_out, intersect, subtract, union
from cryopick.picks import Picks

rows = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 5)), max_size=12)
names = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=2, max_size=12, unique=True)


def table(entries):
    columns = list(zip(*entries, strict=True)) or [(), (), ()]
    xy_px = np.column_stack([columns[1], columns[2]]).astype(float).reshape(-1, 2)
    return Picks.from_columns(columns[0], xy_px)


def table_with_a(entries):
    """Build a table that also lists the micrograph a, as tables need one in common."""
    picks = table(entries)
    return picks.restrict(("a", *picks.micrographs))


def listed(picks):
    places = [picks.micrographs[i] for i in picks.index]
    return list(zip(places, *picks.xy_px.T, strict=True))


def has_neighbour(entry, entries, radius):
    return any(
        name == entry[0] and np.hypot(x - entry[1], y - entry[2]) <= radius
        for name, x, y in entries
    )


@settings(deadline=None)
@given(rows, rows, st.sampled_from([0.0, 1.0, 2.0, 9.0]))
def test_what_is_subtracted_is_what_lies_within_the_radius(first, second, radius):
    left = subtract([table_with_a(first), table_with_a(second)], radius)

    expected = [entry for entry in first if not has_neighbour(entry, second, radius)]
    assert sorted(listed(left)) == sorted(expected)


@settings(deadline=None)
@given(rows, rows, st.sampled_from([0.0, 1.0, 2.0]))
def test_a_union_is_the_first_table_and_what_the_second_has_beyond_it(first, second, radius):
    both = union([table_with_a(first), table_with_a(second)], radius)

    beyond = subtract([table_with_a(second), table_with_a(first)], radius)
    assert listed(both) == listed(table(first)) + listed(beyond)


@settings(deadline=None)
@given(rows, rows, st.sampled_from([0.0, 1.0, 2.0]))
def test_an_intersection_is_part_of_the_first_and_as_large_either_way_at_radius_zero(
    first, second, radius
):
    a, b = table_with_a(first), table_with_a(second)

    both = intersect([a, b], radius)

    assert set(listed(both)) <= set(listed(a))
    assert len(both) <= min(len(a), len(b))
    assert all(has_neighbour(entry, second, radius) for entry in listed(both))
    assert len(intersect([a, b], 0.0)) == len(intersect([b, a], 0.0))


@settings(deadline=None)
@given(rows)
def test_a_table_with_itself_is_itself(entries):
    picks = table(entries)

    assert listed(union([picks, picks], 0.0)) == listed(picks)
    assert listed(intersect([picks, picks], 0.0)) == listed(picks)
    assert len(subtract([picks, picks], 0.0)) == 0


@pytest.mark.parametrize("combine", [union, intersect, subtract])
def test_every_micrograph_of_any_table_is_named_in_the_result(combine):
    first = Picks.for_micrograph("a", np.zeros((1, 2)))
    second = Picks.for_micrograph("b", np.zeros((0, 2)))

    assert combine([first, second], 1.0).micrographs == ("a", "b")


def test_an_intersection_keeps_score_and_place_of_the_first_table():
    first = Picks.for_micrograph("a", np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([1.0, 7.0]))
    second = Picks.for_micrograph("a", np.array([[0.5, 0.0]]), np.array([3.0]))

    both = intersect([first, second], 1.0)

    assert (both.xy_px.tolist(), both.score.tolist()) == ([[1.0, 0.0]], [7.0])


def test_tables_fold_from_the_left():
    spots = [Picks.for_micrograph("a", np.array([[x, 0.0]])) for x in (0.0, 2.0, 4.0)]

    assert union(spots, 2.0).xy_px[:, 0].tolist() == [0.0, 4.0]
    assert len(intersect(spots, 2.0)) == 0


def test_no_table_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one table"):
        union([], 1.0)


@given(names, st.integers(0, 3), st.data())
def test_a_split_is_all_micrographs_and_depends_on_names_and_seed_alone(micrographs, seed, data):
    number = data.draw(st.integers(1, len(micrographs) - 1))

    split = hold_out(micrographs, number, seed)

    assert len(split.test) == number
    assert sorted(split.train + split.test) == sorted(micrographs)
    assert set(hold_out(micrographs[::-1], number, seed).test) == set(split.test)
    if number > 1:
        assert set(hold_out(micrographs, number - 1, seed).test) < set(split.test)


@given(names, st.integers(0, 3), st.data())
def test_every_micrograph_is_tested_in_exactly_one_fold(micrographs, seed, data):
    count = data.draw(st.integers(2, len(micrographs)))

    splits = fold(micrographs, count, seed)

    assert sorted(name for split in splits for name in split.test) == sorted(micrographs)
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    assert all(set(split.train).isdisjoint(split.test) for split in splits)


def test_another_seed_is_another_split():
    micrographs = [f"m{i}" for i in range(50)]

    assert hold_out(micrographs, 10, seed=0) != hold_out(micrographs, 10, seed=1)


@pytest.mark.parametrize("number", [0, 3])
def test_a_split_that_leaves_a_side_empty_is_refused(number):
    with pytest.raises(ValueError, match="3 micrographs"):
        hold_out(["a", "b", "c"], number)
    with pytest.raises(ValueError, match="count must be from 2 to the 3 micrographs"):
        fold(["a", "b", "c"], number + 1 if number else 0)
