import math

import pytest

from cryopick.errors import SettingsError
from cryopick.pick.settings import PickSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": math.nan}, "threshold must be a number; got nan"),
        ({"radius_ang": 0.0}, "radius_ang must be above 0; got 0"),
        ({"diameter_ang": -3.0}, "diameter_ang must be above 0; got -3"),
        ({"pixel_size_ang": math.inf}, "pixel_size_ang must be above 0 and finite; got inf"),
        ({"radius_ang": math.nan}, "radius_ang must be above 0 and finite; got nan"),
        ({"step_px": 0}, "step_px must be at least 1; got 0"),
        ({"width_ang": 0.0, "diameter_ang": 9.0}, "width_ang must be above 0; got 0"),
        ({"width_ang": 30.0}, "width_ang needs a diameter_ang"),
        ({"width_ang": 30.0, "diameter_ang": 20.0}, "width_ang needs a diameter_ang"),
        ({"margin_ang": -1.0}, "margin_ang must be at least 0; got -1"),
        ({"margin_ang": math.nan}, "margin_ang must be at least 0 and finite; got nan"),
    ],
)
def test_settings_out_of_range_are_rejected(values, message):
    with pytest.raises(SettingsError, match=message):
        PickSettings(**values)


def test_the_defaults_are_valid_and_the_threshold_may_be_infinite():
    assert PickSettings().threshold < 0
    assert PickSettings(threshold=-math.inf).threshold == -math.inf
