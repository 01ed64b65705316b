"""The command line."""

from cryopick.clients.topaz_cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
