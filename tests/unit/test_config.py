import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.config import check_ranges, hash_settings, load_toml, to_toml
from cryopick.errors import FormatError, InputError, SettingsError


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    radius_px: int = 14
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    limit: int | None = None
    folder: Path = Path()
    layers: tuple[float, ...] = ()
    fast: bool = False
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.radius_px < 1:
            raise SettingsError(f"radius_px must be at least 1 pixel; got {self.radius_px}")


anything = st.builds(
    Outer,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    radius_px=st.integers(1, 2**60),
    rate=st.floats(allow_nan=False),
    kind=st.sampled_from(["a", "b"]),
    limit=st.none() | st.integers(-5, 5),
    folder=st.sampled_from([Path("a b"), Path("/x/ü")]),
    layers=st.lists(st.floats(-1e300, 1e300)).map(tuple),
    fast=st.booleans(),
    inner=st.builds(Inner, depth=st.integers(1 - 2**63, 2**63 - 1)),
)


@given(anything)
def test_settings_survive_the_file(tmp_path_factory, settings):
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    path.write_text(to_toml(settings), encoding="utf-8")

    assert load_toml(Outer, path) == settings


@given(anything, anything)
def test_the_hash_tells_settings_apart(one, other):
    assert (hash_settings(one) == hash_settings(other)) == (one == other)
    assert hash_settings(one) == hash_settings(replace(one))


def test_deeper_tables_carry_their_whole_path():
    @dataclass(frozen=True, kw_only=True)
    class Top:
        outer: Outer

    assert "[outer.inner]\ndepth = 1" in to_toml(Top(outer=Outer(name="x")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nradius = 3', "unknown setting 'radius'; did you mean 'radius_px'?"),
        ("radius_px = 3", "the required setting 'name' is missing; add it"),
        ('name = "x"\nradius_px = 3.5', "radius_px: expected an integer, found 3.5"),
        (
            f'name = "x"\nradius_px = {2**63}',
            "radius_px: expected an integer, found 9223372036854775808",
        ),
        ('name = "x"\nradius_px = true', "radius_px: expected an integer, found true"),
        ('name = "x"\nfast = 1', "fast: expected true or false, found 1"),
        ('name = "x"\nrate = true', "rate: expected a number, found true"),
        ('name = "x"\nrate = "fast"', 'rate: expected a number, found "fast"'),
        ('name = "x"\nkind = "c"', 'kind: expected one of "a", "b", found "c"'),
        ('name = "x"\nlimit = "c"', 'limit: expected an integer, found "c"'),
        ('name = "x"\nlayers = [1, "c"]', 'layers[1]: expected a number, found "c"'),
        ('name = "x"\nlayers = 1', "layers: expected a list, found 1"),
        ('name = "x"\ninner = 1', "inner: expected a table, found 1"),
        ('name = "x"\n[inner]\ndept = 1', "inner: unknown setting 'dept'; did you mean 'depth'?"),
        ('name = "x"\nradius_px = 0', "radius_px must be at least 1 pixel; got 0"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_way_out(tmp_path, text, message):
    path = tmp_path / "s.toml"
    path.write_text(text)

    with pytest.raises(SettingsError) as caught:
        load_toml(Outer, path)

    assert str(caught.value) == f"{path}: {message}"


def test_a_float_may_be_written_as_an_integer(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('name = "x"\nrate = 2')

    assert load_toml(Outer, path).rate == 2.0


def test_a_file_that_is_missing_or_not_toml_is_named(tmp_path):
    path = tmp_path / "s.toml"
    with pytest.raises(InputError, match="no such file; check the name"):
        load_toml(Outer, path)

    path.write_text("name =")
    with pytest.raises(FormatError, match="not a TOML file"):
        load_toml(Outer, path)


def test_a_value_no_setting_can_have_is_refused():
    with pytest.raises(TypeError, match="settings cannot have the type complex"):
        to_toml(Outer(name=1j))


@dataclass(frozen=True)
class Values:
    length: float | None = None
    pair: tuple[float, ...] = ()


numbers = st.floats() | st.integers(-4, 4).map(float)


@given(numbers, st.floats(-3, 3), st.floats(-3, 3), st.booleans(), st.booleans())
def test_a_field_is_refused_unless_it_is_in_its_range(value, one, other, with_low, with_high):
    low, high = sorted((one, other))
    limits = {
        "minimum" if with_low else "above": low,
        "maximum" if with_high else "below": high,
    }
    is_above = value >= low if with_low else value > low
    is_below = value <= high if with_high else value < high

    for settings in (Values(length=value), Values(pair=(value,))):
        name = "length" if settings.length is not None else "pair"
        if is_above and is_below:
            check_ranges(settings, name, **limits)
        else:
            with pytest.raises(SettingsError, match=f"{name} must be .*; got "):
                check_ranges(settings, name, **limits)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (0.0, {"above": 0}, "length must be above 0; got 0.0"),
        (math.inf, {"above": 0}, "length must be above 0 and finite; got inf"),
        (math.nan, {"minimum": 0}, "length must be at least 0 and finite; got nan"),
        (1.0, {"minimum": 0, "below": 1}, "length must be at least 0 and below 1; got 1.0"),
        (2.0, {"above": 0, "maximum": 1}, "length must be above 0 and at most 1; got 2.0"),
        (2.0, {"minimum": 0, "maximum": 1}, "length must be between 0 and 1; got 2.0"),
    ],
)
def test_the_range_is_named(value, limits, message):
    with pytest.raises(SettingsError) as caught:
        check_ranges(Values(length=value), "length", **limits)

    assert str(caught.value) == message


def test_fields_without_a_value_are_not_checked():
    check_ranges(Values(), "length pair", above=0)
