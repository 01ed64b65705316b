"""The module topaz, computed by cryopick, for programs that import it."""

from cryopick.clients.topaz_cli.app import VERSION as __version__

__all__ = ["__version__"]
