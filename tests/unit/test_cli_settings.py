"""Options as settings: what is stated, what wins, what is refused."""

import dataclasses
import re
import typing
from dataclasses import dataclass, field

import pytest
import typer.main
from tests import tiny

from cryopick.cli import load
from cryopick.cli.settings import settings_of
from cryopick.cli.train import WITHIN
from cryopick.errors import SettingsError
from cryopick.pick.settings import PickSettings
from cryopick.preprocess.dataset import DIAMETER_PX
from cryopick.preprocess.export import PreprocessSettings
from cryopick.simulate.settings import SimulationSettings
from cryopick.train.initialization import usual_settings
from cryopick.train.objectives import OBJECTIVES
from cryopick.train.settings import TrainSettings

COMMANDS = [
    ("train", TrainSettings, WITHIN),
    ("pick", PickSettings, {}),
    ("score", PickSettings, {}),
    ("preprocess", PreprocessSettings, {}),
    ("simulate", SimulationSettings, {}),
]
# Defaults that are None in the class, in the words of the help text.
FOLLOWING = {
    "working_pixel_size_ang": f"the diameter over {DIAMETER_PX:g}",
    "penalty_weight": f"{OBJECTIVES['ge-kl'].weight:g} for ge-kl, "
    f"{OBJECTIVES['ge-binomial'].weight:g} for ge-binomial",
    "patch_px": "three receptive fields",
    "pixel_size_ang": "as the files say",
    "radius_ang": "half the diameter",
    "diameter_ang": "the model's",
    "step_px": "2, or the network's stride",
    "particles_per_micrograph": "auto: as micrographs and labels tell",
    "guide_weight": "72 over the labels, at most 4",
}
# Defaults that the command has and the class has not.
OTHERWISE = {
    "init": "general",
    "steps": "200, and 12 a label, at least 200 and at most 900",
    "proposal_steps": "200, at most two fifths of all",
    "colour": "0.2",
}


def default_of(kind, place):
    """The default of a field, or of a field of a table as in `network.width`."""
    name, _, inner = place.partition(".")
    if inner:
        return default_of(typing.get_type_hints(kind)[name], inner)
    return {f.name: f.default for f in dataclasses.fields(kind)}[name]


def options_of(command, kind, within):
    fields = {f.name for f in dataclasses.fields(kind)}
    parameters = load([command])[command].params
    return [(p, within.get(p.name, p.name)) for p in parameters if p.name in fields | set(within)]


STATED = [
    pytest.param(kind, option, place, id=f"{command}-{option.name}")
    for command, kind, within in COMMANDS
    for option, place in options_of(command, kind, within)
]


@pytest.mark.parametrize(("kind", "option", "place"), STATED)
def test_the_help_states_the_default_of_the_class(kind, option, place, tmp_path):
    default = OTHERWISE.get(option.name, default_of(kind, place))
    found = re.search(r"\[([^\]]*)\]\.?$", option.help)

    if found and "; from a model " in found[1]:
        of_class, of_model = found[1].split("; from a model ")
        assert of_class == (f"{default:g}" if isinstance(default, float) else str(default))
        name, _, inner = place.partition(".")
        suited = usual_settings("m", tiny.model(tmp_path / "m.safetensors"), 100.0)
        usual = suited.get(name, default_of(kind, name))
        assert of_model == f"{getattr(usual, inner) if inner else usual:g}"
    elif default is dataclasses.MISSING:
        assert "needed" in option.help
    elif default is None:
        assert found is None or found[1] in (FOLLOWING[option.name], "its own")
        assert found or option.name in ("factor", "diameter_ang")
    elif isinstance(default, bool):
        assert found[1] == ("yes" if default else "no")
    elif isinstance(default, tuple):
        assert tuple(map(float, found[1].split())) == default
    else:
        assert found[1] == (f"{default:g}" if isinstance(default, float) else str(default))


def test_every_setting_of_training_and_picking_is_an_option():
    for command, kind, within in (COMMANDS[0], COMMANDS[1]):
        reached = {place for _, place in options_of(command, kind, within)}
        tables = {place.split(".")[0] for place in within.values()}
        wanted = {f.name for f in dataclasses.fields(kind)} - tables
        for table in tables:
            inner = dataclasses.fields(typing.get_type_hints(kind)[table])
            wanted |= {f"{table}.{f.name}" for f in inner}
        assert reached == wanted


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 4
    height: int = 5


@dataclass(frozen=True, kw_only=True)
class Outer:
    needed: int
    kind: typing.Literal["round", "square"] = "round"
    inner: Inner = field(default_factory=Inner)


INTO = {"width": "inner.width"}


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('needed = 1\nkind = "square"\n[inner]\nwidth = 8\nheight = 9\n')
    options = {"needed": 2, "kind": None, "width": 7, "out": "not a setting"}

    assert settings_of(Outer, options, config, INTO) == Outer(
        needed=2, kind="square", inner=Inner(width=7, height=9)
    )
    assert settings_of(Outer, options, None, INTO) == Outer(needed=2, inner=Inner(width=7))


def test_what_has_no_default_is_asked_for():
    with pytest.raises(typer.BadParameter, match="give --needed, or --config"):
        settings_of(Outer, {"needed": None})


def test_a_value_that_is_no_choice_is_refused():
    with pytest.raises(SettingsError, match="kind must be one of round, square; got 'flat'"):
        settings_of(Outer, {"needed": 1, "kind": "flat"})
