"""Run the command line: `python -m cryopick`."""

from cryopick.cli.app import main

if __name__ == "__main__":
    main()
