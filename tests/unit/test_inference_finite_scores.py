"""Tests that scores that are not finite are an error instead of no picks."""

import numpy as np
import pytest
import torch
from tests.unit.test_inference_score_map import image, scorer

from cryopick.errors import MicrographError
from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.model.ensemble import EnsemblePartner


@pytest.mark.parametrize("broken", ["network", "partner"])
def test_a_network_with_negative_variances_is_an_error(broken):
    networks = {"network": scorer(), "partner": scorer()}
    for module in networks[broken].modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(-1)
    partner = EnsemblePartner(networks["partner"], 1.0)

    with pytest.raises(MicrographError, match="scores are not finite; check the model"):
        compute_ensemble_score_map(networks["network"], partner, image(64, 64), step_px=4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_pixel_that_is_not_finite_is_an_error(value):
    pixels = image(64, 64)
    pixels[20, 30] = value

    with pytest.raises(MicrographError, match="scores are not finite"):
        compute_ensemble_score_map(scorer(), None, pixels, step_px=4)
