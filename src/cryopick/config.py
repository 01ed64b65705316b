"""Settings: frozen dataclasses, read from TOML and written to it.

A settings class is a frozen dataclass with keyword-only fields that checks itself in
`__post_init__`. Its field names are the TOML keys. Fields may be of type `str`, `int`,
`float`, `bool`, `Path`, a `Literal`, a tuple of those, another settings class (a TOML
table), or any of these `| None`; a key that is absent from the file stands for the default.
A class that renamed fields maps their old keys to the new ones in `FORMER_NAMES`, so that files
written before still open.

- `load_toml`: a file as settings; every mistake in it is an error.
- `to_toml`: settings as the text of such a file.
- `hash_settings`: a short name for settings, the same for the same values.
"""

import difflib
import hashlib
import json
import tomllib
import types
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from cryopick.errors import FormatError, InputError, SettingsError

__all__ = ["Help", "hash_settings", "load_toml", "to_toml"]

Settings = TypeVar("Settings")


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


def load_toml(settings: type[Settings], path: Path) -> Settings:
    """Read settings from a TOML file.

    A whole number is accepted where a float is due; nothing else is converted.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not TOML.
        SettingsError: A key is unknown or missing, or a value has the wrong type or is
            refused by the class.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the settings: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a TOML file: {error}") from error
    return _build(settings, values, str(path))


def to_toml(settings: Any) -> str:  # noqa: ANN401  # any settings class
    """Write settings as TOML; fields that are None are left out.

    Raises:
        TypeError: A value is of a type that no settings field may have.
    """
    return _toml_lines(settings, "")


def hash_settings(settings: Any) -> str:  # noqa: ANN401  # any settings class
    """Twelve hexadecimal digits that differ for settings of different class or values."""
    text = f"{type(settings).__qualname__}\n{to_toml(settings)}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _toml_lines(settings: Any, prefix: str) -> str:  # noqa: ANN401  # any settings class
    plain, tables = [], []
    for name in (field.name for field in fields(settings)):
        value = getattr(settings, name)
        if is_dataclass(value):
            tables.append(f"\n[{prefix}{name}]\n{_toml_lines(value, f'{prefix}{name}.')}")
        elif value is not None:
            plain.append(f"{name} = {_toml_value(value)}\n")
    return "".join(plain + tables)


def _build(settings: type[Settings], values: dict[str, Any], where: str) -> Settings:
    former = getattr(settings, "FORMER_NAMES", {})
    values = {former.get(key, key): value for key, value in values.items()}
    kinds = typing.get_type_hints(settings)
    known = {field.name: field for field in fields(typing.cast(Any, settings))}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            hint = f"did you mean {close[0]!r}?" if close else "there are none"
            raise SettingsError(f"{where}: unknown setting {key!r}; {hint}")
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise SettingsError(f"{where}: the setting {name!r} is missing; add it")
    checked = {key: _checked(value, kinds[key], f"{where}: {key}") for key, value in values.items()}
    try:
        return settings(**checked)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error


def _checked(value: Any, kind: Any, where: str) -> Any:  # noqa: ANN401  # whatever TOML holds
    """The value as the annotated type, or an error that says what was expected."""
    options = typing.get_args(kind) if _is_union(kind) else (kind,)
    for option in options:
        origin = typing.get_origin(option)
        if isinstance(option, type) and is_dataclass(option) and isinstance(value, dict):
            return _build(option, value, where)
        if origin is Literal and any(_same(value, choice) for choice in typing.get_args(option)):
            return value
        if origin is tuple and isinstance(value, list):
            item = typing.get_args(option)[0]
            return tuple(_checked(v, item, f"{where}[{i}]") for i, v in enumerate(value))
        if option is float and type(value) in (int, float):
            return float(value)
        if option is Path and isinstance(value, str):
            return Path(value)
        if type(value) is option:
            return value
    expected = " or ".join(_spoken(option) for option in options if option is not type(None))
    raise SettingsError(f"{where}: expected {expected}, found {json.dumps(value, default=str)}")


def _is_union(kind: Any) -> bool:  # noqa: ANN401  # an annotation
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _same(value: object, choice: object) -> bool:
    return type(value) is type(choice) and value == choice


def _spoken(kind: Any) -> str:  # noqa: ANN401  # an annotation
    """A type in the words of a settings file."""
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(json.dumps(choice) for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "a list"
    if is_dataclass(kind):
        return "a table"
    words = {str: "a text", Path: "a path", int: "a whole number", float: "a number"}
    return words.get(kind, "true or false")


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # inf and nan are spelt alike in TOML
    if isinstance(value, str | Path):
        # JSON's escapes are TOML's, save that TOML also wants DEL escaped
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    raise TypeError(f"a setting cannot be a {type(value).__name__}: {value!r}")
