"""Contract tests of all networks."""

import pytest
import torch

from cryopick.model.architectures import NETWORKS, NetworkSettings
from cryopick.model.networks import Decoder, Scorer

every_network = pytest.mark.parametrize("name", NETWORKS)


def scorer(name, *, seed=0, dropout=0.0, width=2):
    """A narrow network with batch statistics and slopes unlike those of a fresh one."""
    torch.manual_seed(seed)
    network = Scorer(NetworkSettings(name=name, width=width, dropout=dropout))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, torch.nn.PReLU):
            torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    return network.eval()


@every_network
def test_a_score_depends_exactly_on_its_receptive_field(name):
    network = scorer(name)
    field, stride = network.receptive_field_px, network.stride_px
    side = field + 2 * stride
    # gradients of several random images, as ReLU-like units may shut a pixel out of one
    reached = torch.zeros(side, side)
    for _ in range(4):
        image = torch.randn(1, 1, side, side, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(image)[0, 1, 2], image)
        reached += gradient[0, 0].abs()

    rows, columns = (reached.sum(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    assert (rows.min(), rows.max() + 1) == (stride, stride + field)
    assert (columns.min(), columns.max() + 1) == (2 * stride, 2 * stride + field)
    assert field % 2 == 1


@every_network
def test_an_image_of_one_receptive_field_gives_one_score(name):
    network = scorer(name)
    field, stride = network.receptive_field_px, network.stride_px

    for extra, scores in [(0, 1), (stride - 1, 1), (stride, 2)]:
        image = torch.zeros(1, 1, field, field + extra)
        assert network(image).shape == (1, 1, scores)
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 1, field, field - 1))


@every_network
def test_dense_scores_equal_those_of_crops(name):
    network = scorer(name)
    field, stride = network.receptive_field_px, network.stride_px
    image = torch.randn(1, 1, field + 3 * stride, field + 2 * stride + 1)
    with torch.inference_mode():
        dense = network(image)[0]
        alone = torch.tensor(
            [
                [
                    network(image[..., y * stride :, x * stride :][..., :field, :field]).item()
                    for x in range(dense.shape[1])
                ]
                for y in range(dense.shape[0])
            ]
        )

    # two orders of summation in single precision
    torch.testing.assert_close(dense, alone, rtol=1e-5, atol=1e-5)
    assert dense.std() > 1e-3


@every_network
def test_initial_weights_depend_on_the_seed(name):
    first, repeated, other = (scorer(name, seed=seed).state_dict() for seed in (3, 3, 4))

    assert all(torch.equal(first[key], repeated[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@every_network
def test_dropout_is_active_only_in_training(name):
    network = scorer(name, dropout=0.5, width=4)
    image = torch.randn(1, 1, network.receptive_field_px, network.receptive_field_px)
    with torch.no_grad():
        certain = {network(image).item() for _ in range(2)}
        network.dropout.train()  # alone, so that batch normalisation stays as it is
        dropped = {network(image).item() for _ in range(20)}

    assert len(certain) == 1
    assert len(dropped) > 5


@every_network
def test_without_dropout_the_head_is_the_same_in_training(name):
    network = scorer(name)
    features = torch.randn(3, network.features, 2, 2)

    assert torch.equal(network.train().classify(features), network.eval().classify(features))


@every_network
def test_every_weight_has_a_gradient(name):
    network = scorer(name).train()
    side = network.receptive_field_px + network.stride_px
    torch.autograd.backward(network(torch.randn(4, 1, side, side)).square().sum())

    assert all(weight.grad is not None for weight in network.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


@every_network
@pytest.mark.parametrize("prior", [0.001, 0.3])
def test_an_initialized_head_predicts_the_prior(name, prior):
    network = scorer(name)
    network.initialize_head(prior)
    side = network.receptive_field_px
    with torch.no_grad():
        predicted = torch.sigmoid(network(torch.randn(3, 1, side, side)))

    torch.testing.assert_close(predicted, torch.full((3, 1, 1), prior))


@every_network
def test_the_decoder_returns_regions_of_the_receptive_field(name):
    network = scorer(name)
    decoder = Decoder(network.features, network.receptive_field_px)
    features = torch.randn(3, network.features, requires_grad=True)

    regions = decoder(features)
    (gradient,) = torch.autograd.grad(regions.square().sum(), features)

    assert regions.shape == (3, network.receptive_field_px, network.receptive_field_px)
    assert gradient.abs().sum() > 0
