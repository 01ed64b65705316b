"""Warnings about models that are used at another size than they were trained at."""

from dataclasses import replace

import pytest
from tests import oracles_learn as oracles

from cryopick.model.model_file import Model
from cryopick.model.networks import extract_network
from cryopick.pick.settings import PickSettings
from cryopick.preprocess.normalize import Normalization
from cryopick.workflows.size_check import describe_other_size

MODEL = Model(
    network=extract_network(oracles.blob_scorer()),
    diameter_ang=150.0,
    working_pixel_size_ang=8.0,
    normalization=Normalization("affine"),
    label_radius_px=2.0,
    summary={"settings": {"pixel_size_ang": 1.5}},
)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"diameter_ang": 75.0}, "--diameter-ang is 75, but the model was trained with 150"),
        ({"pixel_size_ang": 3.0}, "--pixel-size-ang is 3, but the model was trained with 1.5"),
        ({"pixel_size_ang": 0.75}, "trained with 1.5"),
    ],
)
def test_half_the_diameter_and_twice_the_pixel_size_are_reported(given, words):
    assert words in describe_other_size(MODEL, PickSettings(**given))


@pytest.mark.parametrize(
    "given", [{}, {"diameter_ang": 160.0}, {"pixel_size_ang": 1.06}, {"pixel_size_ang": 2.1}]
)
def test_similar_sizes_and_other_magnifications_are_not(given):
    assert describe_other_size(MODEL, PickSettings(**given)) == ""


def test_the_general_model_is_for_all_sizes():
    general = replace(MODEL, detects_contrast=True)

    assert describe_other_size(general, PickSettings(diameter_ang=40.0, pixel_size_ang=9.0)) == ""
