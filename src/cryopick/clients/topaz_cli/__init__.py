"""Command line compatible with that of Topaz, for programs that run Topaz.

RELION, cryoSPARC, Scipion, EMAN2 and others run `topaz` with known options and read its output
files. This program accepts the same options and writes the same files, but picks with cryopick.
docs/howto/topaz.md explains how to configure each of them.

- `main`: entry point, `cryopick-topaz`.
"""

from cryopick.clients.topaz_cli.app import main

__all__ = ["main"]
