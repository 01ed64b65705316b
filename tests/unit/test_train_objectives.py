import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_learn as oracles

from cryopick.train.objectives import (
    binomial_penalty,
    evaluate_objective,
    expectation_penalty,
    nonnegative_risk,
    positive_negative_risk,
)

FLOOR = 0.25  # least variance of the Gaussian: half the distance between integers, squared

logits = st.lists(st.floats(-6, 6), min_size=1, max_size=10)
priors = st.floats(0.01, 0.99)
few = settings(deadline=None, max_examples=40)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@few
@given(logits, logits, priors)
def test_the_risks_are_those_of_their_twins(positive, unlabelled, prior):
    p, u = tensor(positive), tensor(unlabelled)

    assert positive_negative_risk(p, u, prior=prior).item() == pytest.approx(
        oracles.positive_negative(positive, unlabelled, prior), abs=1e-12
    )
    assert nonnegative_risk(p, u, prior=prior).item() == pytest.approx(
        oracles.nonnegative(positive, unlabelled, prior), abs=1e-12
    )


@few
@given(logits, priors)
def test_the_divergence_is_that_of_its_twin(unlabelled, prior):
    penalty = expectation_penalty(tensor(unlabelled), prior=prior)

    assert penalty.item() == pytest.approx(oracles.divergence(unlabelled, prior), abs=1e-12)


@few
@given(logits, priors)
def test_the_binomial_penalty_is_that_of_its_twin(unlabelled, prior):
    q = oracles.gaussian_counts(unlabelled, FLOOR)

    penalty = binomial_penalty(tensor(unlabelled), prior=prior)

    assert penalty.item() == pytest.approx(oracles.count_cross_entropy(q, prior), rel=1e-10)


@few
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8), st.floats(0.05, 0.95))
def test_the_binomial_gradient_is_that_of_its_twin(unlabelled, prior):
    fast, slow = (tensor(unlabelled).requires_grad_() for _ in range(2))

    (gradient,) = torch.autograd.grad(binomial_penalty(fast, prior=prior), fast)

    twin = oracles.autograd_binomial_penalty(slow, prior, FLOOR)
    (expected,) = torch.autograd.grad(twin, slow)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("trials", [1, 7, 40, 300])
@pytest.mark.parametrize("prior", [0.003, 0.2, 0.97])
def test_a_certain_count_costs_its_binomial_probability(trials, prior):
    # q at the floor is narrow but not a point: its five integers are weighted by hand
    certain = trials // 2
    unlabelled = tensor([60.0] * certain + [-60.0] * (trials - certain))

    penalty = binomial_penalty(unlabelled, prior=prior)

    weights = {k: math.exp(-2 * (k - certain) ** 2) for k in range(trials + 1)}
    expected = -sum(
        weight * oracles.log_binomial(k, trials, prior) for k, weight in weights.items()
    )
    assert penalty.item() == pytest.approx(expected / sum(weights.values()), rel=1e-9)


# measured over random draws: q within 0.023 and the penalty, nearly a parabola in k, within
# 1.5 % at 8 regions, half of that at 10; the limits leave room for the worst of corners
@few
@given(st.lists(st.floats(-1.5, 1.5), min_size=8, max_size=10), st.floats(0.1, 0.9))
def test_the_gaussian_stands_near_the_exact_count_of_few_regions(unlabelled, prior):
    exact = oracles.exact_counts(unlabelled)
    gaussian = oracles.gaussian_counts(unlabelled, FLOOR)

    penalty = binomial_penalty(tensor(unlabelled), prior=prior).item()

    assert sum(exact) == pytest.approx(1)
    assert max(abs(a - b) for a, b in zip(exact, gaussian, strict=True)) < 0.03
    assert penalty == pytest.approx(oracles.count_cross_entropy(exact, prior), rel=0.05)


def test_a_scorer_that_knows_nothing_costs_log_two():
    nothing = torch.zeros(5)

    assert positive_negative_risk(nothing, nothing, prior=0.2).item() == pytest.approx(math.log(2))
    assert nonnegative_risk(nothing, nothing, prior=0.2).item() == pytest.approx(math.log(2))
    even = evaluate_objective("ge-kl", nothing, nothing, prior=0.5)
    assert even.penalty.item() == pytest.approx(0, abs=1e-6)
    assert even.total.item() == pytest.approx(math.log(2))


def test_one_region_of_probability_one_half_costs_the_mean_of_two_logarithms():
    penalty = binomial_penalty(tensor([0.0]), prior=0.1)

    assert penalty.item() == pytest.approx(-(math.log(0.1) + math.log(0.9)) / 2)


@pytest.mark.parametrize("prior", [0.01, 0.3, 0.9])
def test_the_divergence_vanishes_only_where_the_mean_is_the_prior(prior):
    at_prior = torch.full((6,), math.log(prior / (1 - prior)), dtype=torch.float64)
    leaf = at_prior.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(expectation_penalty(leaf, prior=prior), leaf)

    assert expectation_penalty(at_prior, prior=prior).item() == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-12
    assert expectation_penalty(at_prior + 0.1, prior=prior) > 1e-6
    assert expectation_penalty(at_prior - 0.1, prior=prior) > 1e-6


def test_among_certain_classifiers_the_binomial_penalty_prefers_the_expected_count():
    counts = range(0, 101, 5)
    penalties = [
        binomial_penalty(tensor([40.0] * k + [-40.0] * (100 - k)), prior=0.25).item()
        for k in counts
    ]

    assert counts[penalties.index(min(penalties))] == 25


def test_the_nonnegative_risk_stops_pushing_where_negatives_cost_less_than_nothing():
    # certain negatives and a high prior: the estimate of the risk on negatives is below 0
    positive, unlabelled = tensor([2.0, 3.0]), tensor([-9.0, -9.0]).requires_grad_()

    risk = nonnegative_risk(positive, unlabelled, prior=0.5)
    (gradient,) = torch.autograd.grad(risk, unlabelled)

    expected = 0.5 * oracles.mean(oracles.cross_entropy(x, True) for x in (2.0, 3.0))
    assert risk.item() == pytest.approx(expected)
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", ["pn", "pu"])
def test_the_penalty_of_a_risk_is_its_part_on_negatives(name):
    positive, unlabelled = tensor([1.0, 2.0]), tensor([0.0, 1.0])

    terms = evaluate_objective(name, positive, unlabelled, prior=0.2)

    on_positives = 0.2 * oracles.mean(oracles.cross_entropy(x, True) for x in (1.0, 2.0))
    assert (terms.total - terms.penalty).item() == pytest.approx(on_positives)


def test_an_unknown_objective_is_an_error():
    with pytest.raises(KeyError):
        evaluate_objective("hinge", torch.zeros(2), torch.zeros(2), prior=0.1)
