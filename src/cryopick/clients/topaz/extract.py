"""The command that clients wait for, so it begins with nothing heavy.

- `extract`: find the particles of micrographs.
"""

import sys
from argparse import Namespace

__all__ = ["extract"]


def extract(values: Namespace) -> int:
    """Find the particles of micrographs: `image_name x_coord y_coord score`, the highest first."""
    if not values.paths:
        values.paths = [line.strip() for line in sys.stdin if line.strip()]
    if values.dims == 3:  # dimensions
        values.parser.error("--dims 3: particles in tomograms are not offered")
    if values.radius is None and not values.targets:
        values.parser.error("--radius is needed, or --targets to find it by")
    if values.radius is not None and not values.radius > 0:
        values.parser.error("--radius must be above 0")
    if values.only_validate and not values.targets:
        values.parser.error("--only-validate needs --targets")

    from cryopick.clients.topaz.given import use_cores

    use_cores(values.num_threads)
    from cryopick.clients.topaz.extraction import extract_here

    return extract_here(values)
