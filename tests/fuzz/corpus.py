"""Corpus of inputs: our seeds, and inputs stored by searches.

- `kept`: all inputs of a family.
- `keep`: add inputs of a search to the corpus, one archive per family.
"""

import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.families import FAMILIES, Family
from tests.fuzz.seeds import seeds

__all__ = ["keep", "kept"]

_CORPUS = Path(__file__).parent / "corpus"
_MOST_BYTES = 8192  # of an input
_BAD = ("crash", "timeout", "oom")

Step = tuple[str, int, int]  # from line to line of a file


def kept(family: str) -> list[bytes]:
    """The seeds of a family and the corpus that earlier searches left, in a steady order."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(seeds(family, Path(folder)))
    return found + _archived(family)


def keep(family: str, folder: Path) -> int:
    """Keep what is known and what a search found, as far as it reaches steps of its own.

    Inputs that were no good are kept in any case. The shorter of two that do the same is kept.

    Args:
        family: One of `FAMILIES`.
        folder: What the search was given.

    Returns:
        How many inputs are in the archive now.
    """
    own = folder / family
    bad = {path.read_bytes() for kind in _BAD for path in own.glob(f"{kind}-*")}
    with tempfile.TemporaryDirectory() as scratch:
        made = list(seeds(family, Path(scratch)))
    found = {path.read_bytes() for path in (own / "found").iterdir()} | set(_archived(family))
    usable = sorted((data for data in found if len(data) <= _MOST_BYTES), key=_by_length)
    chosen = bad | _reaching_further(FAMILIES[family], made, usable)
    if not chosen:
        return 0
    _CORPUS.mkdir(exist_ok=True)
    with zipfile.ZipFile(_CORPUS / f"{family}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(sorted(chosen, key=_by_length)):
            archive.writestr(zipfile.ZipInfo(f"{number:04d}"), data, zipfile.ZIP_DEFLATED)
    return len(chosen)


def _archived(family: str) -> list[bytes]:
    path = _CORPUS / f"{family}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in sorted(archive.namelist())]


def _by_length(data: bytes) -> tuple[int, bytes]:
    return len(data), data


def _reaching_further(family: Family, known: Iterable[bytes], more: Iterable[bytes]) -> set[bytes]:
    """Return inputs of `more` that reach a new step, in order."""
    chosen: set[bytes] = set()
    taken: set[Step] = set()
    with tempfile.TemporaryDirectory() as folder:
        for data in known:
            taken |= _steps(family, data, Path(folder))
        for data in more:
            steps = _steps(family, data, Path(folder))
            if not steps <= taken:
                chosen.add(data)
                taken |= steps
    return chosen


def _steps(family: Family, data: bytes, folder: Path) -> set[Step]:
    """The steps from line to line that the parsers of a family take on an input."""
    steps: set[Step] = set()
    watched = tuple(family.modules)

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:  # as sys.settrace has it
        if not frame.f_globals.get("__name__", "").startswith(watched):
            return None
        file, last = frame.f_code.co_filename, frame.f_lineno

        def line(frame: FrameType, event: str, _argument: Any) -> Any:  # the same
            nonlocal last
            if event == "line":
                steps.add((file, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        family.try_input(data, folder)
    finally:
        sys.settrace(before)
    return steps
