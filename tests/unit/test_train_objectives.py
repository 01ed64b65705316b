import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_learn as oracles

from cryopick.train.count_distribution import (
    EXACT_BELOW_VARIANCE,
    approximate_by_gaussian,
    compute_exact_counts,
)
from cryopick.train.objectives import (
    binomial_penalty,
    evaluate_objective,
    expectation_penalty,
    nonnegative_risk,
    positive_negative_risk,
    reversed_nonnegative_risk,
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
def test_the_binomial_penalty_of_few_regions_is_that_of_an_enumeration(unlabelled, prior):
    q = oracles.exact_counts(unlabelled)

    penalty = binomial_penalty(tensor(unlabelled), prior=prior)

    assert penalty.item() == pytest.approx(oracles.count_cross_entropy(q, prior), rel=1e-9)


@few
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8), st.floats(0.05, 0.95))
def test_the_binomial_gradient_of_few_regions_is_that_of_an_enumeration(unlabelled, prior):
    fast, slow = (tensor(unlabelled).requires_grad_() for _ in range(2))

    (gradient,) = torch.autograd.grad(binomial_penalty(fast, prior=prior), fast)

    (expected,) = torch.autograd.grad(oracles.autograd_binomial_penalty(slow, prior), slow)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-10)


def binomial_penalties(expected_positives, dtype=torch.float64, trials=800, prior=0.02):
    """Return penalty and gradient as trained and by recursion, for scattered logits."""
    torch.manual_seed(0)
    scattered = 2 * torch.randn(trials, dtype=torch.float64)
    low, high = -30.0, 10.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        is_low = torch.sigmoid(scattered + middle).sum() < expected_positives
        low, high = (middle, high) if is_low else (low, middle)
    fast, slow = ((scattered + low).to(kind).requires_grad_() for kind in (dtype, torch.float64))
    penalty = binomial_penalty(fast, prior=prior)
    q = oracles.exact_counts_by_recursion(torch.sigmoid(slow))
    expected = -sum(chance * oracles.log_binomial(k, trials, prior) for k, chance in enumerate(q))
    (gradient,) = torch.autograd.grad(penalty, fast)
    (expected_gradient,) = torch.autograd.grad(expected, slow)
    return penalty, gradient.double(), expected, expected_gradient


@pytest.mark.parametrize("expected_positives", [0.02, 0.3, 3.0, 12.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 3e-4)])
def test_the_binomial_penalty_of_many_regions_is_exact_where_few_positives_are_expected(
    expected_positives, dtype, tolerance
):
    penalty, gradient, expected, exact = binomial_penalties(expected_positives, dtype)

    assert penalty.item() == pytest.approx(expected.item(), rel=tolerance)
    assert (gradient - exact).norm() < tolerance * exact.norm()


def test_the_gaussian_replaces_the_exact_count_only_where_its_gradient_is_within_a_percent():
    _, gradient, _, exact = binomial_penalties(35.0)  # variance 19, above the limit

    assert (gradient - exact).norm() < 0.01 * exact.norm()
    assert (gradient - exact).norm() > 1e-7 * exact.norm()


def test_counts_are_exact_around_a_large_mean_of_certain_regions():
    # 300 certain positives: the window of counts does not begin at zero
    g = torch.sigmoid(tensor([50.0] * 300 + [-1.0] * 20 + [-50.0] * 300))

    distribution = compute_exact_counts(g)

    exact = oracles.exact_counts_by_recursion(g)
    assert distribution.counts[0] > 250
    torch.testing.assert_close(
        distribution.probabilities, exact[distribution.counts.long()], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("logit", [-40.0, 0.0, 40.0])
def test_counts_of_equal_regions_are_finite_and_sum_to_one(logit):
    g = torch.sigmoid(torch.full((64,), logit)).requires_grad_()

    distribution = compute_exact_counts(g)
    (gradient,) = torch.autograd.grad(distribution.probabilities.square().sum(), g)

    assert distribution.probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    assert gradient.isfinite().all()


@few
@given(logits)
def test_the_gaussian_of_counts_is_that_of_its_twin(unlabelled):
    distribution = approximate_by_gaussian(torch.sigmoid(tensor(unlabelled)))

    expected = oracles.gaussian_counts(unlabelled, FLOOR)
    assert distribution.probabilities.tolist() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("trials", [65, 300])
@pytest.mark.parametrize("prior", [0.003, 0.2, 0.97])
def test_a_certain_count_costs_its_binomial_probability(trials, prior):
    certain = trials // 2
    unlabelled = tensor([60.0] * certain + [-60.0] * (trials - certain))

    penalty = binomial_penalty(unlabelled, prior=prior)

    assert penalty.item() == pytest.approx(-oracles.log_binomial(certain, trials, prior), rel=1e-9)


def test_the_exact_count_and_the_gaussian_meet_without_a_step():
    # g = 1/2: the variance is a quarter of the number of regions
    trials = round(4 * EXACT_BELOW_VARIANCE)
    below, above = (
        binomial_penalty(torch.zeros(trials, dtype=torch.float64) + shift, prior=0.5).item()
        for shift in (1e-3, 0.0)
    )

    assert above == pytest.approx(below, rel=2e-3)


@few
@given(
    st.lists(st.floats(-6, 6), min_size=1, max_size=6),
    st.lists(st.floats(-6, 6), min_size=1, max_size=6),
    priors,
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.5, 1.0]),
)
def test_the_reversed_risk_has_the_gradient_of_kiryos_algorithm(
    positive, unlabelled, prior, tolerance, reverse_scale
):
    p, u = tensor(positive).requires_grad_(), tensor(unlabelled).requires_grad_()

    risk = reversed_nonnegative_risk(
        p, u, prior=prior, tolerance=tolerance, reverse_scale=reverse_scale
    )
    gradients = torch.autograd.grad(risk, (p, u))

    expected = oracles.autograd_nonnegative(p, u, prior, tolerance, reverse_scale)
    for gradient, twin in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, twin, rtol=1e-9, atol=1e-12)


def test_the_reversed_risk_steps_back_where_negatives_cost_less_than_nothing():
    positive, unlabelled = tensor([2.0, 3.0]), tensor([-9.0, -9.0]).requires_grad_()

    risk = reversed_nonnegative_risk(positive, unlabelled, prior=0.5)
    (gradient,) = torch.autograd.grad(risk, unlabelled)

    assert risk.item() == pytest.approx(nonnegative_risk(positive, unlabelled, prior=0.5).item())
    assert (gradient < 0).all()  # a descent step raises the scores of unlabelled regions


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
