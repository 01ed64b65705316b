"""Settings: frozen dataclasses that are read from and written to TOML.

A settings class is a frozen dataclass with keyword-only fields that validates itself in
`__post_init__`. Its field names are the TOML keys. Fields may have the type `str`, `int`,
`float`, `bool`, `Path`, a `Literal`, a tuple of those, another settings class (a TOML table),
or any of these `| None`. A key that is missing from the file takes its default.

- `check_ranges`: check the ranges of fields in `__post_init__`.
- `load_toml`: read settings from a file; every mistake in it is an error.
- `to_toml`: convert settings to the text of such a file.
- `hash_settings`: short identifier of settings, equal for equal values.
"""

import difflib
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Collection
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from cryopick.errors import FormatError, SettingsError
from cryopick.runs.text_files import read_text

__all__ = ["Help", "check_ranges", "hash_settings", "load_toml", "to_toml"]

Settings = TypeVar("Settings")

_MAX_BYTES = 1 << 20  # of a settings file
_MAX_LINE = 2048  # tomllib parses a key of many parts in quadratic time
_MAX_INTEGER = 2**63 - 1
_MAX_MESSAGE = 200  # characters of a wrong value that a message shows


@dataclass(frozen=True)
class Help:
    """Documentation of a settings field, attached to its type with `Annotated`.

    The options of the command line and the settings reference are generated from it.

    Attributes:
        text: Meaning and unit, as a sentence.
        default: Description of a default that depends on other values; empty if the value of
            the field says enough.
        option: Name of the option without dashes, if it differs from that of the field.
        metavar: Placeholder of the value in the help page; empty for the one of the type.
    """

    text: str
    default: str = ""
    option: str = ""
    metavar: str = ""


def check_ranges(
    settings: object,
    names: str,
    *,
    above: int | float = -math.inf,
    minimum: int | float = -math.inf,
    below: int | float = math.inf,
    maximum: int | float = math.inf,
) -> None:
    """Check that fields are finite numbers in a range.

    Args:
        settings: The settings.
        names: Names of the fields, separated by spaces. Fields that are None are not checked, and
            each item of a tuple is.
        above: The values must exceed this.
        minimum: Smallest valid value.
        below: The values must be smaller than this.
        maximum: Largest valid value.

    Raises:
        SettingsError: A value lies outside the range, or is infinite or not a number.
    """
    for name in names.split():
        values = getattr(settings, name)
        for value in values if isinstance(values, tuple) else (values,):
            if value is None or (above < value < below and minimum <= value <= maximum):
                continue
            limits = {"above": above, "at least": minimum, "below": below, "at most": maximum}
            words = [f"{word} {limit}" for word, limit in limits.items() if math.isfinite(limit)]
            if math.isfinite(minimum) and math.isfinite(maximum):
                words = [f"between {minimum} and {maximum}"]
            if not math.isfinite(value):
                words.append("finite")
            raise SettingsError(f"{name} must be {' and '.join(words)}; got {value}")


def load_toml(
    settings: type[Settings], path: Path, *, table: str = "", other_tables: Collection[str] = ()
) -> Settings:
    """Read settings from a TOML file.

    An integer is accepted for a float; no other conversions are made.

    Args:
        settings: The settings class.
        path: The file.
        table: Table of the file that holds the settings; empty for the top level.
        other_tables: Tables at the top level that belong to other settings.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not valid TOML.
        SettingsError: A key is unknown or missing, or a value has the wrong type or is rejected
            by the class.
    """
    text = read_text(path, max_bytes=_MAX_BYTES)
    if max(map(len, text.split("\n"))) > _MAX_LINE:
        raise FormatError(f"{path}: not a TOML file: a line has over {_MAX_LINE} characters")
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for a number of thousands of digits
        reason = " ".join(str(error).split())[:200]
        raise FormatError(f"{path}: not a TOML file: {reason}") from error
    if table:
        values = values.get(table, {})
    else:
        values = {key: value for key, value in values.items() if key not in other_tables}
    return _build_settings(settings, values, f"{path}: {table}" if table else str(path))


def to_toml(settings: Any) -> str:  # noqa: ANN401  # any settings class
    """Convert settings to TOML; fields that are None are omitted.

    Raises:
        TypeError: A value has a type that settings fields cannot have.
    """
    return _toml_lines(settings, "")


def hash_settings(settings: Any) -> str:  # noqa: ANN401  # any settings class
    """Return twelve hexadecimal digits that differ between classes and values of settings."""
    text = f"{type(settings).__qualname__}\n{to_toml(settings)}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _toml_lines(settings: Any, prefix: str) -> str:  # noqa: ANN401  # any settings class
    lines, tables = [], []
    for name in (field.name for field in fields(settings)):
        value = getattr(settings, name)
        if is_dataclass(value):
            tables.append(f"\n[{prefix}{name}]\n{_toml_lines(value, f'{prefix}{name}.')}")
        elif value is not None:
            lines.append(f"{name} = {_toml_value(value)}\n")
    return "".join(lines + tables)


def _build_settings(settings: type[Settings], values: dict[str, Any], where: str) -> Settings:
    former = getattr(settings, "FORMER_NAMES", {})
    values = {former.get(key, key): value for key, value in values.items()}
    types = typing.get_type_hints(settings)
    known_fields = {field.name: field for field in fields(typing.cast(Any, settings))}
    for key in values:
        if key not in known_fields:
            close = difflib.get_close_matches(key, known_fields, n=1, cutoff=0.0)
            hint = f"did you mean {close[0]!r}?" if close else "this table has no settings"
            raise SettingsError(f"{where}: unknown setting {key!r}; {hint}")
    for name, field in known_fields.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise SettingsError(f"{where}: the required setting {name!r} is missing; add it")
    converted = {
        key: _convert(value, types[key], f"{where}: {key}") for key, value in values.items()
    }
    try:
        return settings(**converted)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error


def _convert(value: Any, kind: Any, where: str) -> Any:  # noqa: ANN401  # whatever TOML holds
    """Convert a TOML value to the annotated type."""
    options = typing.get_args(kind) if _is_union(kind) else (kind,)
    for option in options:
        origin = typing.get_origin(option)
        if isinstance(option, type) and is_dataclass(option) and isinstance(value, dict):
            return _build_settings(option, value, where)
        if origin is Literal and any(
            _is_equal(value, choice) for choice in typing.get_args(option)
        ):
            return value
        if origin is tuple and isinstance(value, list):
            item = typing.get_args(option)[0]
            return tuple(_convert(v, item, f"{where}[{i}]") for i, v in enumerate(value))
        if option is float and type(value) in (int, float):
            try:
                number = float(value)
            except OverflowError:
                break
            if math.isnan(number):
                break
            return number
        if option is Path and isinstance(value, str):
            return Path(value)
        if type(value) is option and not (option is int and abs(value) > _MAX_INTEGER):
            return value
    expected = " or ".join(_describe_type(option) for option in options if option is not type(None))
    raise SettingsError(f"{where}: expected {expected}, found {_shorten(value)}")


def _shorten(value: object) -> str:
    """Format a value for a message."""
    try:
        text = json.dumps(value, default=str)
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        return "a value out of bounds"
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def _is_union(kind: Any) -> bool:  # noqa: ANN401  # an annotation
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _is_equal(value: object, choice: object) -> bool:
    return type(value) is type(choice) and value == choice


def _describe_type(kind: Any) -> str:  # noqa: ANN401  # an annotation
    """Describe a type in the terms of a settings file."""
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(json.dumps(choice) for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "a list"
    if is_dataclass(kind):
        return "a table"
    words = {str: "a string", Path: "a path", int: "an integer", float: "a number"}
    return words.get(kind, "true or false")


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # inf and nan are spelled the same in TOML
    if isinstance(value, str | Path):
        # TOML has the escapes of JSON and requires one for DEL as well
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    raise TypeError(f"settings cannot have the type {type(value).__name__}: {value!r}")
