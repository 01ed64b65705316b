"""Time and memory of reading and writing tables of a million picks, one process for each.

    python benchmarks/tables.py [VARIANT ...]

A variant is a format, or a format with unusual but valid content, such as "star-comments" or
"json-mixed" (`VARIANTS`). Prints processor seconds, and the peak memory of the process in MB.
"""

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.formats import CODECS, FORMATS
from cryopick.io.tables.pick_tables import read_picks_with_context, write_picks
from cryopick.picks import Picks

_COUNT = 1_000_000
_PER_MICROGRAPH = 300
_FOLDERS = {"quoted": "my micrographs", "greek": "δεδομένα/job002/m"}
_GROUPS = {"quoted": ["it's 1", "g 2"]}
_PATH_BYTES = 100  # of the names in a wide .cs file
_WIDE_FIELDS = 100  # further fields of a wide .cs file, as of refined particles


def split_format(variant: str) -> tuple[str, str]:
    """Split a variant into the format and the kind of content."""
    kind, _, content = variant.partition("-")
    return kind, content


def make_picks(variant: str) -> Picks:
    """Make random picks with the columns that a format carries."""
    rng = np.random.default_rng(0)
    kind, content = split_format(variant)
    folder = _FOLDERS.get(content, "MotionCorr/job002/m")
    micrograph_count = 1 if CODECS[kind].is_single else _COUNT // _PER_MICROGRAPH
    extra = {}
    if kind in ("star", "tsv", "csv", "json"):
        groups = np.array(_GROUPS.get(content, ["g1.10", "g2"]))
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


def _change_rows(change: Callable[[str, int], str]) -> Callable[[Path], None]:
    """Build a function that changes the lines of a file that end in a digit or bracket."""

    def rewrite(path: Path) -> None:
        other = path.with_suffix(".old")
        path.rename(other)
        with other.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as file:
            is_row = re.compile(r"[^_#].*[\d\]}\"],?$").fullmatch
            for number, line in enumerate(map(str.rstrip, lines)):
                file.write(change(line, number) if is_row(line) else line)
                file.write("\n")
        other.unlink()

    return rewrite


def _write_rectangle(line: str, _: int) -> str:
    rectangle = r'""name"":""rect"",""x"":\1,""y"":\2,""width"":64,""height"":64'
    return re.sub(r'""name"":""point"",""cx"":([\d.]+),""cy"":([\d.]+)', rectangle, line)


def _mix_types(line: str, number: int) -> str:
    """Make the class of the first picks a fraction, and that of the last ones text."""
    value = "0.5" if number < _COUNT // 3 else '"none"' if number > _COUNT // 2 else ""
    return re.sub(r'("rlnClassNumber": )\d+', rf"\g<1>{value}", line) if value else line


def _indent(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=4)


def _widen(path: Path) -> None:
    """Give a .cs file long paths and many fields."""
    old = np.load(path)
    kinds = [(name, old.dtype[name]) for name in old.dtype.names if "path" not in name]
    kinds += [("location/micrograph_path", f"S{_PATH_BYTES}")]
    kinds += [(f"alignments3D/{i}", "<f4") for i in range(_WIDE_FIELDS)]
    new = np.lib.format.open_memmap(path, "w+", np.dtype(kinds), old.shape)
    for name in old.dtype.names:
        new[name] = old[name]
    new.flush()


VARIANTS: dict[str, Callable[[Path], None] | None] = {
    "star-quoted": None,
    "star-greek": None,
    "star-comments": _change_rows(lambda line, i: f"# pick {i}\n{line} # it's seen"),
    "star-blank-lines": _change_rows(lambda line, i: f"{line}\n" if i % 300 == 0 else line),
    "star-fields": _change_rows(lambda line, _: f"{line.rpartition(' ')[0]}\n;a group\n# of 2\n;"),
    "star-wrapped": _change_rows(lambda line, _: line.replace(" ", "\n", 1)),
    "cs-wide": _widen,
    "via-rectangles": _change_rows(_write_rectangle),
    "json-mixed": _change_rows(_mix_types),
    "json-indented": _indent,
    "eman-indented": _indent,
    "tsv-spaces": _change_rows(lambda line, _: line.replace("\t", " ")),
    "xy-commas": _change_rows(lambda line, i: f"# {i}\n" + line.replace("\t", ",")),
    "box-comments": _change_rows(lambda line, i: f"#helix: {i}\n{line}"),
}


def run(action: str, variant: str, path: Path) -> None:
    """Write, change or read one table, and print time and memory."""
    picks = make_picks(variant) if action == "write" else None
    kind, _ = split_format(variant)
    if action == "change":
        change = VARIANTS[variant]
        assert change is not None
        change(path)
        return
    start_s = time.process_time()
    if picks is None:
        assert len(read_picks_with_context([path], format=kind)[0]) == _COUNT
    else:
        layout = TableLayout(shapes_px=dict.fromkeys(picks.micrographs, (4096, 4096)))
        write_picks(picks, path, format=kind, box_px=64, layout=layout)
    if picks is None or VARIANTS.get(variant) is None:
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        time_s = time.process_time() - start_s
        size_mb = path.stat().st_size / 1e6
        print(f"{variant}\t{size_mb:.0f} MB\t{action}\t{time_s:.1f} s\t{peak_mb} MB", flush=True)


def main() -> None:
    """Measure the variants that are named, or all."""
    if sys.argv[1:2] in (["write"], ["change"], ["read"]):
        run(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
        return
    for variant in sys.argv[1:] or (*FORMATS, *VARIANTS):
        changes = ["change"] if VARIANTS.get(variant) else []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a{CODECS[split_format(variant)[0]].suffixes[0]}"
            for action in ("write", *changes, "read"):
                subprocess.run([sys.executable, __file__, action, variant, path], check=True)


if __name__ == "__main__":
    main()
