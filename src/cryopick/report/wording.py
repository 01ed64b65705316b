"""Numbers as words, and what the marks on micrographs mean.

- `share`, `percent`, `signed`: numbers as text.
- `duration`, `memory`: how long, and how much.
- `LEGEND`, `PICK_LEGEND`: the marks, each with a box that hides it.
"""

__all__ = [
    "LEGEND",
    "PICK_LEGEND",
    "duration",
    "memory",
    "percent",
    "share",
    "signed",
]


def share(value: float | None) -> str:
    """A share as a decimal; a dash where it is undefined."""
    return "–" if value is None or value != value else f"{value:.3f}"


def percent(value: float) -> str:
    """A share in whole per cent."""
    return f"{100 * value:.0f} %"


def signed(value: float) -> str:
    """A number with two decimals and a real minus sign."""
    return f"{value:.2f}".replace("-", "\u2212")


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> duration(4.21), duration(75.0), duration(8000.0)
    ('4.2 s', '75 s', '2.2 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def memory(count_bytes: int) -> str:
    """Bytes in units of 1000, as vendors count."""
    return f"{count_bytes / 1e9:.1f} GB" if count_bytes >= 1e9 else f"{count_bytes / 1e6:.0f} MB"


def _box(kind: str, mark: str, text: str) -> str:
    return (
        f'<label><input type="checkbox" id="show-{kind}" checked><svg viewBox="0 0 24 24" '
        f'aria-hidden="true">{mark}</svg>{text}</label>'
    )


def _legend(*boxes: str) -> str:
    return f'<fieldset class="legend">{"".join(boxes)}</fieldset>'


_ROUND = '<circle class="{}" cx="12" cy="12" r="8"/>'
_SQUARE = '<rect class="wrong" x="4" y="4" width="16" height="16"/>'

LEGEND = _legend(
    _box("right", _ROUND.format("right"), "right pick"),
    _box("wrong", _SQUARE, "wrong pick"),
    _box("missed", _ROUND.format("missed"), "missed particle"),
)
PICK_LEGEND = _legend(_box("right", _ROUND.format("right"), "pick"))
