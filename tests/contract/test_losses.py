"""Contract test of all objectives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.train.objectives import OBJECTIVES, evaluate_objective

every_objective = pytest.mark.parametrize("name", OBJECTIVES)
logits = st.lists(st.floats(-8, 8), min_size=1, max_size=12)
priors = st.floats(0.01, 0.99)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def total(name, positive, unlabelled, prior=0.1):
    return evaluate_objective(name, positive, unlabelled, prior=prior).total


def gradients(name, positive, unlabelled, prior=0.1):
    leaves = positive.clone().requires_grad_(), unlabelled.clone().requires_grad_()
    return torch.autograd.grad(total(name, *leaves, prior=prior), leaves)


@every_objective
@settings(deadline=None, max_examples=25)
@given(logits, logits, priors)
def test_the_value_is_one_finite_number_with_finite_gradients(name, positive, unlabelled, prior):
    terms = evaluate_objective(name, tensor(positive), tensor(unlabelled), prior=prior)

    assert terms.total.shape == terms.penalty.shape == ()
    assert terms.total.isfinite()
    assert terms.penalty.isfinite()
    for gradient in gradients(name, tensor(positive), tensor(unlabelled), prior):
        assert gradient.isfinite().all()


@every_objective
@settings(deadline=None, max_examples=25)
@given(st.data(), logits, logits)
def test_order_does_not_matter(name, data, positive, unlabelled):
    other_positive = data.draw(st.permutations(positive))
    other_unlabelled = data.draw(st.permutations(unlabelled))

    value = total(name, tensor(positive), tensor(unlabelled))

    other = total(name, tensor(other_positive), tensor(other_unlabelled))
    assert other.item() == pytest.approx(value.item(), abs=1e-12)


@every_objective
@settings(deadline=None, max_examples=25)
@given(logits, logits, st.floats(0.01, 3))
def test_higher_scores_of_labelled_regions_cost_less(name, positive, unlabelled, rise):
    before = total(name, tensor(positive), tensor(unlabelled))

    assert total(name, tensor(positive) + rise, tensor(unlabelled)) < before


@every_objective
def test_gradients_agree_with_finite_differences(name):
    torch.manual_seed(0)
    positive = torch.randn(4, dtype=torch.float64, requires_grad=True)
    unlabelled = torch.randn(7, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(
        lambda p, u: total(name, p, u, prior=0.2), (positive, unlabelled)
    )


@every_objective
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("high", "low"), [(50.0, -50.0), (-50.0, 50.0), (50.0, 50.0)])
def test_saturated_scores_give_finite_values_and_gradients(name, dtype, high, low):
    positive, unlabelled = torch.full((3,), high, dtype=dtype), torch.full((9,), low, dtype=dtype)

    assert total(name, positive, unlabelled).isfinite()
    for gradient in gradients(name, positive, unlabelled):
        assert gradient.isfinite().all()


@every_objective
def test_single_precision_is_near_double(name):
    torch.manual_seed(0)
    positive, unlabelled = torch.randn(64), torch.randn(4000) - 3

    value = total(name, positive, unlabelled)

    assert value.dtype == torch.float32
    # the binomial penalty of thousands of regions is a sum of large logarithms
    assert value.item() == pytest.approx(
        total(name, positive.double(), unlabelled.double()).item(), rel=1e-4
    )


@every_objective
def test_training_on_an_objective_alone_parts_labelled_regions_from_the_rest(name):
    # nine of ten unlabelled regions look otherwise than the labelled ones: one weight decides
    kind = tensor([1.0] + [-1.0] * 9)
    weight, bias = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([weight, bias], lr=0.1)
    for _ in range(200):
        loss = total(name, bias + weight * tensor([1.0]), bias + weight * kind)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    assert (bias + weight).item() > (bias - weight).item() + 2


@every_objective
@pytest.mark.parametrize("prior", [-0.1, 0.0, 1.0, 1.5, math.nan])
def test_a_prior_outside_the_unit_interval_is_refused(name, prior):
    with pytest.raises(ValueError, match="prior must be strictly between 0 and 1; got"):
        evaluate_objective(name, torch.zeros(3), torch.zeros(3), prior=prior)


@every_objective
@pytest.mark.parametrize(("positive", "unlabelled"), [(0, 3), (3, 0)])
def test_an_empty_set_is_refused(name, positive, unlabelled):
    with pytest.raises(ValueError, match=f"got {positive} and {unlabelled}"):
        evaluate_objective(name, torch.zeros(positive), torch.zeros(unlabelled), prior=0.1)


@every_objective
def test_a_weight_is_used_or_refused_but_never_ignored(name):
    unlabelled = torch.ones(5)
    if OBJECTIVES[name].weight is None:
        with pytest.raises(ValueError, match=f"'{name}' has no weight; got 2"):
            evaluate_objective(name, torch.zeros(3), unlabelled, prior=0.1, weight=2.0)
        return

    by_default = evaluate_objective(name, torch.zeros(3), unlabelled, prior=0.1)
    without = evaluate_objective(name, torch.zeros(3), unlabelled, prior=0.1, weight=0.0)

    assert without.total.item() == pytest.approx(math.log(2))
    paper = {"ge-kl": 10.0, "ge-binomial": 1.0}[name]
    gap = (by_default.total - without.total).item()
    assert gap == pytest.approx(paper * by_default.penalty.item(), rel=1e-6)
