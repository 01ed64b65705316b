import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cryopick.model.geometry import Geometry
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.peak_likelihood import (
    PeakLikelihood,
    evaluate_peak_likelihood,
    find_map_peaks,
)
from cryopick.train.sampling import POSITIVE, UNLABELLED

logit_lists = st.lists(st.floats(-6, 6), min_size=1, max_size=6)


def objective(positive, unlabelled, labelled_frac=0.5):
    terms = evaluate_peak_likelihood(
        torch.tensor(positive),
        torch.tensor(unlabelled),
        labelled_frac=labelled_frac,
        peaks_per_label=len(unlabelled) / len(positive),
    )
    return terms.total


@given(logit_lists, logit_lists, st.floats(0.05, 0.95))
def test_the_value_is_the_likelihood_of_the_formula(positive, unlabelled, labelled_frac):
    def g(z):
        return 1 / (1 + math.exp(-z))

    expected = -sum(math.log(g(z) + 0.02) for z in positive)
    expected -= sum(math.log(1 - labelled_frac * g(z)) for z in unlabelled)

    value = objective(positive, unlabelled, labelled_frac).item()

    assert value == pytest.approx(expected / len(positive), rel=1e-3, abs=1e-4)  # float32


@pytest.mark.parametrize("labelled_frac", [0.1, 0.5, 0.9])
def test_the_best_probability_of_alike_peaks_is_their_share_of_particles(labelled_frac):
    # Of 1000 peaks that look alike, 400 are particles, and a fraction of these is labelled.
    labels = round(400 * labelled_frac)
    z = torch.linspace(-3, 3, 601)
    values = [objective([v] * labels, [v] * (1000 - labels), labelled_frac) for v in z.tolist()]

    best = torch.sigmoid(z[int(torch.stack(values).argmin())])

    assert best.item() == pytest.approx(0.4, abs=0.03)  # ε raises it slightly


def test_without_unlabelled_peaks_only_the_labels_count():
    terms = evaluate_peak_likelihood(
        torch.tensor([0.0]), torch.zeros(0), labelled_frac=0.5, peaks_per_label=0.0
    )

    assert terms.total.item() == pytest.approx(-math.log(0.52))
    assert terms.penalty.item() == 0


def test_peaks_are_the_maxima_of_their_squares():
    logits = torch.full((1, 9, 9), -20.0)
    logits[0, 2, 2], logits[0, 2, 4], logits[0, 7, 7] = 3.0, 2.0, 5.0

    assert find_map_peaks(logits, 2).nonzero().tolist() == [[0, 2, 2], [0, 7, 7]]


def test_a_minibatch_raises_its_labels_and_lowers_other_peaks_only():
    peaks = PeakLikelihood(labelled_frac=0.5, labels_per_cell=1 / 40, reach=2)
    logits = torch.full((1, 9, 9), -3.0, requires_grad=True)
    with torch.no_grad():
        logits[0, 2, 2], logits[0, 6, 6], logits[0, 6, 5] = 1.0, 2.0, 1.5
    unlabelled = torch.tensor([n for n in range(81) if n // 9 > 4])
    indices = {POSITIVE: torch.tensor([2 * 9 + 3]), UNLABELLED: unlabelled}

    found = peaks.evaluate(logits, indices)
    found.objective.total.backward()

    gradient = logits.grad[0]
    assert gradient[2, 2] < 0  # the label's score is the highest one beside it
    assert gradient[6, 6] > 0
    assert gradient[6, 5] == gradient[2, 3] == 0
    assert 0 < found.prior < 1


def test_the_constants_follow_from_the_labels_and_the_expected_particles(tmp_path):
    shape = (100, 200)
    stored = StoredMicrograph(np.zeros(shape, np.float32), np.ones(shape, bool), (1.0, 1.0))
    for number in range(2):
        save_micrograph(tmp_path, number, stored)
    labels = np.array([[20.0, 30.0], [50.0, 60.0], [150.0, 40.0]])
    store = PreparedStore.open(tmp_path, [labels, np.zeros((0, 2))])

    peaks = PeakLikelihood.for_store(
        store,
        Geometry(95, 31, 2),
        particles_per_micrograph=12.0,
        diameter_px=17.0,
        exclusion_px=5.0,
    )

    assert peaks.labelled_frac == 3 / 12  # the micrograph without labels does not count
    assert peaks.labels_per_cell == pytest.approx(3 / ((20000 - 3 * 25 * math.pi) / 4))
    assert peaks.reach == 4
