"""Time and memory of reading and writing tables of a million picks, one process for each.

    python benchmarks/tables.py [FORMAT ...]

"star-quoted" is STAR with names that need quotes. Prints processor seconds, and the peak memory
of the process in MB.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.formats import CODECS, FORMATS
from cryopick.io.tables.pick_tables import read_picks_with_context, write_picks
from cryopick.picks import Picks

_COUNT = 1_000_000
_PER_MICROGRAPH = 300
_QUOTED = "star-quoted"


def make_picks(variant: str) -> Picks:
    """Make random picks with the columns that a format carries."""
    rng = np.random.default_rng(0)
    kind = variant.removesuffix("-quoted")
    folder = "my micrographs" if variant == _QUOTED else "MotionCorr/job002/m"
    micrograph_count = 1 if CODECS[kind].is_single else _COUNT // _PER_MICROGRAPH
    extra = {}
    if kind in ("star", "tsv", "csv", "json"):
        groups = np.array(["it's 1", "g 2"] if variant == _QUOTED else ["g1.10", "g2"])
        extra = {
            "rlnOpticsGroup": np.ones(_COUNT, np.int64),
            "rlnClassNumber": rng.integers(0, 50, _COUNT),
            "rlnGroupName": groups[rng.integers(0, 2, _COUNT)],
        }
    return Picks(
        micrographs=tuple(f"{folder}/mic_{i:05d}.mrc" for i in range(micrograph_count)),
        index=np.sort(rng.integers(0, micrograph_count, _COUNT)),
        xy_px=rng.uniform(0, 4000, (_COUNT, 2)).round(3),
        score=rng.normal(size=_COUNT),
        extra=extra,
    )


def run(action: str, variant: str, path: Path) -> None:
    """Write or read one table, and print time and memory."""
    picks = make_picks(variant) if action == "write" else None
    kind = variant.removesuffix("-quoted")
    start_s = time.process_time()
    if picks is None:
        assert len(read_picks_with_context([path], format=kind)[0]) == _COUNT
    else:
        layout = TableLayout(shapes_px=dict.fromkeys(picks.micrographs, (4096, 4096)))
        write_picks(picks, path, format=kind, box_px=64, layout=layout)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{variant}\t{action}\t{time.process_time() - start_s:.1f} s\t{peak_mb} MB", flush=True)


def main() -> None:
    """Measure the formats that are named, or all."""
    if sys.argv[1:2] in (["write"], ["read"]):
        run(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
        return
    for variant in sys.argv[1:] or (*FORMATS, _QUOTED):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a{CODECS[variant.removesuffix('-quoted')].suffixes[0]}"
            for action in ("write", "read"):
                subprocess.run([sys.executable, __file__, action, variant, path], check=True)


if __name__ == "__main__":
    main()
