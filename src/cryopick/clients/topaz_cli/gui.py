"""The labelling page, by the name that Topaz gives it.

- `gui`: open it on the current folder.
"""

import subprocess
import sys
from argparse import Namespace

__all__ = ["gui"]

_CRYOPICK = (sys.executable, "-P", "-c", "from cryopick.cli import main; main()")


def gui(_: Namespace) -> int:
    """Open `cryopick label` on the current folder, until it is closed."""
    return subprocess.run([*_CRYOPICK, "label", "."], check=False).returncode
