import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.picks import Picks, concatenate

names = st.lists(st.sampled_from("abcd"), max_size=12)


def table(micrographs):
    count = len(micrographs)
    return Picks.from_columns(
        micrographs,
        np.arange(2.0 * count).reshape(-1, 2),
        np.arange(float(count)),
        {"row": np.arange(count)},
    )


def same(a, b):
    return (
        a.micrographs == b.micrographs
        and a.index.tolist() == b.index.tolist()
        and a.xy_px.tolist() == b.xy_px.tolist()
        and a.score.tolist() == b.score.tolist()
        and {k: v.tolist() for k, v in a.extra.items()}
        == {k: v.tolist() for k, v in b.extra.items()}
    )


@settings(deadline=None)
@given(names)
def test_the_parts_by_micrograph_put_together_are_the_table_in_order(micrographs):
    picks = table(micrographs)

    parts = concatenate([part for _, part in picks.split_by_micrograph()])

    order = np.argsort(parts.extra["row"]) if len(parts) else np.zeros(0, dtype=int)
    assert same(parts.select(order), picks) if len(parts) else len(picks) == 0


@given(names)
def test_rows_name_every_pick_once_under_its_micrograph(micrographs):
    rows = table(micrographs).rows_by_micrograph()

    assert sorted(row for own in rows.values() for row in own) == list(range(len(micrographs)))
    assert all(micrographs[row] == name for name, own in rows.items() for row in own)


@given(names, st.lists(st.sampled_from("abxy"), unique=True))
def test_restricting_keeps_what_is_asked_for_and_names_all_of_it(micrographs, asked):
    picks = table(micrographs)

    kept = picks.restrict(asked)

    assert kept.micrographs == tuple(asked)
    wanted = [row for row, name in enumerate(micrographs) if name in asked]
    assert kept.extra["row"].tolist() == wanted
    assert [kept.micrographs[i] for i in kept.index] == [micrographs[row] for row in wanted]


def test_a_micrograph_in_two_tables_is_one():
    first, second = table(["a", "b"]), table(["b", "c"])

    both = concatenate([first, second])

    assert both.micrographs == ("a", "b", "c")
    assert both.index.tolist() == [0, 1, 1, 2]


def test_a_column_that_one_table_lacks_is_left_out():
    with_class = Picks.from_columns(["a"], np.zeros((1, 2)), extra={"class": np.array([3])})

    assert concatenate([with_class, Picks.for_micrograph("a", np.zeros((1, 2)))]).extra == {}


def test_no_tables_make_an_empty_one():
    nothing = concatenate([])

    assert (len(nothing), nothing.micrographs, nothing.is_scored) == (0, (), True)


def test_selecting_keeps_micrographs_that_lose_all_picks():
    picks = table(["a", "b"]).select(np.array([False, True]))

    assert (picks.micrographs, picks.index.tolist()) == (("a", "b"), [1])


def test_one_missing_score_makes_a_table_unscored():
    scored = Picks.for_micrograph("a", np.zeros((2, 2)), np.array([1.0, np.nan]))

    assert not scored.is_scored
    assert scored.select(np.array([0])).is_scored


def test_renaming_leaves_other_names_alone():
    assert table(["a", "b"]).rename({"a": "x"}).micrographs == ("x", "b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # the shape checker of the tests may speak before the table does
        ({"score": np.zeros(1)}, "score has 1 values for 2 picks|Type-check error"),
        ({"micrographs": ("a", "a")}, "listed twice"),
        ({"index": np.array([0, 2])}, "index must lie within the 2 micrographs"),
        ({"index": np.array([-1, 0])}, "index must lie within the 2 micrographs"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(changes, message):
    columns = {
        "micrographs": ("a", "b"),
        "index": np.array([0, 1]),
        "xy_px": np.zeros((2, 2)),
        "score": np.zeros(2),
    }
    with pytest.raises(Exception, match=message):
        Picks(**(columns | changes))
