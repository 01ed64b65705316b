"""Options generated from settings classes."""

import dataclasses
import typing
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from cryopick.cli.app import MODULES, load
from cryopick.cli.options import Config
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.config import Help
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.proposals.settings import ProposeSettings
from cryopick.pick.settings import PickSettings
from cryopick.preprocess.settings import PreprocessSettings
from cryopick.simulate.settings import SimulationSettings
from cryopick.stack.settings import StackSettings
from cryopick.train.objectives import OBJECTIVES
from cryopick.train.settings import ObjectiveName, TrainSettings

COMMANDS = [
    ("train", TrainSettings),
    ("pick", PickSettings),
    ("preprocess", PreprocessSettings),
    ("propose", ProposeSettings),
    ("filaments", FilamentSettings),
    ("stack", StackSettings),
]


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: Annotated[int, Help("Width in pixels.")] = 4
    height: Annotated[int, Help("Height in pixels.", option="tall")] = 5


@dataclass(frozen=True, kw_only=True)
class Outer:
    needed: Annotated[int, Help("A number.")]
    kind: Annotated[typing.Literal["round", "square"], Help("Shape.")] = "round"
    range_um: Annotated[tuple[float, float], Help("A range.", metavar="MIN MAX")] = (1.5, 3.0)
    count: Annotated[float | None, Help("A count.", default="one each")] = None
    flip: Annotated[bool, Help("Flip it.")] = True
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    size: Annotated[float | None, Help("A size.")] = None
    size_range: Annotated[tuple[float, ...] | None, Help("A range of sizes.")] = None
    depth: Annotated[int, Help("A depth.")] = 1


@pytest.fixture
def run():
    """Run a command with the options of `Outer`; return its settings, or the failed result."""
    app = typer.Typer(rich_markup_mode=None)
    built = []

    @app.command()
    @expand_settings
    def command(
        options: Annotated[
            SettingsOptions[Outer], Fields(auto={"count": "auto counts."}, defaults={"kind": "any"})
        ],
        config: Config = None,
    ) -> None:
        built.append(options.build(config, {"range_um": (0.0, 1.0)}))

    def invoke(line):
        result = CliRunner().invoke(app, line.split())
        return built.pop() if built else result

    return invoke


def list_fields(settings_class):
    """Names of the fields, those of nested settings by their own names."""
    for one in dataclasses.fields(settings_class):
        nested = typing.get_type_hints(settings_class)[one.name]
        if dataclasses.is_dataclass(nested):
            yield from (f"{one.name}.{name}" for name in list_fields(nested))
        else:
            yield one.name


@pytest.mark.parametrize(("command", "settings_class"), COMMANDS)
def test_every_field_of_the_settings_is_an_option(command, settings_class):
    # Not options of their own: the second value of --diameter-ang, and a measured value.
    hidden = {"diameter_range_ang", "centre_offset_px"} if command == "pick" else set()
    names = hidden | {
        parameter.name.partition("__")[2] for parameter in load([command])[command].params
    }

    assert {name.replace(".", "__") for name in list_fields(settings_class)} <= names


def list_commands(group=None):
    """All commands, those of groups such as `models` included."""
    for command in (group or load(MODULES)).values():
        yield from list_commands(command.commands) if hasattr(command, "commands") else [command]


@pytest.mark.parametrize("command", list(list_commands()), ids=lambda command: command.name)
def test_every_option_has_a_help_text_that_is_a_sentence(command):
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            assert parameter.help[0].isupper() or parameter.help.startswith("auto")
            assert parameter.help.split(" [default")[0].split(" [required")[0].endswith(".")


def test_an_option_takes_precedence_over_the_file_and_the_file_over_defaults(run, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('needed = 1\nkind = "square"\n[inner]\nwidth = 8\nheight = 9\n')

    assert run(f"--needed 2 --width 7 --config {config}") == Outer(
        needed=2, kind="square", inner=Inner(width=7, height=9)
    )
    assert run("--needed 2 --width 7 --no-flip") == Outer(
        needed=2, inner=Inner(width=7), flip=False, range_um=(0.0, 1.0)
    )
    assert run("--needed 2 --tall 3 --range-um 1 2").inner == Inner(height=3)


def test_auto_unsets_a_field_that_the_file_sets(run, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("needed = 1\ncount = 3.0\n")

    assert run(f"--config {config}").count == 3.0
    assert run(f"--config {config} --count auto").count is None
    assert run(f"--config {config} --count 4.5").count == 4.5
    assert "expected a number or auto" in run("--needed 1 --count many").output


@pytest.mark.parametrize(
    ("in_file", "option", "expected"),
    [
        ("size = 150.0", "--size 120-180", Sizes(size_range=(120.0, 180.0), depth=3)),
        ("size_range = [1.0, 2.0]", "--size 7", Sizes(size=7.0, depth=3)),
        ("size_range = [1.0, 2.0]", "", Sizes(size_range=(1.0, 2.0), depth=3)),
    ],
)
def test_a_size_or_range_replaces_either_in_a_file_with_further_tables(
    tmp_path, in_file, option, expected
):
    app, built = typer.Typer(rich_markup_mode=None), []

    @app.command()
    @expand_settings
    def command(
        sizes: Annotated[
            SettingsOptions[Sizes], Fields(ranges={"size": "size_range"}, other_tables=("inner",))
        ],
        inner: Annotated[SettingsOptions[Inner], Fields(table="inner")],
        config: Config = None,
    ) -> None:
        built.extend([sizes.build(config), inner.build(config)])

    (tmp_path / "c.toml").write_text(f"depth = 3\n{in_file}\n[inner]\nwidth = 9\n")

    done = CliRunner().invoke(app, [*option.split(), "--config", str(tmp_path / "c.toml")])

    assert done.exit_code == 0, done.output
    assert built == [expected, Inner(width=9)]


def test_a_missing_required_option_is_a_usage_error(run):
    result = run("--width 3")

    assert result.exit_code == 2
    assert "add --needed, or set needed in the file" in " ".join(result.output.split())


def test_a_value_outside_the_choices_is_a_usage_error(run):
    result = run("--needed 1 --kind flat")

    assert result.exit_code == 2
    assert "round" in result.output


def test_the_help_states_defaults_and_required_options(run):
    text = " ".join(run("--help").output.split())

    assert "A number. [required]" in text
    assert "Shape. [default: any]" in text
    assert "A range. [default: 1.5 3]" in text
    assert "A count. auto counts. [default: one each]" in text
    assert "Flip it. [default: on]" in text
    assert "--range-um MIN MAX" in text
    assert "--tall" in text


def test_the_choices_of_the_objective_are_the_objectives():
    assert set(typing.get_args(ObjectiveName)) == set(OBJECTIVES)


def test_simulation_settings_without_an_option_are_keys_of_the_file():
    names = {p.name.partition("__")[2] for p in load(["simulate"])["simulate"].params}

    assert names - {""} <= {one.name for one in dataclasses.fields(SimulationSettings)}
