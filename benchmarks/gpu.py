"""Check and time scoring and training on a GPU, in under six minutes.

Scores of the general model are compared with those of the processor, each stage from raw pixels to
picks is timed, and a short training. The results are printed and written as JSON.

    .venv/bin/python benchmarks/gpu.py [--device cuda] [--out runs/bench/gpu.json]
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import DIAMETER_ANG, FOLDER, Inputs, heading, medians, row
from train import measured

from cryopick.inference.engine import DenseNetwork, optimize_for_inference, resolve_precision
from cryopick.inference.score_map import compute_ensemble_score_map, compute_score_map
from cryopick.inference.torch_engine import TorchNetwork
from cryopick.model.architectures import NetworkSettings
from cryopick.model.device import AnyDevice, choose_device, count_gpus
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.model.networks import Scorer, extract_network
from cryopick.model.trained_network import TrainedNetwork
from cryopick.pick.picker import Picker, find_peaks
from cryopick.pick.settings import PickSettings
from cryopick.preprocess.mask import erode_mask

MAX_DIFFERENCE = 1e-3  # of logits, between float32 on the device and on the processor

Results = dict[str, float | str]


@dataclass(frozen=True)
class Machine:
    """The device, and how often each work is repeated."""

    device: AnyDevice
    repeats: int


def main(inputs: Inputs | None = None, words: Sequence[str] | None = None) -> Results:
    """Print the tables, write the results, and return them.

    Raises:
        RuntimeError: Scores differ from those of the processor.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=FOLDER / "gpu.json")
    options = parser.parse_args(words)
    machine = Machine(choose_device(options.device), options.repeats)
    inputs = inputs or Inputs()
    started = time.perf_counter()
    model = load_model(GENERAL_MODEL)
    results: Results = {"device": describe(machine.device)}
    results |= compare_scores(model, machine)
    results |= time_stages(model, inputs, machine)
    results |= time_training(machine)
    results["seconds in total"] = time.perf_counter() - started
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    return results


def describe(device: AnyDevice) -> str:
    """Return the name of the device and the number of its kind."""
    if device.type != "cuda":
        return str(device)
    import torch

    return f"{torch.cuda.get_device_name()}, {count_gpus()} of them"


def score_with_torch(
    network: TrainedNetwork, step_px: int, kind: str, machine: Machine
) -> DenseNetwork:
    """Optimize a network for torch, which other code uses on GPUs only."""
    return DenseNetwork(
        network.settings,
        step_px,
        network.receptive_field_px,
        machine.device.type == "cpu",
        TorchNetwork(network, step_px, kind, machine.device),
    )


def compare_scores(model: Model, machine: Machine) -> Results:
    """Compare the logits of three networks with those of the processor.

    Raises:
        RuntimeError: They differ by more than the limit in float32.
    """
    image = np.random.default_rng(0).normal(size=(300, 260)).astype(np.float32)
    plain = extract_network(Scorer(NetworkSettings(name="resnet41")))
    results: Results = {}
    heading("Largest difference of logits from float32 on the processor")
    for network in (model.network, model.partner.network, plain):
        exact = compute_score_map(optimize_for_inference(network, step_px=2), image).logits
        for kind in ("float32", "bfloat16"):
            dense = score_with_torch(network, 2, kind, machine)
            seconds = medians({"score": lambda dense=dense: compute_score_map(dense, image)}, 1)
            difference = float(np.abs(compute_score_map(dense, image).logits - exact).max())
            name = f"{network.settings.name}, {kind}"
            row(name, seconds["score"], f"{difference:.1e}", "difference")
            results[f"difference of {name}"] = difference
            if kind == "float32" and not difference < MAX_DIFFERENCE:
                raise RuntimeError(f"{name}: logits differ by {difference:.1e}")
    return results


def time_stages(model: Model, inputs: Inputs, machine: Machine) -> Results:
    """Time each stage of picking, and all of them with the next micrographs prepared ahead."""
    settings = PickSettings(diameter_ang=DIAMETER_ANG, scale_ang=DIAMETER_ANG, contrast="dark")
    paths = inputs.micrographs
    picker = Picker.create(model, settings, machine.device)
    prepared, _ = picker.prepare(paths[0])
    scores = picker.compute_scores(prepared.image)
    usable = erode_mask(prepared.usable, model.diameter_px / 2)
    radius_px = model.diameter_px / 2
    works: dict[str, Callable[[], object]] = {
        "read and prepare": lambda: picker.prepare(paths[0]),
        "score": lambda: compute_ensemble_score_map(picker.ensemble, prepared.image),
        "suppress and refine": lambda: find_peaks(
            scores, usable, radius=radius_px, threshold=settings.threshold
        ),
    }
    seconds = medians(works, machine.repeats)

    def pick_all() -> None:
        ahead = Picker.create(model, settings, machine.device, paths)
        for path in paths:
            ahead.pick(path)

    seconds |= {"all, each": medians({"": pick_all}, 1)[""] / len(paths)}
    kind = resolve_precision(settings.precision, machine.device)
    heading(f"Pick {inputs.side_px} x {inputs.side_px}, {kind}, {describe(machine.device)}")
    for name, taken in seconds.items():
        row(name, taken, taken / seconds["score"], "scoring")
    row("micrographs a second", 1.0, f"{1 / seconds['all, each']:.1f}", "")
    return {f"seconds to {name}": taken for name, taken in seconds.items()}


def time_training(machine: Machine) -> Results:
    """Time a run of training the paper's network; few steps where the processor is tested."""
    count, side_px, steps = (2, 128, 2) if machine.device.type == "cpu" else (8, 512, 100)
    seconds, _ = measured(count, side_px, steps, 1)
    heading("Train conv31")
    row(f"a run of {steps} steps", seconds["run"], 1.0, "")
    row("draw a minibatch", seconds["draw"], seconds["draw"] / seconds["run"], "the run")
    return {f"seconds to train {steps} steps": seconds["run"]}


if __name__ == "__main__":
    main()
