"""List of the formats of pick tables, and detection of a file's format.

The content of a file determines its format; the suffix decides if the content is inconclusive, as
in an empty file, or if several formats match.

- `CODECS`, `FORMATS`: all formats by name; a new format needs one line here.
- `detect_codec`: format of an existing file.
- `list_micrographs`: micrographs that a STAR or .cs file names.
- `find_codec`, `choose_output_codec`: format by name, and format for an output file.
"""

from pathlib import Path

from cryopick.errors import FormatError, NotATableError, SettingsError
from cryopick.io.tables import box, cbox, cs, csv_table, eman_json, json_table, star, tsv, via, xy
from cryopick.io.tables.codec import Codec
from cryopick.runs.text_files import first_line, read_head

__all__ = [
    "CODECS",
    "FORMATS",
    "choose_output_codec",
    "detect_codec",
    "find_codec",
    "list_micrographs",
]

_MODULES = (tsv, csv_table, star, box, cs, cbox, eman_json, via, json_table, xy)
CODECS = {module.CODEC.name: module.CODEC for module in _MODULES}
FORMATS = tuple(CODECS)


def detect_codec(path: Path) -> Codec:
    """Detect the format of a file from its content, then its suffix.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The format is unknown.
    """
    head = read_head(path)
    by_suffix = _find_by_suffix(path)
    is_text = "\0" not in head and "\ufffd" not in head[:-1]  # the last character may be incomplete
    text_codecs = [codec for codec in CODECS.values() if codec is not cs.CODEC]
    candidates = text_codecs if is_text else [cs.CODEC]
    by_content = [codec for codec in candidates if codec.matches_head(head)]
    is_consistent = by_suffix in by_content or not by_content
    chosen = by_suffix if is_consistent else by_content[0]
    if chosen is None:
        raise NotATableError(
            f"{path}: expected a table of picks ({', '.join(FORMATS)}), found "
            f"{first_line(head)[:120]!r}; name its format with --from"
        )
    return chosen


def _find_by_suffix(path: Path) -> Codec | None:
    """Return the format with the longest matching suffix; .txt matches none."""
    name = path.name.lower()
    matches = [
        (len(suffix), codec)
        for codec in CODECS.values()
        for suffix in codec.suffixes
        if name.endswith(suffix) and suffix != ".txt"
    ]
    return max(matches, key=lambda pair: pair[0])[1] if matches else None


def list_micrographs(path: Path) -> list[str]:
    """List the micrographs that a file names; empty for formats that do not list them.

    Raises:
        InputError: The file is missing or cannot be read.
    """
    codec = detect_codec(path)
    try:
        return {star.CODEC: star, cs.CODEC: cs}[codec].read_micrograph_names(path)
    except (KeyError, FormatError):
        return []


def find_codec(name: str) -> Codec:
    """Find a format by its name.

    Raises:
        SettingsError: No format has that name.
    """
    if name not in CODECS:
        raise SettingsError(f"expected a format of {', '.join(FORMATS)}; got {name!r}")
    return CODECS[name]


def choose_output_codec(path: Path) -> Codec:
    """Choose the format of an output file by its suffix; .txt is TSV.

    Raises:
        SettingsError: No format has that suffix.
    """
    codec = CODECS["tsv"] if path.suffix.lower() == ".txt" else _find_by_suffix(path)
    if codec is None:
        suffixes = " ".join(suffix for codec in CODECS.values() for suffix in codec.suffixes)
        raise SettingsError(
            f"{path}: expected a suffix of {suffixes}, found {path.suffix!r}; "
            f"name the format with --format ({', '.join(FORMATS)})"
        )
    return codec
