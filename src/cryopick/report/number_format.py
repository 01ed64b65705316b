"""Numbers as text on report pages.

- `format_fraction`, `format_percent`, `format_score`: fractions and scores.
- `format_duration`, `format_memory`: times and sizes in a suitable unit.
"""

__all__ = [
    "format_duration",
    "format_fraction",
    "format_memory",
    "format_percent",
    "format_score",
]


def format_fraction(value: float | None) -> str:
    """Format a fraction with three decimals; a dash if it is undefined."""
    return "–" if value is None or value != value else f"{value:.3f}"


def format_percent(value: float) -> str:
    """Format a fraction in per cent without decimals."""
    return f"{100 * value:.0f} %"


def format_score(value: float) -> str:
    """Format a score with two decimals and a typographic minus sign."""
    return f"{value:.2f}".replace("-", "\u2212")


def format_duration(seconds: float) -> str:
    """Format a duration in seconds, minutes or hours.

    >>> format_duration(4.21), format_duration(75.0), format_duration(8000.0)
    ('4.2 s', '75 s', '2.2 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def format_memory(size_bytes: int) -> str:
    """Format a size in MB or GB, as multiples of 1000."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
