"""Every format of pick tables, and which one a file is.

What a file holds decides; its suffix decides where content is silent, as in an empty file, or
where two formats agree with it.

- `CODECS`, `FORMATS`: every format by name; a new one is one line here.
- `codec_of`: the format of a file that is there.
- `listed_micrographs`: the micrographs that a STAR or .cs file names.
- `codec_named`, `codec_for`: the format of a file to be read or written, by name or suffix.
"""

from pathlib import Path

from cryopick.errors import FormatError, SettingsError
from cryopick.io.tables import box, cbox, cs, csv_table, eman_json, json_table, star, tsv, via
from cryopick.io.tables.codec import Codec
from cryopick.runs.text_files import first_line, head_of

__all__ = ["CODECS", "FORMATS", "codec_for", "codec_named", "codec_of", "listed_micrographs"]

_MODULES = (tsv, csv_table, star, box, cs, cbox, eman_json, via, json_table)
CODECS = {module.CODEC.name: module.CODEC for module in _MODULES}
FORMATS = tuple(CODECS)


def codec_of(path: Path) -> Codec:
    """Tell the format of a file by its content, then by its suffix.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is of no format that we know.
    """
    head = head_of(path)
    by_suffix = _by_suffix(path)
    is_text = "\0" not in head and "\ufffd" not in head[:-1]  # the last letter may be cut
    texts = [codec for codec in CODECS.values() if codec is not cs.CODEC]
    candidates = texts if is_text else [cs.CODEC]
    by_content = [codec for codec in candidates if codec.recognises(head)]
    agreed = by_suffix in by_content or not by_content
    chosen = by_suffix if agreed else by_content[0]
    if chosen is None:
        raise FormatError(
            f"{path}: expected a table of picks ({', '.join(FORMATS)}), found "
            f"{first_line(head)[:120]!r}; name its format with --from"
        )
    return chosen


def _by_suffix(path: Path) -> Codec | None:
    """The format whose suffix ends the name, the longest such suffix; .txt says nothing."""
    name = path.name.lower()
    found = [
        (len(suffix), codec)
        for codec in CODECS.values()
        for suffix in codec.suffixes
        if name.endswith(suffix) and suffix != ".txt"
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def listed_micrographs(path: Path) -> list[str]:
    """List the micrographs that a file names, where it is one of a kind that lists them.

    Raises:
        InputError: The file is missing or cannot be read.
    """
    codec = codec_of(path)
    try:
        return {star.CODEC: star, cs.CODEC: cs}[codec].micrograph_names(path)
    except (KeyError, FormatError):
        return []


def codec_named(name: str) -> Codec:
    """Find a format by its name.

    Raises:
        SettingsError: There is none of that name.
    """
    if name not in CODECS:
        raise SettingsError(f"expected a format of {', '.join(FORMATS)}; got {name!r}")
    return CODECS[name]


def codec_for(path: Path) -> Codec:
    """Tell by its name in which format a file is to be written; .txt is TSV.

    Raises:
        SettingsError: The suffix is not that of a format.
    """
    codec = CODECS["tsv"] if path.suffix.lower() == ".txt" else _by_suffix(path)
    if codec is None:
        known = " ".join(suffix for codec in CODECS.values() for suffix in codec.suffixes)
        raise SettingsError(
            f"{path}: expected a suffix of {known}, found {path.suffix!r}; "
            f"name the format with --format ({', '.join(FORMATS)})"
        )
    return codec
