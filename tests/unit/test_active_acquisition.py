"""Active learning: the order of candidates and micrographs to label."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny

from cryopick.active.acquisition import (
    VALUE_COLUMN,
    CandidateFeatures,
    rank_micrographs,
    suggest_candidates,
)
from cryopick.active.candidates import CandidateBatch, compute_candidate_features
from cryopick.active.settings import SuggestSettings
from cryopick.active.uncertainty import (
    limit_candidates,
    preselect_candidates,
    solve_count_shift,
)
from cryopick.errors import SettingsError
from cryopick.inference.engine import optimize_for_inference
from cryopick.inference.score_map import compute_score_map
from cryopick.inference.test_time_views import VIEW_COUNT, score_test_time_views
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.model.architectures import NetworkSettings
from cryopick.model.device import require_device
from cryopick.model.networks import Scorer, extract_network
from cryopick.pick.batch import PickBatch
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks

logits = st.lists(st.floats(-6, 6), min_size=1, max_size=30)


def candidates(name, chance, features, labelled=()):
    """Candidates with given probabilities and feature vectors."""
    chance = np.asarray(chance, float)
    odds = np.log(chance / (1 - chance))
    features = np.asarray(features, np.float32)
    return CandidateFeatures(
        name=name,
        xy_px=np.column_stack([np.arange(len(chance)), np.zeros(len(chance))]) * 100.0,
        score=odds,
        logits=np.repeat(odds[:, None], VIEW_COUNT, axis=1).astype(np.float32),
        features=features,
        labelled=np.asarray(labelled, np.float32).reshape(-1, features.shape[1]),
    )


def random_candidates(seed, micrographs=3, each=12):
    rng = np.random.default_rng(seed)
    return [
        candidates(
            f"m{number}",
            rng.uniform(0.02, 0.98, each),
            rng.normal(size=(each, 5)),
            rng.normal(size=(number, 5)),
        )
        for number in range(micrographs)
    ]


def positions(picks):
    return [(picks.micrographs[i], x) for i, x in zip(picks.index, picks.xy_px[:, 0], strict=True)]


@given(st.integers(0, 50), st.integers(1, 40), st.integers(0, 100))
def test_candidates_are_unique_and_their_values_descend(seed, count, labels):
    picks = suggest_candidates(random_candidates(seed), count, labels=labels)

    assert len(set(positions(picks))) == len(picks) == min(count, 36)
    values = picks.extra[VALUE_COLUMN]
    assert (np.diff(values) <= 1e-12).all()
    assert 0 <= values.min() <= values.max() <= 1


@given(st.integers(0, 50), st.integers(1, 36))
def test_a_smaller_number_gives_the_first_candidates_of_a_larger_one(seed, count):
    micrographs = random_candidates(seed)

    assert (
        positions(suggest_candidates(micrographs, count))
        == positions(suggest_candidates(micrographs, 36))[:count]
    )


def test_each_kind_is_suggested_once_before_any_kind_is_repeated():
    kinds = np.repeat(np.eye(3), 4, axis=0)
    picks = suggest_candidates([candidates("m", np.full(12, 0.6), kinds)], 3)

    assert sorted(picks.xy_px[:, 0] // 400) == [0, 1, 2]


def test_candidates_similar_to_a_label_come_last():
    kinds = np.repeat(np.eye(3), 2, axis=0)
    picks = suggest_candidates([candidates("m", np.full(6, 0.6), kinds, labelled=[kinds[0]])], 4)

    assert set(picks.xy_px[:2, 0] // 200) == {1, 2}


@pytest.mark.parametrize(("labels", "first"), [(0, 0), (10, 0), (200, 1)])
def test_certain_particles_come_first_while_labels_are_few(labels, first):
    picks = suggest_candidates([candidates("m", [0.98, 0.55, 0.02], np.eye(3))], 3, labels=labels)

    assert picks.xy_px[0, 0] == 100 * first
    assert picks.xy_px[-1, 0] == 200


def test_equal_candidates_are_spread_over_micrographs_with_few_labels():
    one_of_each = np.eye(4)
    micrographs = [
        candidates(name, np.full(4, 0.5), np.roll(one_of_each, i, 0)) for i, name in enumerate("ab")
    ]
    spread = suggest_candidates(micrographs, 4)
    assert np.bincount(spread.index).tolist() == [2, 2]

    far = 10 * np.ones((3, 4))
    begun = candidates("a", np.full(4, 0.5), one_of_each, labelled=far)
    assert suggest_candidates([begun, micrographs[1]], 1).index.tolist() == [1]


def test_contradicting_views_make_a_candidate_uncertain():
    agreed, torn = candidates("m", [0.9, 0.9], np.eye(2)), candidates("m", [0.9, 0.9], np.eye(2))
    torn.logits[1] = np.tile([-2.0, 8.0], VIEW_COUNT // 2)

    for own, first in ((agreed, 0.0), (torn, 100.0)):
        assert suggest_candidates([own], 1, labels=1000).xy_px[0, 0] == first


@given(logits, st.floats(0.01, 40))
def test_probabilities_of_shifted_logits_sum_to_the_expected_number(scores, expected):
    shift = solve_count_shift(np.array(scores), expected)

    chances = 1 / (1 + np.exp(-(np.array(scores) + shift)))
    assert chances.sum() == pytest.approx(min(expected, 0.9 * len(scores)), abs=1e-4)


@pytest.mark.parametrize(("told", "trained", "per_micrograph"), [(3.0, 9, 3), (None, 9, 9)])
def test_the_expected_number_comes_from_the_settings_or_the_training(
    tmp_path, told, trained, per_micrograph
):
    tiny.model(tmp_path / "m.safetensors", settings={"particles_per_micrograph": trained})
    work = PickBatch.open(tmp_path / "m.safetensors", PickSettings(), require_device("cpu"))
    nothing = Picks.for_micrograph("a", np.zeros((0, 2)))
    settings = SuggestSettings(particles_per_micrograph=told)
    batch = CandidateBatch(picking=work, settings=settings, labels=nothing, suggested=nothing)
    scores = np.linspace(2, -6, 40)

    shift = batch.estimate_shift(
        [Picks.for_micrograph(name, np.zeros((40, 2)), scores) for name in "ab"]
    )

    chances = 1 / (1 + np.exp(-(scores + shift)))
    assert chances.sum() == pytest.approx(per_micrograph, abs=1e-4)


def test_the_shift_is_zero_without_picks():
    assert solve_count_shift(np.zeros(0), 10.0) == 0.0


@given(logits, st.integers(1, 40))
def test_preselection_has_the_wanted_size_and_includes_the_most_uncertain(values, number):
    ordered = np.sort(np.array(values))[::-1]
    chosen = preselect_candidates(ordered, number)

    assert len(chosen) == min(number, len(ordered))
    assert (np.diff(chosen) > 0).all()
    if number > 1:
        assert np.abs(ordered[chosen]).min() == np.abs(ordered).min()


def test_the_limit_of_candidates_falls_with_micrographs_and_allows_a_choice():
    assert limit_candidates(50, 12) == 128
    assert limit_candidates(50, 1) == 128
    assert limit_candidates(500, 1) == 1000
    assert limit_candidates(50, 10_000) == 4


def test_micrographs_rank_by_novelty_and_labelled_ones_come_last():
    kinds = {"a": [1, 0, 0], "b": [1, 0.1, 0], "c": [0, 1, 0], "d": [0, 0, 1]}
    micrographs = [candidates(name, [0.5, 0.5], [kind, kind]) for name, kind in kinds.items()]
    micrographs[3] = candidates("d", [0.9, 0.9], [kinds["d"]] * 2, labelled=[kinds["d"]])
    empty = candidates("e", [], np.zeros((0, 3)))

    order = rank_micrographs([*micrographs, empty])

    assert order[:2] in ([0, 2], [2, 0], [1, 2], [2, 1])
    assert order[-1] == 4
    assert order.index(3) == 3


def test_without_candidates_the_table_is_empty_but_names_the_micrographs():
    picks = suggest_candidates([candidates("a", [], np.zeros((0, 3)))], 5)

    assert len(picks) == 0
    assert picks.micrographs == ("a",)
    assert picks.extra[VALUE_COLUMN].shape == (0,)


@pytest.fixture
def scorer():
    torch.manual_seed(3)
    return Scorer(NetworkSettings(width=2)).eval()


@pytest.fixture
def image():
    return np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)


XY = np.array([[20.0, 28.0], [0.0, 59.0], [44.0, 4.0]])


def test_the_first_view_agrees_with_the_score_map_also_at_the_edge(scorer, image):
    views, _ = score_test_time_views(scorer, image, XY)

    whole = compute_score_map(
        optimize_for_inference(extract_network(scorer), step_px=1), image
    ).logits
    assert views.shape == (3, VIEW_COUNT)
    assert np.allclose(views[:, 0], whole[XY[:, 1].astype(int), XY[:, 0].astype(int)], atol=1e-5)
    assert views.std(axis=1).min() > 1e-3


@pytest.mark.parametrize(
    ("turn", "to_turned"),
    [
        (np.rot90, lambda xy: np.column_stack([xy[:, 1], 59 - xy[:, 0]])),
        (np.fliplr, lambda xy: np.column_stack([59 - xy[:, 0], xy[:, 1]])),
    ],
)
def test_rotating_the_micrograph_permutes_the_views_and_keeps_the_features(
    scorer, image, turn, to_turned
):
    views, features = score_test_time_views(scorer, image, XY)
    turned_views, turned = score_test_time_views(
        scorer, np.ascontiguousarray(turn(image)), to_turned(XY)
    )

    assert np.allclose(np.sort(views, axis=1), np.sort(turned_views, axis=1), atol=1e-5)
    assert not np.allclose(views, turned_views, atol=1e-5)
    assert np.allclose(features, turned, atol=1e-5)


def test_picks_near_a_labelled_position_are_no_candidates(tmp_path):
    model = tiny.model(tmp_path / "m.safetensors")
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 1)
    path = tmp_path / "mics" / "mic_0.mrc"
    picker = Picker.create(model, PickSettings(threshold=-9.0), require_device("cpu"))
    picks = picker.pick(path)
    known = picks.xy_px[[0, 3]] + [3.0, 0.0]

    own = compute_candidate_features(picker, path, picks, known, 0.0, 1000)

    half_px = tiny.DIAMETER_ANG / 2 / tiny.PIXEL_ANG
    gaps = np.linalg.norm(own.xy_px[:, None] - known, axis=2)
    assert gaps.min() > half_px
    kept = np.linalg.norm(picks.xy_px[:, None] - known, axis=2).min(axis=1) > half_px
    assert np.array_equal(own.xy_px, picks.xy_px[kept])
    assert len(own.labelled) == 2
    assert len(own.features) == len(own.xy_px) > 5


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"micrographs": 0}, {"particles_per_micrograph": float("nan")}]
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SuggestSettings(**wrong)


def test_the_table_keeps_the_order_when_read_again(tmp_path):
    picks = suggest_candidates(random_candidates(4), 9)
    for suffix in ("tsv", "csv", "star"):
        write_picks(picks, Path(tmp_path, f"c.{suffix}"))
        again = read_picks(Path(tmp_path, f"c.{suffix}"))

        assert np.array_equal(again.xy_px, picks.xy_px)
        assert np.allclose(again.extra[VALUE_COLUMN], picks.extra[VALUE_COLUMN], rtol=1e-6)
