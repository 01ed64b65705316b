"""Start-up time of commands, compared with starting Python alone.

With `--profile`: processor time of picking one small micrograph by steps, on one thread.
"""

import argparse
import os
import pstats
import statistics
import subprocess
import sys
from pathlib import Path

from common import CRYOPICK, DIAMETER_ANG, FOLDER, Inputs, forget, heading, measure, row

TOPAZ = CRYOPICK.with_name("cryopick-topaz")

# Functions whose time is that of a step, by the end of their file and their name.
STEPS = {
    "import modules": [("<frozen importlib._bootstrap>", "_find_and_load")],
    "compile networks": [("inference/openvino_engine.py", "__init__")],
    "score with networks": [("inference/openvino_engine.py", "score")],
    "clean and resample": [("preprocess/pipeline.py", "rescale_micrograph")],
    "normalize": [("preprocess/normalize.py", "apply")],
    "find peaks": [("pick/picker.py", "find_peaks")],
    "measure elongation": [
        ("pick/elongated.py", "measure_directionality"),
        ("pick/elongation.py", "measure_regions"),
    ],
    "fit scores": [("evaluate/score_histogram.py", "_fit")],
}
# The background threads work in the main thread instead, where the profiler sees them.
PROFILED = """
import cProfile, sys, time
from types import SimpleNamespace
{imports}
from cryopick.inference import prefetch
from cryopick.pick import picker
picker.Thread = lambda target, args=(): SimpleNamespace(start=lambda: target(*args))
prefetch.Prefetcher.__call__ = lambda self, item: self._function(item)
sys.argv = {words!r}
profile = cProfile.Profile(time.process_time)
try:
    profile.runcall(main)
except SystemExit as end:
    assert not end.code, end.code
profile.dump_stats({out!r})
"""


def main(repeats: int = 7, folder: Path = FOLDER) -> None:
    """Print the table of times."""
    table = folder / "small.csv"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"mic_{i % 3},{10 * i},{7 * i},{i / 100}" for i in range(100)]
    table.write_text("\n".join(["image_name,x_coord,y_coord,score", *lines]) + "\n")
    convert = ("convert", table, "-o", folder / "small.star", "--force")
    pick, extract = list_words(folder)
    alone = ("env", "CRYOPICK_WORKER=0", TOPAZ)  # each call does the work itself
    served = ("env", "CRYOPICK_WORKER_IDLE_S=20", TOPAZ)  # most calls find a worker running
    commands = {
        "python -c pass": (sys.executable, "-c", "pass"),
        "cryopick --help": (CRYOPICK, "--help"),
        "cryopick --version": (CRYOPICK, "--version"),
        "cryopick convert, 100 picks": (CRYOPICK, *convert),
        "cryopick pick, one micrograph of 512 x 512": (CRYOPICK, *pick),
        "cryopick-topaz extract, the same": (*alone, *extract),
        "cryopick-topaz extract, with its worker": (*served, *extract),
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            taken[name].append(measure(*command).seconds)
    seconds = {name: statistics.median(runs) for name, runs in taken.items()}
    heading("Start")
    for name in list(commands)[1:]:
        row(name, seconds[name], seconds[name] / seconds["python -c pass"], "starting Python")


def list_words(folder: Path) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Return the words that pick one small micrograph, of `cryopick` and of `cryopick-topaz`."""
    micrograph = Inputs(count=1, side_px=512, folder=folder).micrographs[0]
    out = ("-o", folder / "one.star", "--force")
    pick = ("pick", micrograph, "--diameter-ang", DIAMETER_ANG, *out)
    return pick, ("extract", "-m", "resnet16", "-r", 8, "-o", folder / "one.txt", micrograph)


def profile(folder: Path = FOLDER) -> None:
    """Print the processor time of each step; a profiler makes Python's share larger than it is."""
    pick, extract = list_words(folder)
    for name, module, words in (
        ("cryopick", "cryopick.cli", pick),
        ("cryopick-topaz", "cryopick.clients.topaz_cli", extract),
    ):
        out = folder / "start.profile"
        forget(words)
        line = [name, *map(str, words)]
        imports = f"from {module} import main"
        program = PROFILED.format(imports=imports, words=line, out=str(out))
        alone = {**os.environ, "OMP_NUM_THREADS": "1", "CRYOPICK_WORKER": "0"}
        command = [sys.executable, "-c", program]
        subprocess.run(command, check=True, env=alone, capture_output=True)
        taken = pstats.Stats(str(out))
        heading(f"{name} {words[0]}: processor time on one thread, with a profiler")
        total = taken.total_tt  # type: ignore[attr-defined]  # not in stubs
        for step, functions in STEPS.items():
            seconds = sum(spend(taken, *function) for function in functions)
            row(step, seconds, seconds / total, "all")
        row("all", total, 1.0, "all")


def spend(taken: pstats.Stats, file: str, name: str) -> float:
    """Sum the time in a function of a file, and in all that it calls."""
    rows = taken.stats.items()  # type: ignore[attr-defined]  # not in stubs
    return sum(
        figures[3]
        for (path, _, function), figures in rows
        if function == name and path.endswith(file)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", action="store_true", help="processor time by steps")
    if parser.parse_args().profile:
        profile()
    else:
        main()
