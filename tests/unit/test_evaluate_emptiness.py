"""Micrographs with and without particles, distinguished by the tail of their scores."""

import numpy as np
import pytest

from cryopick.evaluate.emptiness import (
    Verdict,
    classify_micrographs,
    is_likely_empty,
)
from cryopick.evaluate.expectation import find_best_threshold, select_automatically
from cryopick.evaluate.label_sample import LabelSample
from cryopick.picks import Picks, concatenate


def tail(rng, number=2500):
    """Scores of what is no particle: fewer the higher, ever faster."""
    return -9 + 3.2 * np.abs(rng.normal(size=number))


def on(name, *scores):
    score = np.concatenate(scores)
    return Picks.for_micrograph(name, np.zeros((len(score), 2)), score)


def has_particles(table):
    """Mark the micrographs that are not probably empty."""
    return np.array([verdict != Verdict.PROBABLY_EMPTY for verdict in classify_micrographs(table)])


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_micrographs_with_and_without_particles_are_distinguished(rng):
    table = concatenate(
        [
            on("particles", tail(rng), rng.normal(2, 1, 70)),
            on("nothing", tail(rng)),
            on("faint", tail(rng), rng.normal(0.3, 1.2, 500)),
            on("few of the same", tail(rng), rng.normal(2, 1, 25)),
            on("nothing again", tail(rng)),
        ]
    )

    assert has_particles(table).tolist() == [True, False, True, True, False]
    assert not is_likely_empty(table)


@pytest.mark.parametrize("number", [40, 400, 900])
def test_a_crowd_is_no_tail(rng, number):
    table = on("crowd", tail(rng, 1000), rng.normal(2, 1.3, number))

    assert has_particles(table).all()


@pytest.mark.parametrize("seed", range(8))
def test_nothing_looks_like_nothing_whatever_is_drawn(seed):
    rng = np.random.default_rng(seed)
    table = concatenate([on(f"{i}", tail(rng)) for i in range(4)])

    assert not has_particles(table).any()
    assert is_likely_empty(table)


def test_particles_too_few_to_show_on_one_micrograph_show_on_many(rng):
    table = concatenate([on(f"{i}", tail(rng), rng.normal(3.5, 0.8, 9)) for i in range(12)])

    assert has_particles(table).mean() > 0.7
    assert not is_likely_empty(table)


def test_picks_cut_above_the_tail_count_as_particles():
    table = concatenate([on("cut", np.array([0.5, 1.0, 3.0])), on("none", np.zeros(0))])

    assert has_particles(table).all()
    assert not is_likely_empty(table)


def test_the_automatic_threshold_keeps_picks_of_empty_micrographs_unless_they_are_dropped(rng):
    good = on("good", tail(rng), rng.normal(2, 1, 90))
    bad = on("bad", tail(rng), np.array([2.5]))
    table = concatenate([good, bad])

    kept = select_automatically(table)
    dropped = select_automatically(table, drop_empty=True)

    assert kept.empty_micrographs == dropped.empty_micrographs == ("bad",)
    assert set(kept.picks.index) == {0, 1}
    assert set(dropped.picks.index) == {0}
    assert dropped.picks.micrographs == ("good", "bad")
    best = find_best_threshold(good)
    assert set(dropped.picks.score) == set(good.score[good.score >= best])
    assert set(kept.picks.score) == set(table.score[table.score >= best])
    assert dropped.expected.distribution.count.low <= 90 <= dropped.expected.distribution.count.high


def test_without_any_sign_of_particles_one_pick_is_kept_and_nothing_is_promised(rng):
    bad = concatenate([on(name, tail(rng)) for name in ("bad", "worse", "worst")])

    kept = select_automatically(bad)
    dropped = select_automatically(bad, drop_empty=True)

    assert kept.is_capped
    assert kept.expected is dropped.expected is None
    assert 1 <= len(kept.picks) <= 3
    assert np.bincount(kept.picks.index).max() == 1
    assert not len(dropped.picks)


@pytest.mark.parametrize(
    ("verdicts", "is_capped"),
    [
        ([Verdict.UNCLEAR, Verdict.PROBABLY_EMPTY, Verdict.UNCLEAR], True),
        ([Verdict.UNCLEAR, Verdict.PROBABLY_EMPTY, Verdict.PARTICLES], False),
        ([Verdict.UNCLEAR, Verdict.PROBABLY_EMPTY, Verdict.UNDECIDED], False),
        ([Verdict.PROBABLY_EMPTY] * 2, False),  # too few to be sure
    ],
)
def test_three_micrographs_without_particles_are_needed_to_keep_one_pick(rng, verdicts, is_capped):
    table = concatenate([on(f"{number}", tail(rng)) for number in range(len(verdicts))])

    assert select_automatically(table, verdicts=verdicts).is_capped == is_capped


def test_without_a_peak_elongated_particles_are_not_decided_on(rng):
    table = concatenate([on(name, tail(rng)) for name in ("a", "b", "c")])

    assert classify_micrographs(table, is_filtered=True) == [Verdict.UNDECIDED] * 3
    assert not select_automatically(table, is_filtered=True).is_capped


def test_labels_show_that_micrographs_that_look_empty_are_not(rng):
    bad = on("bad", tail(rng), rng.normal(-1.5, 0.8, 60))

    kept = select_automatically(bad, labels=LabelSample.complete(rng.normal(-1.5, 0.8, 20)))

    assert len(kept.picks) > 20


@pytest.mark.parametrize("number", [40, 80])
def test_a_weak_peak_on_one_of_many_empty_micrographs_is_unclear(rng, number):
    empty = [on(f"{i}", tail(rng)) for i in range(4)]
    table = concatenate([*empty, on("contamination", tail(rng), rng.normal(2, 1, number))])

    verdicts = classify_micrographs(table)

    expected = Verdict.UNCLEAR if number < 60 else Verdict.PARTICLES
    assert verdicts[:4] == [Verdict.PROBABLY_EMPTY] * 4
    assert verdicts[4] == expected
    counts = np.bincount(select_automatically(table, verdicts=verdicts).picks.index, minlength=5)
    assert (counts.max() == 1) == (expected == Verdict.UNCLEAR)


def test_a_crowd_that_leaves_no_room_for_background_shows_particles(rng):
    table = concatenate([on(f"{i}", rng.normal(3, 1, 100), rng.normal(-5, 1, 12)) for i in "ab"])

    assert classify_micrographs(table) == [Verdict.PARTICLES] * 2


def test_a_faint_micrograph_among_others_like_it_shows_particles(rng):
    def faint(name):
        return on(name, rng.normal(-4.2, 1, 1500), rng.normal(-1.2, 1.2, 450))

    clear = [on(f"{i}", rng.normal(-4.2, 1, 1500), rng.normal(1.5, 1, 300)) for i in range(3)]
    verdicts = classify_micrographs(concatenate([*clear, faint("faint")]))

    assert verdicts[-1] != Verdict.PROBABLY_EMPTY


def test_a_crowd_without_a_peak_is_unclear_and_not_empty(rng):
    crowd = on("crowd", rng.normal(-4.2, 1, 500), -4 + np.abs(rng.normal(0, 3.5, 1000)))

    (verdict,) = classify_micrographs(crowd)

    assert verdict in (Verdict.UNCLEAR, Verdict.PARTICLES)
    assert has_particles(crowd).all()


def test_crowded_faint_micrographs_keep_their_particles_at_the_automatic_threshold(rng):
    particles = [rng.normal(0.5, 1.2, 165) for _ in range(6)]
    table = concatenate(
        [on(f"{i}", rng.normal(-4.2, 1, 400), scores) for i, scores in enumerate(particles)]
    )

    selection = select_automatically(table)

    assert selection.empty_micrographs == ()
    true = np.isin(selection.picks.score, np.concatenate(particles))
    assert true.mean() > 0.85
    assert true.sum() > 0.85 * 6 * 165
