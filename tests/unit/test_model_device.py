import pytest
import torch

from cryopick.model.architectures import NetworkSettings
from cryopick.model.device import choose_device, choose_memory_format
from cryopick.model.networks import Scorer

CPU = torch.device("cpu")


def test_a_device_is_chosen_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device().type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize(
    ("network", "device", "layout"),
    [
        ("conv31", "cpu", torch.channels_last),
        ("dilated101", "cpu", torch.contiguous_format),
        ("dilated101", "cuda", torch.channels_last),
    ],
)
def test_the_memory_format_depends_on_network_and_device(network, device, layout):
    scorer = Scorer(NetworkSettings(name=network, width=2))

    assert choose_memory_format(scorer, torch.device(device)) == layout
