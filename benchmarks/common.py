"""What every benchmark needs: fair timing, programs measured from outside, inputs made once.

- `medians`: seconds of several pieces of work that take turns.
- `measure`: wall seconds and peak memory of a program.
- `matrix_gflops`: what the cores do on a plain matrix product.
- `simulated`, `links`, `listed`, `small_model`: inputs with fixed seeds, kept in runs/bench.
- `heading`, `row`: the table.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CRYOPICK",
    "FOLDER",
    "LOG",
    "Usage",
    "heading",
    "links",
    "listed",
    "matrix_gflops",
    "measure",
    "medians",
    "row",
    "simulated",
    "small_model",
]

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "runs" / "bench"
LOG = FOLDER / "last-command.log"  # words of the last program measured
CRYOPICK = Path(sys.executable).with_name("cryopick")

SIDE_PX = 4096
PIXEL_SIZE_ANG = 1.5
DIAMETER_ANG = 160.0


@dataclass(frozen=True)
class Usage:
    """What a program took: wall seconds, and the most memory it held, in megabytes (10⁶)."""

    seconds: float
    peak_mb: float


def medians(works: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, float]:
    """Median seconds of each piece of work, in turns, so that all see the same machine.

    Each is done once before, unmeasured.
    """
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def measure(*command: object) -> Usage:
    """Run a program to its end; its words are dropped unless it fails.

    Raises:
        RuntimeError: It failed.
    """
    log = LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("wb") as words:
        child = subprocess.Popen([str(part) for part in command], stdout=words, stderr=words)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{log.read_text()[-2000:]}")
    return Usage(seconds, usage.ru_maxrss * 1024 / 1e6)  # Linux counts in KiB


def matrix_gflops(side: int = 1536) -> float:
    """10⁹ operations a second in the product of two float32 matrices, on torch's threads."""
    import torch

    a, b = torch.rand(side, side), torch.rand(side, side)
    return 2 * side**3 / medians({"product": lambda: a @ b}, repeats=7)["product"] / 1e9


def simulated(count: int = 16, side_px: int = SIDE_PX) -> list[Path]:
    """Simulated micrographs of a y-shaped molecule, 300 on 4096 x 4096, made once."""
    out = FOLDER / f"simulated-{side_px}"
    found = sorted((out / "micrographs").glob("*.mrc"))
    if len(found) < count:
        print(f"simulating {count} micrographs in {out}", file=sys.stderr)
        particles = max(1, round(300 * (side_px / SIDE_PX) ** 2))
        measure(
            *(CRYOPICK, "simulate", out, "--count", count, "--molecule", "y-shaped", "--seed", 7),
            *("--particles", particles, "--width-px", side_px, "--height-px", side_px),
            *("--pixel-size-ang", PIXEL_SIZE_ANG, "--force"),
        )
        found = sorted((out / "micrographs").glob("*.mrc"))
    return found[:count]


def links(micrographs: Sequence[Path], count: int) -> Path:
    """A folder of `count` names for these micrographs, in turns.

    They are hard links: cryopick takes symbolic links to one file for that one file.
    """
    folder = FOLDER / f"links-{len(micrographs)}-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        link = folder / f"mic_{number:05d}.mrc"
        if not link.exists():
            link.hardlink_to(micrographs[number % len(micrographs)])
    return folder


def listed(micrographs: Sequence[Path]) -> str:
    """These micrographs as one word of a command line."""
    out = FOLDER / f"list-{len(micrographs)}"
    out.write_text("".join(f"{path}\n" for path in micrographs))
    return f"@{out}"


def small_model(micrographs: Sequence[Path]) -> Path:
    """A model trained on 25 labels of the first eight micrographs, made once."""
    model, labels = FOLDER / "model.safetensors", FOLDER / "labels.tsv"
    if not model.exists():
        lines = (micrographs[0].parents[1] / "particles.tsv").read_text().splitlines()
        names = tuple(path.stem for path in micrographs[:8])
        known = [line for line in lines[1:] if line.split("\t")[0].startswith(names)]
        labels.write_text("\n".join([lines[0], *known[:: max(1, len(known) // 25)][:25]]) + "\n")
        measure(
            *(CRYOPICK, "train", "-m", listed(micrographs[:8]), "-p", labels),
            *("-o", model, "--force"),
            *("--diameter-ang", DIAMETER_ANG, "--particles-per-micrograph", 300),
        )
    return model


def heading(title: str) -> None:
    """Begin a table."""
    print(f"\n### {title}\n\n| work | time | ratio | to what |\n|---|---|---|---|", flush=True)


def row(work: str, seconds: float, ratio: float | str, baseline: str) -> None:
    """One line of the table; a ratio above 1 is slower than what it is held against."""
    shown = ratio if isinstance(ratio, str) else f"{ratio:.3g}"
    unit = f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
    print(f"| {work} | {unit} | {shown} | {baseline} |", flush=True)
