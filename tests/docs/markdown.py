"""Parser for the documentation's Markdown pages, as far as the tests need it.

Blocks of ```python and lines `$ cryopick …` in ```console blocks are executed in order, in one
empty folder per page, and so are `$ relion_…`, `$ mkdir` and `$ mv`. Comments control this:

    <!-- runs with: data/empiar10017 -->   link this folder of the shared data into that folder
    <!-- set up: COMMAND -->               run this first, such as to make what the reader has
    <!-- not run: reason -->               directly above a block: do not run it, with the reason
    <!-- slow: reason -->                  above a block: only `make check-pages` runs it
    <!-- exits with: 1 -->                 above a block: expected exit status of its commands
    <!-- output within: 5 % -->            above a block: compare the printed lines with the output,
                                           words exactly and numbers within this tolerance
    <!-- output within: 5 %, 0.02 -->      the same, and numbers from 0 to 1 that have a fraction,
                                           such as average precision, within 0.02
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"

_BLOCK = re.compile(
    r"(?:^<!-- (?P<word>not run|slow|exits with|output within): (?P<why>[^>]+?) -->\n)?"
    r"^```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PROGRAMS = ("cryopick", "relion_", "mkdir ", "mv ")  # that the tests run
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Tolerance:
    """Largest difference between shown and actual numbers.

    Attributes:
        relative: Of the larger number.
        in_fractions: Of numbers from 0 to 1 with a fraction; None for the relative one.
    """

    relative: float
    in_fractions: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Tolerance":
        relative, _, in_fractions = text.partition(",")
        frac = float(in_fractions) if in_fractions else None
        return cls(float(relative.strip().removesuffix("%")) / 100, frac)

    def holds(self, shown: str, actual: str) -> bool:
        a, b = (float(text.replace(",", "").replace("−", "-")) for text in (shown, actual))
        if self.in_fractions is not None and "." in shown and 0 <= a <= 1:
            return abs(a - b) <= self.in_fractions + 1e-9
        return abs(a - b) <= self.relative * max(abs(a), abs(b)) + 1e-9


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    line: int
    status: int = 0
    is_run: bool = True
    is_slow: bool = False
    reason: str = ""  # why it is not run, or slow
    tolerance: Tolerance | None = None

    @property
    def commands(self) -> list[str]:
        """Command lines that begin with `$ cryopick`, with continuation lines joined."""
        return [line for line in self.command_lines if line.startswith("cryopick")]

    @property
    def command_lines(self) -> list[str]:
        """Command lines of all programs that the tests run."""
        if self.kind != "console":
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        commands = [line[2:].strip() for line in lines if line.startswith("$ ")]
        return [command for command in commands if command.startswith(_PROGRAMS)]

    @property
    def outputs(self) -> dict[str, list[str]]:
        """Lines shown below each command; a lone … stands for any number of lines."""
        shown: dict[str, list[str]] = {}
        command = None
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                command = line[2:].strip() if line.startswith("$ cryopick") else None
            elif command and line.strip() not in ("", "…"):
                shown.setdefault(command, []).append(line.strip())
        return shown


FIRST_PAGES = tuple(  # from the installation to classes of particles
    ROOT / name
    for name in ("README.md", "docs/tutorial.md", "docs/howto/relion.md", "docs/howto/cryosparc.md")
)


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
            is_run=match["word"] not in ("not run", "slow"),
            is_slow=match["word"] == "slow",
            reason=match["why"] if match["word"] in ("not run", "slow") else "",
            tolerance=Tolerance.parse(match["why"]) if match["word"] == "output within" else None,
        )
        for match in _BLOCK.finditer(text)
    ]


_NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?")


def find_wrong_numbers(shown: list[str], output: str, tolerance: Tolerance) -> list[str]:
    """Return a message for each shown line that the output lacks or has with other numbers.

    Words must be equal, numbers within the tolerance; … at the end of a line stands for
    the rest of it.
    """
    actual = [line.strip() for line in output.splitlines()]
    problems = []
    for line in shown:
        beginning = line.removesuffix("…").strip()
        is_whole = beginning == line
        candidates = [
            other for other in actual if _has_same_words(beginning, other, is_whole=is_whole)
        ]
        if not candidates:
            problems.append(f"not in the output: {line!r}")
        elif not any(_has_near_numbers(beginning, other, tolerance) for other in candidates):
            problems.append(f"shown: {line!r}, now: {candidates[0]!r}")
    return problems


def _has_same_words(beginning: str, line: str, *, is_whole: bool) -> bool:
    words, others = (re.sub(r"\s+", " ", _NUMBER.sub("#", text)) for text in (beginning, line))
    return words == others if is_whole else others.startswith(words)


def _has_near_numbers(shown: str, actual: str, tolerance: Tolerance) -> bool:
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(actual), strict=False)
    return all(tolerance.holds(*pair) for pair in pairs)


def shared_folders(text: str) -> list[str]:
    return re.findall(r"^<!-- runs with: (\S+) -->$", text, re.MULTILINE)


def set_up_commands(text: str) -> list[str]:
    return re.findall(r"^<!-- set up: (.+) -->$", text, re.MULTILINE)


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
