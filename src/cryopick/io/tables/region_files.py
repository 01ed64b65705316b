"""Files of exclusion regions: plain JSON.

    {"regions": {"micrographs/a.mrc": [[[10, 20], [300, 20], [300, 400]]]}}

Each micrograph has a list of polygons, each polygon a list of corners [x, y] in pixels of the raw
micrograph.

- `read_regions`, `write_regions`: read and write a file.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryopick.errors import FormatError, InputError
from cryopick.io.names import match_names
from cryopick.picks import Picks
from cryopick.regions import Regions
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_text

__all__ = ["read_regions", "write_regions"]

_MAX_BYTES = 64 << 20
_MALFORMED = (
    *(ValueError, TypeError, KeyError, AttributeError),
    *(RecursionError, OverflowError),  # nested too deeply, or a number of hundreds of digits
)


def read_regions(path: Path | str, micrographs: Sequence[Path | str] = ()) -> Regions:
    """Read exclusion regions.

    Args:
        path: The file.
        micrographs: Available micrographs. Regions are then named by `str(file)`, as picks are,
            and regions on other micrographs are dropped. If empty, names stay as written.

    Raises:
        InputError: The file is missing or too large, or none of its regions is on one of the
            micrographs.
        FormatError: The file does not have the format of regions.
        UnmatchedError: A name in the file matches several micrographs.
    """
    path = Path(path)
    try:
        regions = _parse_regions(json.loads(read_text(path, max_bytes=_MAX_BYTES)))
    except _MALFORMED as error:
        raise FormatError(
            f'{path}: not a file of regions: {{"regions": {{MICROGRAPH: [[[x, y], …], …]}}}} was '
            f"expected ({' '.join(str(error).split())[:120]})"
        ) from error
    if not micrographs:
        return regions
    files = _match_files(regions, [Path(name) for name in micrographs])
    if regions.polygons and not files:
        raise InputError(
            f"{path}: none of its regions is on one of the micrographs: it names "
            f"{next(iter(regions.polygons))!r}, "
            f"the micrographs are {Path(micrographs[0]).name!r} and others"
        )
    return Regions(
        {files[name]: polygons for name, polygons in regions.polygons.items() if name in files}
    )


def write_regions(regions: Regions, path: Path, *, overwrite: bool = False) -> None:
    """Write exclusion regions atomically.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    plain = {name: [p.tolist() for p in polygons] for name, polygons in regions.polygons.items()}
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps({"regions": plain}, indent=1), encoding="utf-8")


def _parse_regions(content: object) -> Regions:
    if not isinstance(content, dict) or set(content) != {"regions"}:
        raise ValueError("the one key 'regions' was expected")
    return Regions(
        {
            str(name): tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in polygons)
            for name, polygons in content["regions"].items()
        }
    )


def _match_files(regions: Regions, paths: Sequence[Path]) -> dict[str, str]:
    """Map each micrograph with regions to its file, if it is available."""
    files = {}
    for name in regions.polygons:
        matched = match_names(Picks.for_micrograph(name, np.zeros((1, 2))), paths).picks
        if len(matched):
            files[name] = matched.micrographs[0]
    return files
