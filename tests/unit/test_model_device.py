import pytest
import torch

from cryopick.errors import SettingsError
from cryopick.model import device as device_module
from cryopick.model.architectures import NetworkSettings
from cryopick.model.device import CPU, Device, choose_device, require_device
from cryopick.model.networks import Scorer
from cryopick.model.torch_device import choose_memory_format


def test_a_device_is_chosen_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device().type in ("cpu", "cuda", "mps")
    assert str(Device("cuda", 1)) == str(torch.device("cuda", 1))
    assert str(choose_device("cuda:1")) == "cuda:1"


def test_auto_asks_torch_only_where_a_gpu_may_be_used(monkeypatch):
    monkeypatch.setattr(device_module, "_may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    assert choose_device() == Device("cuda")

    monkeypatch.setattr(device_module, "_may_have_gpu", lambda: False)
    assert choose_device() == CPU


@pytest.mark.parametrize("name", ["abacus", "meta:-3"])
def test_a_device_that_cannot_be_used_is_an_error(name):
    with pytest.raises(SettingsError, match=f"--device {name}: not available"):
        require_device(name)


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
