"""A training step: drawing the minibatch, and the update, compared with a matrix product."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch  # noqa: TID253  # what is measured
from common import heading, matrix_gflops, medians, row
from score import operations

from cryopick.model.geometry import Geometry
from cryopick.model.networks import Scorer
from cryopick.model.torch_device import require_torch_device
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.loop import train
from cryopick.train.sampling import Minibatch, Sampler
from cryopick.train.settings import TrainSettings

LABELS = 25


def store(folder: Path, count: int, side_px: int) -> PreparedStore:
    """Make reproducible preprocessed micrographs of noise with labels."""
    rng = np.random.default_rng(0)
    usable = np.ones((side_px, side_px), bool)
    for number in range(count):
        pixels = rng.normal(size=(side_px, side_px)).astype(np.float32)
        save_micrograph(folder, number, StoredMicrograph(pixels, usable, (8.0, 8.0)))
    chosen = rng.integers(count, size=LABELS)
    places = rng.uniform(0, 8 * side_px, (LABELS, 2))
    return PreparedStore.open(folder, [places[chosen == number] for number in range(count)])


def main(count: int = 8, side_px: int = 512, steps: int = 30, repeats: int = 3) -> None:
    """Print the table."""
    report(*measured(count, side_px, steps, repeats), steps)


def measured(
    count: int, side_px: int, steps: int, repeats: int = 3
) -> tuple[dict[str, float], Minibatch]:
    """Measure a run, drawing a minibatch and a forward pass; return a minibatch as well."""
    settings = TrainSettings(
        diameter_ang=160.0,
        particles_per_micrograph=side_px**2 / 1000.0,
        steps=steps,
        checkpoint_every=steps,
    )
    device = require_torch_device("auto")
    with TemporaryDirectory() as name:
        folder = Path(name)
        micrographs = store(folder, count, side_px)
        scorer = Scorer(settings.network).train().to(device)
        geometry = Geometry.of(None, scorer.receptive_field_px, scorer.stride_px)
        sampler = Sampler(micrographs, settings.sampling, geometry, seed=0)
        batch = sampler.batch(0, device)

        def run() -> None:
            train(micrographs, settings, folder / "run", device=device)
            (folder / "run").unlink()  # or the next would find its work done

        works = {
            "draw": lambda: sampler.batch(1, device),
            "forward": lambda: scorer(batch.patches)[0, 0, 0].item(),
        }
        return medians(works, repeats=5 * repeats) | medians({"run": run}, repeats), batch


def report(seconds: dict[str, float], batch: Minibatch, steps: int) -> None:
    """Print the rows that follow from the timings."""
    regions = sum(map(len, batch.indices.values()))
    patches, _, side, _ = batch.patches.shape
    forward = patches * operations("conv31", 32, (side, side))
    step = seconds["run"] / steps
    peak = matrix_gflops()
    heading(f"Train conv31, {torch.get_num_threads()} threads")
    for work, taken, count in (
        ("forward", seconds["forward"], forward),
        (f"a step of {steps}, in total", step, 3 * forward),
    ):
        speed = count / taken / 1e9
        row(work, taken, f"{speed / peak:.2f}", f"{speed:.0f} of {peak:.0f} GFLOP/s")
    row("draw a minibatch, in the background", seconds["draw"], seconds["draw"] / step, "the step")
    print(f"\n{regions} regions a step, {regions / step:.0f} regions a second.")


if __name__ == "__main__":
    main()
