"""Time and memory of picking thousands of small micrographs.

    .venv/bin/python benchmarks/many.py [--counts 1000 3000 10000]

The micrographs are hard links to sixteen of 256 x 256 pixels, so that listing, ledger and tables
take a large share of the time.
"""

import argparse

from common import CRYOPICK, Inputs, forget, heading, measure, row
from memory import check

COUNTS = (1000, 3000, 10_000)  # start-up takes less than 2 % of the first


def main(inputs: Inputs | None = None, counts: tuple[int, ...] = COUNTS) -> None:
    """Print the time of each number of micrographs, also divided by it, and the peak memory."""
    model = (inputs or Inputs()).model(8)
    inputs = inputs or Inputs(side_px=256)
    out = inputs.folder / "many.tsv"
    heading("Thousands of micrographs")
    for number in counts:
        command = (CRYOPICK, "pick", inputs.links(number), "--model", model, "-o", out, "--force")
        used = measure(*command)
        check(f"{number} of {number}")
        each_ms = 1000 * used.seconds / number
        row(
            f"pick {number} of {inputs.side_px} x {inputs.side_px}",
            used.seconds,
            each_ms,
            "ms each",
        )
        row("peak memory", used.seconds, f"{used.peak_mb:.0f} MB", "")
        forget(command)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    main(counts=tuple(parser.parse_args().counts))
