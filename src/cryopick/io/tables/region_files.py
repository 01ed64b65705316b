"""Files of outlined regions: plain JSON.

    {"regions": {"micrographs/a.mrc": [[[10, 20], [300, 20], [300, 400]]]}}

Each micrograph has a list of polygons, each polygon a list of corners [x, y] in pixels of the raw
micrograph.

- `read_regions`, `write_regions`: from and to a file.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryopick.errors import FormatError, InputError
from cryopick.io.names import match_names
from cryopick.picks import Picks
from cryopick.regions import Regions
from cryopick.runs.atomic_write import whole

__all__ = ["read_regions", "write_regions"]

_MOST_BYTES = 64 << 20


def read_regions(path: Path | str, micrographs: Sequence[Path | str] = ()) -> Regions:
    """Read outlined regions.

    Args:
        path: The file.
        micrographs: Files at hand. Regions are then named by `str(file)`, as picks would be;
            those on other micrographs are left out. Without, names stay as written.

    Raises:
        InputError: The file is missing, too large, or none of its regions lies on one of the
            micrographs.
        FormatError: It is no file of regions.
        UnmatchedError: A name in the file may mean several micrographs.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: more than {_MOST_BYTES >> 20} MB; no file of regions is")
        regions = _parsed(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FormatError(
            f'{path}: not a file of regions: {{"regions": {{MICROGRAPH: [[[x, y], …], …]}}}} was '
            f"expected ({' '.join(str(error).split())[:120]})"
        ) from error
    if not micrographs:
        return regions
    files = _files_of(regions, [Path(name) for name in micrographs])
    if regions.polygons and not files:
        raise InputError(
            f"{path}: none of its regions lies on one of the micrographs: it names "
            f"{next(iter(regions.polygons))!r}, they are such as {Path(micrographs[0]).name!r}"
        )
    return Regions({files[name]: own for name, own in regions.polygons.items() if name in files})


def write_regions(regions: Regions, path: Path, *, overwrite: bool = False) -> None:
    """Write outlined regions, whole or not at all.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    plain = {name: [p.tolist() for p in own] for name, own in regions.polygons.items()}
    with whole(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps({"regions": plain}, indent=1), encoding="utf-8")


def _parsed(content: object) -> Regions:
    if not isinstance(content, dict) or set(content) != {"regions"}:
        raise ValueError("the one key 'regions' was expected")
    return Regions(
        {
            str(name): tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in polygons)
            for name, polygons in content["regions"].items()
        }
    )


def _files_of(regions: Regions, paths: Sequence[Path]) -> dict[str, str]:
    """For each micrograph with regions, the file that is meant, if it is at hand."""
    files = {}
    for name in regions.polygons:
        matched = match_names(Picks.on(name, np.zeros((1, 2))), paths).picks
        if len(matched):
            files[name] = matched.micrographs[0]
    return files
