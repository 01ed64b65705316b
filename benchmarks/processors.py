"""Scores of the general model on emulated processors, compared with those of this one.

    .venv/bin/python benchmarks/processors.py [--processors Haswell Nehalem]

OpenVINO chooses other instructions on processors without AVX-512. QEMU (Debian: qemu-user) emulates
older ones for one process, so that results can be compared, but not times.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PROCESSORS = ("Haswell", "Nehalem")  # with AVX2; with SSE 4.2 alone
SIDE_PX = 160


def main(processors: tuple[str, ...]) -> None:
    """Print the largest difference of the logits for each processor."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        raise SystemExit("qemu-x86_64 was not found: apt-get install qemu-user")
    here, _ = score()
    print("| processor | formats | largest difference of logits | their deviation |")
    print("|---|---|---|---|")
    for name in processors:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "scores.npz"
            # The interpreter itself, as the emulator does not follow a virtual environment.
            program = [emulator, "-cpu", name, os.path.realpath(sys.executable), __file__]
            paths = os.pathsep.join(path for path in sys.path if path)
            environment = os.environ | {"PYTHONPATH": paths}
            command = [*program, "--out", str(out)]
            subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
            with np.load(out) as file:
                logits, capabilities = file["logits"], str(file["capabilities"])
        difference = float(np.abs(logits - here).max())
        print(f"| {name} | {capabilities} | {difference:.1e} | {here.std():.2f} |", flush=True)


def score() -> tuple[np.ndarray, str]:
    """Score noise with the general model; return the logits and what the processor can do."""
    import openvino

    from cryopick.inference.engine import optimize_ensemble
    from cryopick.inference.score_map import compute_ensemble_score_map
    from cryopick.model.device import CPU
    from cryopick.model.model_file import GENERAL_MODEL, load_model

    model = load_model(GENERAL_MODEL)
    networks = optimize_ensemble(model.network, model.partner, "float32", CPU, step_px=2)
    noise = np.random.default_rng(0).normal(size=(SIDE_PX, SIDE_PX)).astype(np.float32)
    logits = compute_ensemble_score_map(networks, noise).logits
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return logits, ", ".join(sorted({"BF16", "FP32"} & set(capabilities)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processors", nargs="+", default=list(PROCESSORS))
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.out:
        found, words = score()
        np.savez(chosen.out, logits=found, capabilities=words)
    else:
        main(tuple(chosen.processors))
