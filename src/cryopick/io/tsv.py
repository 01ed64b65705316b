"""Tab-separated tables: `image_name x_coord y_coord [score]`, as topaz reads and writes.

The header is needed; columns come in any order. Fields are separated by tabs where header
and first row have tabs, else by any white space. `image_name` is the file's name without its
suffix.
"""

from pathlib import Path

from cryopick.io.codec import Codec, Layout
from cryopick.io.columns import parse_rows, render_rows
from cryopick.picks import Picks

__all__ = ["CODEC"]


def _parse(text: str, path: Path) -> Picks:
    numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    while numbered and numbered[0][1].startswith("#"):
        numbered.pop(0)
    by_tabs = all("\t" in line for _, line in numbered[:2])
    rows = [line.split("\t") if by_tabs else line.split() for _, line in numbered]
    header = rows[0] if rows else []
    return parse_rows(header, rows[1:], [n for n, _ in numbered[1:]], path)


def _render(picks: Picks, _layout: Layout) -> str:
    header, rows = render_rows(picks, forbidden="\t\r\n")
    return "\n".join(["\t".join(header), *map("\t".join, rows), ""])


CODEC = Codec(
    name="tsv", suffixes=(".tsv", ".txt", ".tab"), parse=_parse, render=_render, ending=".tsv"
)
