"""The command that clients wait for, so it begins with nothing heavy.

- `extract`: find the particles of micrographs.
"""

import os
import sys
from argparse import Namespace

from cryopick.clients.topaz_cli.manners import use_cores

__all__ = ["extract"]

_FEW = 8  # micrographs that a warm worker does; the wait for more is not that for its start


def extract(values: Namespace) -> int:
    """Find the particles of micrographs: `image_name x_coord y_coord score`, the highest first."""
    if not values.paths:
        values.paths = [line.strip() for line in sys.stdin if line.strip()]
    _check(values)
    use_cores(values.num_threads)
    if os.name == "posix" and len(values.paths) <= _FEW:
        from cryopick.clients.topaz_cli.worker import ask

        status = ask(values)
        if status is not None:
            return status
    from cryopick.clients.topaz_cli.extraction import extract_here

    return extract_here(values)


def _check(values: Namespace) -> None:
    error = values.parser.error
    if values.dims == 3:  # dimensions
        error("--dims 3: particles in tomograms are not offered")
    if values.radius is None and not values.targets:
        error("--radius is needed, or --targets to find it by")
    if values.radius is not None and not values.radius > 0:
        error("--radius must be above 0")
    if values.only_validate and not values.targets:
        error("--only-validate needs --targets")
