"""Options as settings: what the command line says wins over a file, a file over the defaults.

An option is named as the field it sets. Fields of a table within the settings go by a name of
their own, as `width` for `network.width`.

- `settings_of`: a settings class from options and a TOML file.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from typer import BadParameter

from cryopick.errors import SettingsError

__all__ = ["settings_of"]

Settings = TypeVar("Settings")


def settings_of(
    kind: type[Settings],
    options: Mapping[str, Any],
    config: Path | None = None,
    within: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """Build settings from the options of a command.

    Args:
        kind: The settings class.
        options: Options by name; None means not given, and names that are no field of the
            class are passed over.
        config: TOML file that gives what the options do not.
        within: Options that set a field of a table, as {"width": "network.width"}.
        defaults: Fields that have other defaults than the class gives them, where there is no
            file.

    Raises:
        BadParameter: A setting without a default was given neither way.
        SettingsError: A value lies outside its range; also what `load_toml` raises.
    """
    from cryopick.config import load_toml

    given = {name: value for name, value in options.items() if value is not None}
    base: Any = load_toml(kind, config) if config else None
    hints = get_type_hints(kind)
    tables: dict[str, dict[str, Any]] = {}
    for option, place in (within or {}).items():
        if option in given:
            table, _, name = place.partition(".")
            tables.setdefault(table, {})[name] = given.pop(option)
    usual = dict(defaults or {})
    changes = {name: _checked(name, hints[name], given[name]) for name in hints if name in given}
    for table, values in tables.items():
        below = getattr(base, table) if base else usual.get(table) or hints[table]()
        changes[table] = replace(below, **values)
    if base:
        return cast(Settings, replace(base, **changes))
    changes = usual | changes
    for field in fields(cast(Any, kind)):
        if field.name not in changes and field.default is field.default_factory is MISSING:
            raise BadParameter(
                f"give --{field.name.replace('_', '-')}, or --config with a file that sets it"
            )
    return kind(**changes)


def _checked(name: str, hint: Any, value: Any) -> Any:  # noqa: ANN401  # any option's value
    """The value, which must be among the choices where the class names some."""
    choices = get_args(hint)
    if get_origin(hint) is Literal and value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    return value
