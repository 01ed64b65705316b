"""Parser for the documentation's Markdown pages, as far as the tests need it.

Blocks of ```python and lines `$ cryopick …` in ```console blocks are executed in order, in one
empty folder per page. Comments control this:

    <!-- runs with: data/empiar10017 -->   link this folder of the shared data into that folder
    <!-- not run: reason -->               directly above a block: do not run it, with the reason
    <!-- exits with: 1 -->                 above a block: expected exit status of its commands
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"

_BLOCK = re.compile(
    r"(?:^<!-- (?P<word>not run|exits with): (?P<why>[^>]+?) -->\n)?"
    r"^```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    line: int
    status: int = 0
    is_run: bool = True

    @property
    def commands(self) -> list[str]:
        """Command lines that begin with `$ cryopick`, with continuation lines joined."""
        if self.kind != "console":
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line[2:].strip() for line in lines if line.startswith("$ cryopick")]


def pages() -> list[Path]:
    names = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
    return [*(ROOT / name for name in names), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    return [
        Block(
            kind=match["kind"],
            text=match["text"],
            line=text.count("\n", 0, match.start("text")) + 1,
            status=int(match["why"]) if match["word"] == "exits with" else 0,
            is_run=match["word"] != "not run",
        )
        for match in _BLOCK.finditer(text)
    ]


def shared_folders(text: str) -> list[str]:
    return re.findall(r"^<!-- runs with: (\S+) -->$", text, re.MULTILINE)


def links(text: str) -> list[str]:
    """Return the targets of links to other pages and files, without anchors."""
    targets = [link.split("#")[0] for link in _LINK.findall(_FENCED.sub("", text))]
    return [link for link in targets if link and not re.match(r"\w+:", link)]


def options_of(command: str) -> list[str]:
    """Return the options of a command line, up to a pipe or a redirection."""
    words = []
    for word in shlex.split(command, comments=True):
        if word in ("|", ">", "2>", "&&", ";"):
            break
        words.append(word.split("=")[0])
    return [word for word in words if re.match(r"--?[a-zA-Z]", word)]
