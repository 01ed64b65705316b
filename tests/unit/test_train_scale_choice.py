"""Decisions that a training from the general model shares with picking."""

from dataclasses import replace

import pytest
import torch

from cryopick.pick.decisions import Decision
from cryopick.train.settings import TrainSettings
from cryopick.workflows.events import Notice
from cryopick.workflows.scale_choice import choose_scale

CPU = torch.device("cpu")
SETTINGS = TrainSettings(diameter_ang=300.0, pixel_size_ang=2.0, init="general")


class Recorder:
    """Receiver of events that keeps the notices."""

    def __init__(self):
        self.notices = []

    def emit(self, event):
        assert isinstance(event, Notice)
        self.notices.append(event.message)


@pytest.fixture
def asked(monkeypatch):
    """Settings that picking was asked to complete; it finds bright rods."""
    settings_list = []

    def resolve(model, settings, device, paths):
        settings_list.append(settings)
        found = replace(
            settings, contrast="bright", width_ang=30.0, scale_ang=95.0, diameter_ang=320.0
        )
        return found, [Decision("contrast", "particles are bright")]

    monkeypatch.setattr("cryopick.workflows.scale_choice.resolve_settings", resolve)
    return settings_list


def test_training_decides_as_picking_does(asked):
    events = Recorder()

    chosen = choose_scale(SETTINGS, [], CPU, events)

    assert (chosen.contrast, chosen.width_ang, chosen.scale_ang) == ("bright", 30.0, 95.0)
    assert chosen.diameter_ang == 320.0
    assert chosen.working_size_ang == pytest.approx(95 / 17)
    assert (asked[0].diameter_ang, asked[0].pixel_size_ang) == (300.0, 2.0)
    assert events.notices == ["particles are bright"]


@pytest.mark.parametrize("values", [{"working_pixel_size_ang": 8.0}, {"init": "random"}])
def test_nothing_is_decided_for_a_given_pixel_size_or_random_weights(asked, values):
    settings = replace(SETTINGS, **values)

    assert choose_scale(settings, [], CPU, Recorder()) == settings
    assert not asked
