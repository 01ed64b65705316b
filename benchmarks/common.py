"""Shared parts of the benchmarks: timing, measuring programs, inputs, tables.

- `medians`: median times of several functions that run alternately.
- `measure`: wall time and peak memory of a program.
- `forget`: remove the ledger of a command, so that it repeats all work.
- `matrix_gflops`: speed of a plain matrix product.
- `Inputs`: simulated micrographs, labels and models with fixed seeds in runs/bench.
- `listed`: list of micrographs as one word of a command line.
- `heading`, `row`: print a table.
- `cryopick`: run a cryopick command.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = [
    "CRYOPICK",
    "DIAMETER_ANG",
    "FOLDER",
    "LOG",
    "PAPER",
    "PIXEL_SIZE_ANG",
    "ROOT",
    "Inputs",
    "Usage",
    "cryopick",
    "forget",
    "heading",
    "listed",
    "matrix_gflops",
    "measure",
    "medians",
    "row",
]

Key = TypeVar("Key", bound=Hashable)

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "runs" / "bench"
LOG = FOLDER / "last-command.log"  # output of the last program
CRYOPICK = Path(sys.executable).with_name("cryopick")

PIXEL_SIZE_ANG = 1.5
DIAMETER_ANG = 160.0
# The paper's network from random weights with its normalisation, as in the reference.
PAPER = ("--init", "random", "--network", "conv31", "--normalization", "dataset")


@dataclass(frozen=True)
class Usage:
    """Wall and processor time of a program, and its peak memory in megabytes (10⁶ bytes)."""

    seconds: float
    peak_mb: float
    cpu_seconds: float = 0.0


def medians(works: Mapping[Key, Callable[[], object]], repeats: int = 5) -> dict[Key, float]:
    """Measure median times of functions that run alternately under the same conditions.

    Each function runs once before, without measurement.
    """
    for work in works.values():
        work()
    taken: dict[Key, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def measure(*command: object) -> Usage:
    """Run a program and measure it; its output is only shown if it fails.

    Raises:
        RuntimeError: The program failed.
    """
    forget(command)
    log = LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    # Keep compiled modules, as for users; otherwise each start would compile ours again.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    line = [str(part) for part in command]
    started = time.perf_counter()
    with log.open("wb") as words:
        child = subprocess.Popen(line, stdout=words, stderr=words, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{log.read_text()[-2000:]}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Usage(seconds, usage.ru_maxrss * 1024 / 1e6, cpu_seconds)  # Linux counts in KiB


def forget(command: Sequence[object]) -> None:
    """Remove the ledger of the output, so that the command repeats all work."""
    if "-o" in command:
        out = Path(str(command[command.index("-o") + 1]))
        out.with_name(f".{out.name}.done").unlink(missing_ok=True)


def cryopick(*arguments: object, check: bool = True, shows_output: bool = False) -> None:
    """Run a cryopick command; its messages go to stderr.

    Args:
        arguments: Words of its command line.
        check: Raise an error if it fails.
        shows_output: What it prints belongs to the results, and goes to stdout.
    """
    command = [str(CRYOPICK), *map(str, arguments)]
    print("$", *command, file=sys.stderr, flush=True)
    subprocess.run(command, check=check, stdout=None if shows_output else sys.stderr)


def listed(paths: Sequence[Path], out: Path) -> str:
    """Write a list of micrographs to a file, and return its name for a command line."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(f"{path}\n" for path in paths))
    return f"@{out}"


def matrix_gflops(kind: str = "float32", side: int = 1536) -> float:
    """Measure the speed of a matrix product in 10⁹ operations per second, on the device in use."""
    import torch

    from cryopick.model.torch_device import require_torch_device

    a, b = torch.rand(2, side, side).to(require_torch_device("auto"), getattr(torch, kind))
    product = medians({"product": lambda: (a @ b)[0, 0].item()}, repeats=7)["product"]
    return 2 * side**3 / product / 1e9


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of the benchmarks, simulated with fixed seeds and stored.

    Attributes:
        count: Number of micrographs.
        side_px: Side of a micrograph.
        steps: Training steps of the models.
        folder: Folder of all files.
    """

    count: int = 16
    side_px: int = 4096
    steps: int = 300
    folder: Path = FOLDER

    @property
    def particles(self) -> int:
        """Number of particles per micrograph: 300 on 4096 x 4096 pixels."""
        return max(1, round(300 * (self.side_px / 4096) ** 2))

    @property
    def micrographs(self) -> list[Path]:
        """Micrographs of a y-shaped molecule."""
        out = self.folder / f"simulated-{self.side_px}"
        found = sorted((out / "micrographs").glob("*.mrc"))
        if len(found) < self.count:
            print(f"simulating {self.count} micrographs in {out}", file=sys.stderr)
            side = self.side_px
            measure(
                *(CRYOPICK, "simulate", out, "--count", self.count, "--molecule", "y-shaped"),
                *("--seed", 7, "--particles", self.particles, "--width-px", side),
                *("--height-px", side, "--pixel-size-ang", PIXEL_SIZE_ANG, "--force"),
            )
            found = sorted((out / "micrographs").glob("*.mrc"))
        return found[: self.count]

    @property
    def truth(self) -> Path:
        """All particles on the micrographs."""
        return self.micrographs[0].parents[1] / "particles.tsv"

    @property
    def labels(self) -> Path:
        """25 labels on the first half of the micrographs."""
        table, half = self.folder / f"labels-{self.side_px}.tsv", self.micrographs[: self.half]
        lines = self.truth.read_text().splitlines()
        names = tuple(path.stem for path in half)
        known = [line for line in lines[1:] if line.split("\t")[0].startswith(names)]
        table.write_text("\n".join([lines[0], *known[:: max(1, len(known) // 25)][:25]]) + "\n")
        return table

    @property
    def half(self) -> int:
        """Number of training micrographs; the others are for evaluation."""
        return max(1, self.count // 2)

    def model(self, factor: float, seed: int = 0) -> Path:
        """Train the paper's network on those labels, with pixels of `factor` raw ones."""
        model = self.folder / f"model-{self.side_px}-{factor:g}-seed{seed}.safetensors"
        if not model.exists():
            options = ("--seed", seed, *self.training(factor, self.steps))
            measure(CRYOPICK, "train", "-o", model, "--force", *options)
        return model

    def training(self, factor: float, steps: int) -> tuple[object, ...]:
        """Return options of `cryopick train` for the paper's network on those labels."""
        return (
            *("-m", self.listed(self.half), "-p", self.labels, *PAPER, "--steps", steps),
            *("--diameter-ang", DIAMETER_ANG, "--particles-per-micrograph", self.particles),
            *("--working-pixel-size-ang", factor * PIXEL_SIZE_ANG),
        )

    def links(self, count: int) -> Path:
        """Make a folder of `count` links to the micrographs, repeated if necessary.

        They are hard links, because cryopick treats symbolic links as the same file.
        """
        micrographs = self.micrographs
        folder = self.folder / f"links-{self.side_px}-{count}"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            link = folder / f"mic_{number:05d}.mrc"
            if not link.exists():
                link.hardlink_to(micrographs[number % len(micrographs)])
        return folder

    def listed(self, count: int) -> str:
        """Return the first micrographs as one word of a command line."""
        out = self.folder / f"list-{self.side_px}-{count}"
        return listed(self.micrographs[:count], out)


def heading(title: str) -> None:
    """Print the head of a table."""
    print(f"\n### {title}\n\n| work | time | ratio | baseline |\n|---|---|---|---|", flush=True)


def row(work: str, seconds: float, ratio: float | str, baseline: str) -> None:
    """Print one row of a table; a ratio above 1 is slower than the baseline."""
    shown = ratio if isinstance(ratio, str) else f"{ratio:.3g}"
    unit = f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
    print(f"| {work} | {unit} | {shown} | {baseline} |", flush=True)
