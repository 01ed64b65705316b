"""The inputs that are kept: seeds of our own making, and what searches found.

- `kept`: all inputs of a family.
- `keep`: add what a search found to the corpus, one archive a family.
"""

import tempfile
import zipfile
from pathlib import Path

from tests.fuzz.seeds import seeds

__all__ = ["keep", "kept"]

_CORPUS = Path(__file__).parent / "corpus"


def kept(family: str) -> list[bytes]:
    """The seeds of a family and the corpus that earlier searches left, in a steady order."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(seeds(family, Path(folder)))
    path = _CORPUS / f"{family}.zip"
    if path.exists():
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in sorted(archive.namelist())]
    return found


def keep(family: str, folder: Path, *, most: int = 400, most_bytes: int = 8192) -> int:
    """Keep the shortest of the inputs that a search found, one file a family."""
    own = {data for data in kept(family) if len(data) <= most_bytes}
    found = sorted((folder / family / "found").iterdir(), key=lambda path: path.stat().st_size)
    own |= {path.read_bytes() for path in found[:most] if path.stat().st_size <= most_bytes}
    own |= {path.read_bytes() for path in (folder / family).glob("crash-*")}
    _CORPUS.mkdir(exist_ok=True)
    with zipfile.ZipFile(_CORPUS / f"{family}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(sorted(own, key=lambda d: (len(d), d))):
            archive.writestr(zipfile.ZipInfo(f"{number:04d}"), data, zipfile.ZIP_DEFLATED)
    return len(own)
