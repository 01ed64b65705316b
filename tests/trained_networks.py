"""Networks with random weights in all layers, and images for them."""

import numpy as np
import torch

from cryopick.model.architectures import NetworkSettings
from cryopick.model.networks import Scorer, extract_network


def make_network(name, width=2):
    """Make a network with random weights in all layers, as a new one returns 0 everywhere."""
    torch.manual_seed(2)
    scorer = Scorer(NetworkSettings(name=name, width=width)).eval()
    for module in scorer.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.3, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
        if isinstance(module, torch.nn.PReLU):
            torch.nn.init.uniform_(module.weight, 0.05, 0.5)
    torch.nn.init.normal_(scorer.head.weight)
    return extract_network(scorer)


def image(height, width):
    return np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
