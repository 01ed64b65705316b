"""Options generated from settings classes.

A command declares a parameter of type `SettingsOptions[SomeSettings]` and is decorated with
`expand_settings`. The parameter becomes one option per field: its name, type, default and help
come from the class, where the field is annotated with `cryopick.config.Help`. Fields of nested
settings become options as well, so that `width` in `network` is `--width`.

An option takes precedence over the settings file, and the file over the defaults.

- `expand_settings`: decorator that replaces the parameter by options.
- `Fields`: selection of the fields that a command offers.
- `SettingsOptions`: the options that were given; builds the settings.
- `list_fields`, `SettingsField`: the fields of a settings class with their help texts.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from functools import wraps
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    NamedTuple,
    Optional,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from typer import BadParameter, Option

from cryopick.config import Help

__all__ = ["AUTO", "Fields", "SettingsField", "SettingsOptions", "expand_settings", "list_fields"]

AUTO = "auto"

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Fields:
    """Selection of the fields of a settings class that a command offers as options.

    Attributes:
        only: Names of the fields, with a dot for nested ones; empty for all.
        skip: Names of fields to exclude.
        defaults: Descriptions of defaults that differ from those of the class.
        auto: Fields that also accept "auto", each with what that does.
        ranges: Fields that also accept a range such as 120-180, each with the field of the range.
        table: Table of a settings file that holds the settings; empty for the top level.
        other_tables: Tables of a settings file that belong to other settings of the command.
    """

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    auto: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
    other_tables: tuple[str, ...] = ()

    def selects(self, name: str) -> bool:
        """Check if the command offers the field."""
        is_skipped = name in self.skip or name in self.ranges.values()
        return not is_skipped and (not self.only or name in self.only)


class SettingsOptions(Generic[Settings]):
    """Options of a command that were given, by field of a settings class."""

    def __init__(
        self,
        settings_class: type[Settings],
        values: Mapping[str, Any],
        selection: Fields,
        *,
        takes_config: bool,
    ) -> None:
        """Keep the values of the options.

        Args:
            settings_class: The settings class.
            values: Values of the given options by name of the field, with a dot for nested ones.
            selection: The fields that the command offers.
            takes_config: The command also reads a settings file.
        """
        self._class, self._takes_config = settings_class, takes_config
        self._selection = selection
        self.values = dict(values)

    def build(
        self, config: Path | None = None, defaults: Mapping[str, Any] | None = None
    ) -> Settings:
        """Build the settings.

        The value "auto" sets a field to None if it may be None; otherwise it counts as not given.

        Args:
            config: Settings file for fields without an option on the command line.
            defaults: Defaults of some fields that replace those of the class; a settings file
                takes precedence over them.

        Raises:
            BadParameter: A field without a default has no value.
            SettingsError: A value lies outside its range, or the file is not valid.
        """
        from cryopick.config import load_toml

        hints = get_type_hints(self._class)
        table, others = self._selection.table, self._selection.other_tables
        base = None
        if config:
            base = load_toml(self._class, config, table=table, other_tables=others)
        changes = {} if base else dict(defaults or {})
        nested: dict[str, dict[str, Any]] = {}
        for path, value in self.values.items():
            table, _, name = path.rpartition(".")
            if value == AUTO and type(None) not in get_args(hints.get(path)):
                continue
            if table:
                nested.setdefault(table, {})[name] = value
            else:
                changes[name] = None if value == AUTO else value
        for table, values in nested.items():
            current = getattr(base, table) if base else changes.get(table) or hints[table]()
            changes[table] = replace(current, **values)
        if base:
            return cast(Settings, replace(cast(Any, base), **changes))
        self._require_all(changes)
        return self._class(**changes)

    def check(self, config: Path | None, *, only_required: bool) -> None:
        """Check the given values, as `build` does.

        Args:
            config: Settings file.
            only_required: Check only that nothing is missing; the command chooses some defaults.

        Raises:
            BadParameter: A field without a default has no value.
            SettingsError: A value lies outside its range, or the file is not valid.
        """
        if not only_required:
            self.build(config)
        elif config is None:
            self._require_all(self.values)

    def _require_all(self, values: Mapping[str, Any]) -> None:
        for one in fields(cast(Any, self._class)):
            if one.name not in values and one.default is one.default_factory is MISSING:
                option = f"--{one.name.replace('_', '-')}"
                file = f", or set {one.name} in the file given with --config"
                raise BadParameter(f"add {option}{file if self._takes_config else ''}")


def expand_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of type `SettingsOptions` by options, one per field."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    names: dict[str, dict[str, str]] = {}  # per settings parameter: path by parameter name
    selections: dict[str, Fields] = {}
    classes: dict[str, type[Any]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        declared = _settings_class(hints[name])
        if declared is None:
            as_keyword = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=hints[name], kind=as_keyword))
            continue
        classes[name], selection = declared
        options = {f"{name}__{o.path.replace('.', '__')}": o for o in list_fields(classes[name])}
        options = {key: o for key, o in options.items() if selection.selects(o.path)}
        selections[name] = selection
        names[name] = {key: o.path for key, o in options.items()}
        parameters += [_parameter(key, o, selection) for key, o in options.items()]
    takes_config = "config" in hints

    def collect(values: dict[str, Any]) -> dict[str, SettingsOptions[Any]]:
        """Take the options of settings out of the values, and return them by parameter."""
        collected = {}
        for name, paths in names.items():
            all_values = {path: values.pop(key) for key, path in paths.items()}
            option_values = {path: v for path, v in all_values.items() if v is not None}
            for path, range_path in selections[name].ranges.items():
                if path in option_values:  # replaces whichever of the two the file sets
                    value = option_values[path]
                    paths_of_value = (path, range_path)[:: -1 if isinstance(value, tuple) else 1]
                    option_values |= dict(zip(paths_of_value, (value, None), strict=True))
            collected[name] = SettingsOptions(
                classes[name], option_values, selections[name], takes_config=takes_config
            )
        return collected

    def check_settings(values: Mapping[str, Any], *, only_required: bool) -> None:
        """Check the values of the options without running the command."""
        config = values.get("config")
        for options in collect(dict(values)).values():
            options.check(Path(config) if config else None, only_required=only_required)

    @wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401  # any option's value
        collected = collect(values)
        command(**values, **collected)

    run.check_settings = check_settings  # type: ignore[attr-defined]  # for `cryopick submit`
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by Typer
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


class SettingsField(NamedTuple):
    """Field of a settings class, or of settings within it."""

    path: str
    type: Any
    help: Help
    field: "Field[Any]"


def _settings_class(hint: Any) -> tuple[type[Any], Fields] | None:  # noqa: ANN401  # a type
    """Split the annotation of a settings parameter; None for other parameters."""
    selection = Fields()
    if get_origin(hint) is Annotated:
        selection = next((one for one in hint.__metadata__ if isinstance(one, Fields)), selection)
        hint = get_args(hint)[0]
    if get_origin(hint) is not SettingsOptions:
        return None
    return get_args(hint)[0], selection


def list_fields(settings_class: type[Any], prefix: str = "") -> Iterator[SettingsField]:
    """List the fields that have a help text, including those of nested settings."""
    hints = get_type_hints(settings_class, include_extras=True)
    for one in fields(settings_class):
        hint = hints[one.name]
        if is_dataclass(hint):
            yield from list_fields(cast("type[Any]", hint), f"{prefix}{one.name}.")
        elif get_origin(hint) is Annotated:
            text = next(part for part in hint.__metadata__ if isinstance(part, Help))
            yield SettingsField(f"{prefix}{one.name}", get_args(hint)[0], text, one)


def _parameter(key: str, option: SettingsField, selection: Fields) -> inspect.Parameter:
    """Make a parameter of a command from a field."""
    name = option.help.option or option.field.name.replace("_", "-")
    text = option.help.text
    value_type, metavar = option.type, option.help.metavar or None
    parser: Callable[[str], object] | None = None
    if option.path in selection.auto:
        text = f"{text} {selection.auto[option.path]}"
        value_type, parser, metavar = str, _parse_number_or_auto, "NUMBER|auto"
    if option.path in selection.ranges:
        text = f"{text} A range such as 120-180 limits the estimate."
        value_type, parser, metavar = str, _parse_number_or_range, "NUMBER|LOW-HIGH"
    default = _describe_default(option, selection)
    flag = f"--{name}/--no-{name}" if option.type is bool else f"--{name}"
    info = Option(flag, help=f"{text}{default and f' [{default}]'}", metavar=metavar, parser=parser)
    return inspect.Parameter(
        key,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Optional[value_type], info],  # noqa: UP045  # a value, not a type
    )


def _describe_default(option: SettingsField, selection: Fields) -> str:
    """Describe the default as Typer does; empty if there is none to describe."""
    default = option.field.default
    if text := selection.defaults.get(option.path, option.help.default):
        return f"default: {text}"
    if default is MISSING:
        return "required"
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        return f"default: {'on' if default else 'off'}"
    values = default if isinstance(default, tuple) else (default,)
    texts = (f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    return f"default: {' '.join(texts)}"


def _parse_number_or_auto(text: str) -> float | str:
    """Parse the value of an option that accepts a number or "auto"."""
    if text == AUTO:
        return text
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number != number:
        raise BadParameter(f"expected a number or auto, got {text!r}")
    return number


def _parse_number_or_range(text: str) -> float | tuple[float, float]:
    """Parse the value of an option that accepts a number or a range of two."""
    parts = re.fullmatch(r"\s*([0-9.]+)\s*[-–]\s*([0-9.]+)\s*", text)  # an en dash too
    try:
        return (float(parts[1]), float(parts[2])) if parts else float(text)
    except ValueError:
        raise BadParameter(
            f"expected a number such as 150 or a range such as 120-180, got {text!r}"
        ) from None
