import pytest
from tests.trained_networks import make_network

from cryopick.model.architectures import ENCODER_DECODER, NETWORKS, NetworkSettings
from cryopick.model.networks import Scorer, build_scorer
from cryopick.model.trained_network import check_weights, list_weights


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("name", [*NETWORKS, ENCODER_DECODER])
def test_the_listed_weights_are_those_of_the_module(name, width):
    settings = NetworkSettings(name=name, width=width)
    scorer = Scorer(settings)

    shapes = list_weights(settings)

    assert shapes == {key: tuple(value.shape) for key, value in scorer.state_dict().items()}


@pytest.mark.parametrize("name", ["conv31", "resnet71", ENCODER_DECODER])
def test_weights_of_a_module_pass_the_check_and_are_restored(name):
    network = make_network(name)

    check_weights(network.settings, network.weights)

    restored = build_scorer(network)
    assert (restored.receptive_field_px, restored.stride_px, restored.features) == (
        network.receptive_field_px,
        network.stride_px,
        network.features,
    )
    for key, values in restored.state_dict().items():
        assert (values.numpy() == network.weights[key]).all()
