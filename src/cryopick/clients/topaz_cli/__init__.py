"""A command line that takes what Topaz takes, for programs that run it; our engine does the work.

RELION, cryoSPARC, Scipion, EMAN2 and others start a program of a known name with known options
and read known files back. docs/howto/topaz.md says how each is pointed here.

- `main`: the entry point, `cryopick-topaz`.
"""

from cryopick.clients.topaz_cli.app import main

__all__ = ["main"]
