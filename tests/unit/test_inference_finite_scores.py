"""Tests that scores that are not finite are an error instead of no picks."""

from dataclasses import replace

import numpy as np
import pytest
from tests.trained_networks import image, make_network

from cryopick.errors import FormatError, MicrographError
from cryopick.inference.engine import optimize_ensemble
from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.model.device import CPU
from cryopick.model.ensemble import EnsemblePartner


@pytest.mark.parametrize("name", ["conv31", "unet97"])
@pytest.mark.parametrize("broken", ["network", "partner"])
def test_a_network_with_negative_variances_is_an_error(name, broken):
    networks = {"network": make_network(name), "partner": make_network(name)}
    weights = {
        key: values - 9 if key.endswith("running_var") else values
        for key, values in networks[broken].weights.items()
    }
    networks[broken] = replace(networks[broken], weights=weights)
    partner = EnsemblePartner(networks["partner"], 1.0)

    with pytest.raises(FormatError, match=r"the model is damaged: .* is not finite"):
        optimize_ensemble(networks["network"], partner, "float32", CPU, step_px=2)


@pytest.mark.parametrize("name", ["conv31", "unet97"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_pixel_that_is_not_finite_is_an_error(name, value):
    pixels = image(64, 64)
    pixels[20, 30] = value
    ensemble = optimize_ensemble(make_network(name), None, "float32", CPU, step_px=2)

    with pytest.raises(MicrographError, match="pixels or scores are not finite"):
        compute_ensemble_score_map(ensemble, pixels)


def test_scores_beyond_the_range_of_numbers_are_an_error():
    network = make_network("conv31")
    weights = dict(network.weights) | {"head.weight": network.weights["head.weight"] * 1e38}
    network = replace(network, weights=weights)
    ensemble = optimize_ensemble(network, None, "float32", CPU, step_px=2)

    with pytest.raises(MicrographError, match="pixels or scores are not finite; check the model"):
        compute_ensemble_score_map(ensemble, 1e4 * image(64, 64))
