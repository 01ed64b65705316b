"""Description of the package, from the README: a package index has none of its pictures and pages.

With `CRYOPICK_SOURCE_ADDRESS`, such as the address of the repository at the tag of a release, the
links and pictures of the README become absolute. Without it, pictures are left out and links to
files are plain text.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")
_PICTURE = re.compile(r"<img\b[^>]*\bsrc=\"(?!https?://)([^\"]+)\"[^>]*>")
_SUFFIXES = (".gif", ".jpg", ".png", ".svg", ".webp", ".webm")


class ReadmeHook(MetadataHookInterface):
    """Hook that sets the description of the package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description to the README with absolute links."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = os.environ.get("CRYOPICK_SOURCE_ADDRESS", "")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": make_links_absolute(text, address),
        }


def make_links_absolute(text: str, address: str) -> str:
    """Make the links of a page absolute; without an address, omit pictures and links to files."""

    def locate(target: str) -> str:
        kind = "raw" if target.partition("#")[0].endswith(_SUFFIXES) else "blob"
        return f"{address.rstrip('/').replace('/tree/', f'/{kind}/', 1)}/{target}"

    def replace_link(match: re.Match[str]) -> str:
        mark, name, target = match.groups()
        if not address:
            return "" if mark else name
        return f"{mark}[{name}]({locate(target)})"

    def replace_picture(match: re.Match[str]) -> str:
        return match[0].replace(match[1], locate(match[1])) if address else ""

    return _PICTURE.sub(replace_picture, _LINK.sub(replace_link, text))
