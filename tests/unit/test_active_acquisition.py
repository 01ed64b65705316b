"""What to label next: candidates and micrographs in order of what an answer would teach."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny

from cryopick.active.acquisition import (
    Look,
    SuggestSettings,
    expected_shift,
    places_to_look_at,
    suggest,
    suggest_micrographs,
    worth_a_look,
)
from cryopick.active.candidates import CandidateBatch, look
from cryopick.errors import SettingsError
from cryopick.inference.score_map import score_map
from cryopick.inference.test_time_views import TURNS, look_around
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.model.device import ready_device
from cryopick.model.networks import NetworkSettings, Scorer
from cryopick.pick.batch import PickBatch
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks

logits = st.lists(st.floats(-6, 6), min_size=1, max_size=30)


def seen(name, chance, features, known=()):
    """What a model might see: candidates by their probabilities and feature vectors."""
    chance = np.asarray(chance, float)
    odds = np.log(chance / (1 - chance))
    features = np.asarray(features, np.float32)
    return Look(
        name=name,
        xy_px=np.column_stack([np.arange(len(chance)), np.zeros(len(chance))]) * 100.0,
        score=odds,
        logits=np.repeat(odds[:, None], TURNS, axis=1).astype(np.float32),
        features=features,
        known=np.asarray(known, np.float32).reshape(-1, features.shape[1]),
    )


def random_looks(seed, micrographs=3, each=12):
    rng = np.random.default_rng(seed)
    return [
        seen(
            f"m{number}",
            rng.uniform(0.02, 0.98, each),
            rng.normal(size=(each, 5)),
            rng.normal(size=(number, 5)),
        )
        for number in range(micrographs)
    ]


def places(picks):
    return [(picks.micrographs[i], x) for i, x in zip(picks.index, picks.xy_px[:, 0], strict=True)]


@given(st.integers(0, 50), st.integers(1, 40), st.integers(0, 100))
def test_no_candidate_comes_twice_and_none_teaches_more_than_the_one_before(seed, count, labels):
    picks = suggest(random_looks(seed), count, labels=labels)

    assert len(set(places(picks))) == len(picks) == min(count, 36)
    teaches = picks.extra["teaches"]
    assert (np.diff(teaches) <= 1e-12).all()
    assert 0 <= teaches.min() <= teaches.max() <= 1


@given(st.integers(0, 50), st.integers(1, 36))
def test_fewer_suggestions_are_the_first_of_more(seed, count):
    looks = random_looks(seed)

    assert places(suggest(looks, count)) == places(suggest(looks, 36))[:count]


def test_two_of_a_kind_are_not_asked_for_before_another_kind():
    kinds = np.repeat(np.eye(3), 4, axis=0)
    picks = suggest([seen("m", np.full(12, 0.6), kinds)], 3)

    assert sorted(picks.xy_px[:, 0] // 400) == [0, 1, 2]


def test_what_looks_like_a_label_comes_last():
    kinds = np.repeat(np.eye(3), 2, axis=0)
    picks = suggest([seen("m", np.full(6, 0.6), kinds, known=[kinds[0]])], 4)

    assert set(picks.xy_px[:2, 0] // 200) == {1, 2}


@pytest.mark.parametrize(("labels", "first"), [(0, 0), (10, 0), (200, 1)])
def test_sure_particles_are_asked_for_while_labels_are_few(labels, first):
    picks = suggest([seen("m", [0.98, 0.55, 0.02], np.eye(3))], 3, labels=labels)

    assert picks.xy_px[0, 0] == 100 * first
    assert picks.xy_px[-1, 0] == 200


def test_equal_candidates_are_spread_over_micrographs_and_away_from_labelled_ones():
    one_of_each = np.eye(4)
    looks = [seen(name, np.full(4, 0.5), np.roll(one_of_each, i, 0)) for i, name in enumerate("ab")]
    spread = suggest(looks, 4)
    assert np.bincount(spread.index).tolist() == [2, 2]

    far = 10 * np.ones((3, 4))
    begun = seen("a", np.full(4, 0.5), one_of_each, known=far)
    assert suggest([begun, looks[1]], 1).index.tolist() == [1]


def test_views_that_contradict_each_other_make_a_candidate_unsure():
    agreed, torn = seen("m", [0.9, 0.9], np.eye(2)), seen("m", [0.9, 0.9], np.eye(2))
    torn.logits[1] = np.tile([-2.0, 8.0], TURNS // 2)

    for own, first in ((agreed, 0.0), (torn, 100.0)):
        assert suggest([own], 1, labels=1000).xy_px[0, 0] == first


@given(logits, st.floats(0.01, 40))
def test_shifted_logits_expect_the_number_of_particles(scores, expected):
    shift = expected_shift(np.array(scores), expected)

    chances = 1 / (1 + np.exp(-(np.array(scores) + shift)))
    assert chances.sum() == pytest.approx(min(expected, 0.9 * len(scores)), abs=1e-4)


@pytest.mark.parametrize(("told", "trained", "per_micrograph"), [(3.0, 9, 3), (None, 9, 9)])
def test_the_expected_number_is_that_of_each_micrograph(tmp_path, told, trained, per_micrograph):
    tiny.model(tmp_path / "m.safetensors", settings={"particles_per_micrograph": trained})
    work = PickBatch.open(tmp_path / "m.safetensors", PickSettings(), ready_device("cpu"))
    nothing = Picks.on("a", np.zeros((0, 2)))
    settings = SuggestSettings(particles_per_micrograph=told)
    batch = CandidateBatch(work=work, settings=settings, labels=nothing, asked=nothing)
    scores = np.linspace(2, -6, 40)

    shift = batch.shift([Picks.on(name, np.zeros((40, 2)), scores) for name in "ab"])

    chances = 1 / (1 + np.exp(-(scores + shift)))
    assert chances.sum() == pytest.approx(per_micrograph, abs=1e-4)


def test_no_picks_need_no_shift():
    assert expected_shift(np.zeros(0), 10.0) == 0.0


@given(logits, st.integers(1, 40))
def test_as_many_picks_as_asked_for_are_looked_at_the_least_sure_among_them(values, number):
    ordered = np.sort(np.array(values))[::-1]
    chosen = worth_a_look(ordered, number)

    assert len(chosen) == min(number, len(ordered))
    assert (np.diff(chosen) > 0).all()
    if number > 1:
        assert np.abs(ordered[chosen]).min() == np.abs(ordered).min()


def test_many_micrographs_cost_few_looks_each_but_enough_to_choose_from():
    assert places_to_look_at(50, 12) == 128
    assert places_to_look_at(50, 1) == 128
    assert places_to_look_at(500, 1) == 1000
    assert places_to_look_at(50, 10_000) == 4


def test_micrographs_unlike_those_before_come_first_and_labelled_ones_last():
    kinds = {"a": [1, 0, 0], "b": [1, 0.1, 0], "c": [0, 1, 0], "d": [0, 0, 1]}
    looks = [seen(name, [0.5, 0.5], [kind, kind]) for name, kind in kinds.items()]
    looks[3] = seen("d", [0.9, 0.9], [kinds["d"]] * 2, known=[kinds["d"]])
    empty = seen("e", [], np.zeros((0, 3)))

    order = suggest_micrographs([*looks, empty])

    assert order[:2] in ([0, 2], [2, 0], [1, 2], [2, 1])
    assert order[-1] == 4
    assert order.index(3) == 3


def test_no_candidates_give_an_empty_table_that_names_the_micrographs():
    picks = suggest([seen("a", [], np.zeros((0, 3)))], 5)

    assert len(picks) == 0
    assert picks.micrographs == ("a",)
    assert picks.extra["teaches"].shape == (0,)


@pytest.fixture
def scorer():
    torch.manual_seed(3)
    return Scorer(NetworkSettings(width=2)).eval()


@pytest.fixture
def image():
    return np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)


XY = np.array([[20.0, 28.0], [0.0, 59.0], [44.0, 4.0]])


def test_the_first_view_scores_as_the_score_map_does_at_the_edge_too(scorer, image):
    views, _ = look_around(scorer, image, XY)

    whole = score_map(scorer, image, step_px=1).logits
    assert views.shape == (3, TURNS)
    assert np.allclose(views[:, 0], whole[XY[:, 1].astype(int), XY[:, 0].astype(int)], atol=1e-5)
    assert views.std(axis=1).min() > 1e-3


@pytest.mark.parametrize(
    ("turn", "to_turned"),
    [
        (np.rot90, lambda xy: np.column_stack([xy[:, 1], 59 - xy[:, 0]])),
        (np.fliplr, lambda xy: np.column_stack([59 - xy[:, 0], xy[:, 1]])),
    ],
)
def test_turning_the_micrograph_permutes_the_views_and_keeps_the_features(
    scorer, image, turn, to_turned
):
    views, features = look_around(scorer, image, XY)
    turned_views, turned = look_around(scorer, np.ascontiguousarray(turn(image)), to_turned(XY))

    assert np.allclose(np.sort(views, axis=1), np.sort(turned_views, axis=1), atol=1e-5)
    assert not np.allclose(views, turned_views, atol=1e-5)
    assert np.allclose(features, turned, atol=1e-5)


def test_picks_near_a_known_place_are_no_candidates(tmp_path):
    model = tiny.model(tmp_path / "m.safetensors")
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 1)
    path = tmp_path / "mics" / "mic_0.mrc"
    picker = Picker.ready(model, PickSettings(threshold=-9.0), ready_device("cpu"))
    picks = picker.pick(path)
    known = picks.xy_px[[0, 3]] + [3.0, 0.0]

    own = look(picker, path, picks, known, 0.0, 1000)

    half_px = tiny.DIAMETER_ANG / 2 / tiny.PIXEL_ANG
    gaps = np.linalg.norm(own.xy_px[:, None] - known, axis=2)
    assert gaps.min() > half_px
    kept = np.linalg.norm(picks.xy_px[:, None] - known, axis=2).min(axis=1) > half_px
    assert np.array_equal(own.xy_px, picks.xy_px[kept])
    assert len(own.known) == 2
    assert len(own.features) == len(own.xy_px) > 5


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"micrographs": 0}, {"particles_per_micrograph": float("nan")}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SuggestSettings(**wrong)


def test_the_table_reads_back_in_the_order_to_label(tmp_path):
    picks = suggest(random_looks(4), 9)
    for suffix in ("tsv", "csv", "star"):
        write_picks(picks, Path(tmp_path, f"c.{suffix}"))
        again = read_picks(Path(tmp_path, f"c.{suffix}"))

        assert np.array_equal(again.xy_px, picks.xy_px)
        assert np.allclose(again.extra["teaches"], picks.extra["teaches"], rtol=1e-6)
