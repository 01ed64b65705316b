"""What the documentation's pages hold, as far as the tests need to know.

A page is Markdown. Blocks of ```python and lines `$ cryopick …` in ```console blocks are run, in
order, in one empty folder per page. Comments steer that:

    <!-- runs with: data/empiar10017 -->   link this folder of the shared data into that folder
    <!-- not run: reason -->               directly above a block: leave it out, for a reason
    <!-- exits with: 1 -->                 directly above a block: its commands fail, as shown
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
        """The lines that begin with `$ cryopick`, with continued lines joined."""
        if self.kind != "console":
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line[2:].strip() for line in lines if line.startswith("$ cryopick")]


def pages() -> list[Path]:
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if page.exists()]


def blocks(text: str) -> list[Block]:
    found = []
    for match in _BLOCK.finditer(text):
        found.append(
            Block(
                kind=match["kind"],
                text=match["text"],
                line=text.count("\n", 0, match.start("text")) + 1,
                status=int(match["why"]) if match["word"] == "exits with" else 0,
                is_run=match["word"] != "not run",
            )
        )
    return found


def shared_folders(text: str) -> list[str]:
    return re.findall(r"^<!-- runs with: (\S+) -->$", text, re.MULTILINE)


def links(text: str) -> list[str]:
    """Targets of links to other pages and files, without anchors."""
    targets = [link.split("#")[0] for link in _LINK.findall(_FENCED.sub("", text))]
    return [link for link in targets if link and not re.match(r"\w+:", link)]


def options_of(command: str) -> list[str]:
    """The options that a command line uses, up to a pipe or a redirection."""
    words = []
    for word in shlex.split(command, comments=True):
        if word in ("|", ">", "2>", "&&", ";"):
            break
        words.append(word.split("=")[0])
    return [word for word in words if re.match(r"--?[a-zA-Z]", word)]
