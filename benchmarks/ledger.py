"""Time to store the picks of one micrograph: as a part file, and as a row of SQLite.

    .venv/bin/python benchmarks/ledger.py [--items 500] [--folder .]

Both are flushed to disk after every item, as required to survive a power failure. The
folder selects the file system.
"""

import argparse
import io
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cryopick.runs.ledger import Ledger

PICKS = 400


def per_item_ms(work: Callable[[int], object], items: int) -> float:
    """Measure the mean time of `work` in milliseconds."""
    began = time.perf_counter()
    for number in range(items):
        work(number)
    return 1000 * (time.perf_counter() - began) / items


def main() -> None:
    """Measure both on one file system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path())
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    picks = {"xy_px": rng.uniform(0, 4096, (PICKS, 2)), "score": rng.normal(size=PICKS)}
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        parts = Ledger.for_output(Path(scratch) / "picks.star", ["benchmark"])
        with parts.start([], overwrite=False):
            kept = per_item_ms(lambda i: parts.compute_once(str(i), lambda: picks), given.items)
            read = per_item_ms(lambda i: parts.compute_once(str(i), dict), given.items)
            began = time.perf_counter()
        packed_s = time.perf_counter() - began
        size = parts.archive.stat().st_size
        base = sqlite3.connect(Path(scratch) / "ledger.db", isolation_level=None)
        base.execute("pragma synchronous = full")
        base.execute("create table done (item text primary key, picks blob)")

        def insert(number: int) -> None:
            buffer = io.BytesIO()
            np.savez(buffer, **picks)
            base.execute("insert into done values (?, ?)", (str(number), buffer.getvalue()))

        row = per_item_ms(insert, given.items)
        base.close()
    told = {
        "items": given.items,
        "part_file_ms": round(kept, 2),
        "sqlite_row_ms": round(row, 2),
        "part_file_read_ms": round(read, 2),
        "packed_ms_per_item": round(1000 * packed_s / given.items, 2),
        "packed_bytes_per_item": size // given.items,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
