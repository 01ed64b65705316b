import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_learn as oracles
from tests.oracles_evaluate import average_precision

from cryopick.inference.engine import optimize_for_inference
from cryopick.inference.score_map import compute_score_map
from cryopick.model.networks import extract_network
from cryopick.preprocess.prepared_store import (
    PreparedStore,
    StoredMicrograph,
    load_micrograph,
    save_micrograph,
)
from cryopick.train.validation import HeldOutValidator, mark_positive_regions

CENTRES = np.array([[20.0, 22.0], [70.0, 30.0], [45.0, 60.0]])
SCORER = oracles.blob_scorer()


def judge(folder, labels=CENTRES, usable=None):
    image = oracles.blobs((80, 92), CENTRES, sigma=3.0).astype(np.float32) - 10
    usable = np.ones(image.shape, bool) if usable is None else usable
    save_micrograph(folder, 0, StoredMicrograph(image, usable, (2.0, 2.0)))
    store = PreparedStore.open(folder, [2 * labels])
    return HeldOutValidator(store, diameter_px=14.0, label_radius_px=2.0)(SCORER)


def test_a_network_that_ranks_all_particles_first_is_perfect(tmp_path):
    _, particles = judge(tmp_path)

    assert particles == 1.0


def test_regions_are_ranked_by_the_score_of_each_scored_place(tmp_path):
    regions, _ = judge(tmp_path)

    image = load_micrograph(tmp_path, 0).image
    step = 2  # half the stride of 4
    scores = compute_score_map(
        optimize_for_inference(extract_network(SCORER), step_px=step), image
    ).logits
    rows, columns = np.indices(scores.shape) * step
    gaps = np.hypot(columns[..., None] - CENTRES[:, 0], rows[..., None] - CENTRES[:, 1])
    hits = (gaps.min(axis=-1) <= 2.0).ravel()
    area = average_precision(scores.ravel(), hits.tolist(), hits.sum())
    assert regions == pytest.approx(area, abs=1e-6)
    assert regions > 0.7


def test_displaced_labels_lower_the_average_precision(tmp_path):
    regions, particles = judge(tmp_path, labels=CENTRES + 12.0)

    assert particles < 0.3
    assert regions < 0.1


def test_masked_particles_are_neither_picked_nor_counted_as_regions(tmp_path):
    usable = np.ones((80, 92), bool)
    usable[:, 60:] = False

    _, particles = judge(tmp_path, usable=usable)

    assert particles == pytest.approx(2 / 3)  # two first, and the third never


def test_held_out_micrographs_without_labels_give_zero(tmp_path):
    regions, particles = judge(tmp_path, labels=np.zeros((0, 2)))

    assert np.isnan(regions)
    assert particles == 0.0


@settings(deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(-40, 80), st.floats(-40, 80)), max_size=4),
    st.floats(0, 9),
)
def test_positive_points_are_those_within_the_radius_of_a_label(
    rows, columns, step, labels, radius
):
    labels_px = np.array(labels).reshape(-1, 2)

    positive = mark_positive_regions((rows, columns), step, labels_px, radius)

    for row, column in np.ndindex(rows, columns):
        gaps = [(column * step - x) ** 2 + (row * step - y) ** 2 for x, y in labels]
        assert positive[row, column] == any(gap <= radius**2 for gap in gaps)
