"""What every benchmark needs: fair timing, programs measured from outside, inputs made once.

- `medians`: seconds of several pieces of work that take turns.
- `measure`: wall seconds and peak memory of a program.
- `forget`: make a command do all of its work again.
- `matrix_gflops`: what the cores do on a plain matrix product.
- `Inputs`: micrographs, labels and models with fixed seeds, kept in runs/bench.
- `listed`: micrographs as one word of a command line.
- `heading`, `row`: the table.
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
LOG = FOLDER / "last-command.log"  # words of the last program measured
CRYOPICK = Path(sys.executable).with_name("cryopick")

PIXEL_SIZE_ANG = 1.5
DIAMETER_ANG = 160.0
# The paper's network from random weights and its normalisation, which is what the reference trains.
PAPER = ("--init", "random", "--network", "conv31", "--normalization", "dataset")


@dataclass(frozen=True)
class Usage:
    """What a program took: wall seconds, and the most memory it held, in megabytes (10⁶)."""

    seconds: float
    peak_mb: float


def medians(works: Mapping[Key, Callable[[], object]], repeats: int = 5) -> dict[Key, float]:
    """Median seconds of each piece of work, in turns, so that all see the same machine.

    Each is done once before, unmeasured.
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
    """Run a program to its end; its words are dropped unless it fails.

    Raises:
        RuntimeError: It failed.
    """
    forget(command)
    log = LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    # Compiled modules are kept, as a user's Python does: else each start would compile ours anew.
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
    return Usage(seconds, usage.ru_maxrss * 1024 / 1e6)  # Linux counts in KiB


def forget(command: Sequence[object]) -> None:
    """Remove what an earlier command with this output has done: the same command would go on."""
    if "-o" in command:
        out = Path(str(command[command.index("-o") + 1]))
        out.with_name(f".{out.name}.done").unlink(missing_ok=True)


def listed(paths: Sequence[Path], out: Path) -> str:
    """Write a list of micrographs to a file, and name it as a command line does."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(f"{path}\n" for path in paths))
    return f"@{out}"


def matrix_gflops(kind: str = "float32", side: int = 1536) -> float:
    """10⁹ operations a second in the product of two matrices, on the device that is used."""
    import torch

    from cryopick.model.device import choose_device

    a, b = torch.rand(2, side, side).to(choose_device(), getattr(torch, kind))
    product = medians({"product": lambda: (a @ b)[0, 0].item()}, repeats=7)["product"]
    return 2 * side**3 / product / 1e9


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What benchmarks work on: simulated with fixed seeds, made once.

    Attributes:
        count: Micrographs.
        side_px: Pixels along a side.
        steps: Steps of training of the models to pick with.
        folder: Where all is kept.
    """

    count: int = 16
    side_px: int = 4096
    steps: int = 300
    folder: Path = FOLDER

    @property
    def particles(self) -> int:
        """On each micrograph: 300 on 4096 x 4096."""
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
        """How many micrographs are learnt from; the others are judged by."""
        return max(1, self.count // 2)

    def model(self, factor: float, seed: int = 0) -> Path:
        """The paper's network trained on those labels, for pixels of `factor` raw ones."""
        model = self.folder / f"model-{self.side_px}-{factor:g}-seed{seed}.safetensors"
        if not model.exists():
            options = ("--seed", seed, *self.training(factor, self.steps))
            measure(CRYOPICK, "train", "-o", model, "--force", *options)
        return model

    def training(self, factor: float, steps: int) -> tuple[object, ...]:
        """Options of `cryopick train` for the paper's network on those labels."""
        return (
            *("-m", self.listed(self.half), "-p", self.labels, *PAPER, "--steps", steps),
            *("--diameter-ang", DIAMETER_ANG, "--particles-per-micrograph", self.particles),
            *("--working-pixel-size-ang", factor * PIXEL_SIZE_ANG),
        )

    def links(self, count: int) -> Path:
        """A folder of `count` names for the micrographs, in turns.

        They are hard links: cryopick takes symbolic links to one file for that one file.
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
        """The first micrographs as one word of a command line."""
        out = self.folder / f"list-{self.side_px}-{count}"
        return listed(self.micrographs[:count], out)


def heading(title: str) -> None:
    """Begin a table."""
    print(f"\n### {title}\n\n| work | time | ratio | to what |\n|---|---|---|---|", flush=True)


def row(work: str, seconds: float, ratio: float | str, baseline: str) -> None:
    """One line of the table; a ratio above 1 is slower than what it is held against."""
    shown = ratio if isinstance(ratio, str) else f"{ratio:.3g}"
    unit = f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
    print(f"| {work} | {unit} | {shown} | {baseline} |", flush=True)
