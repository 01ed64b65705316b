"""Scaling with size: times for four numbers of micrographs and four numbers of pixels.

Sides are multiples of 64. Fourier transforms are slow for large prime factors, as in
5793 = 3 x 1931; the last row of a table shows the cost.
"""

import shutil
from collections.abc import Callable

import numpy as np
from common import Inputs, heading, medians, row
from train import measured

from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.model.device import choose_device
from cryopick.model.model_file import load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks
from cryopick.preprocess.dataset import Preparation, prepare_dataset
from cryopick.preprocess.pipeline import prepare_micrograph, rescale_micrograph

FACTOR = 8
COUNTS = (2, 4, 8, 16)
SIDES_PX = (2048, 2880, 4096, 5760)
AWKWARD_PX = 5793
STEPS = 20


def main(
    inputs: Inputs | None = None,
    counts: tuple[int, ...] = COUNTS,
    sides_px: tuple[int, ...] = SIDES_PX,
    awkward_px: int = AWKWARD_PX,
    repeats: int = 3,
) -> None:
    """Print the tables; time divided by size should not change down a column."""
    inputs = inputs or Inputs()
    by_number(inputs, counts, repeats)
    by_pixels(inputs, sides_px, awkward_px, repeats)


def by_number(inputs: Inputs, counts: tuple[int, ...], repeats: int) -> None:
    """Measure preprocessing, picking, and a training step by number of micrographs."""
    paths = inputs.micrographs
    picker = Picker.create(load_model(inputs.model(FACTOR)), PickSettings(), choose_device(), paths)
    first, steps = 0.0, min(STEPS, inputs.steps)
    works = {number: lambda number=number: prepared(inputs, number) for number in counts}
    table("Micrographs, raw to prepared for training", medians(works, repeats))
    works = {
        number: lambda number=number: [picker.pick(path) for path in paths[:number]]
        for number in counts
    }
    table("Micrographs, raw to picks", medians(works, repeats))
    heading("A step of training")
    for number in counts:
        seconds, _ = measured(number, max(256, inputs.side_px // FACTOR), steps, repeats)
        each = seconds["run"] / steps
        first = first or each
        row(f"on {number} micrographs", each, each / first, "on the fewest")


def prepared(inputs: Inputs, number: int) -> None:
    """Preprocess micrographs like `cryopick train`."""
    folder = inputs.folder / "linear"
    shutil.rmtree(folder, ignore_errors=True)
    how = Preparation(working_size_ang=float(FACTOR), pixel_size_ang=1.0, normalization="dataset")
    nothing = Picks.from_columns([], np.zeros((0, 2)))
    prepare_dataset(inputs.micrographs[:number], nothing, how, folder)


def by_pixels(inputs: Inputs, sides_px: tuple[int, ...], awkward_px: int, repeats: int) -> None:
    """Measure preprocessing, on one thread, and scoring by size of the micrograph."""
    model = load_model(inputs.model(FACTOR))
    picker = Picker.create(model, PickSettings(), choose_device())
    longest = max(*sides_px, awkward_px)
    image = np.random.default_rng(0).normal(10, 2, (longest, longest)).astype(np.float32)
    sides = (*sides_px, awkward_px)
    kinds: dict[str, Callable[[np.ndarray], object]] = {
        "Pixels, raw to prepared, one thread": lambda pixels: prepare_micrograph(
            pixels, FACTOR, model.normalization
        ),
        "Pixels, prepared to scores": lambda pixels: compute_ensemble_score_map(
            picker.ensemble, shrunk[len(pixels)]
        ),
    }
    shrunk = {side: rescale_micrograph(image[:side, :side], FACTOR).image for side in sides}
    for title, work in kinds.items():
        works = {side: lambda side=side, work=work: work(image[:side, :side]) for side in sides}
        seconds = medians(works, repeats)
        table(title, {side: seconds[side] for side in sides_px}, power=2)
        mega = awkward_px**2 / 1e6
        words = f"{seconds[awkward_px] / mega * 1e3:.3g} ms"
        row(f"{awkward_px} x {awkward_px}", seconds[awkward_px], words, "a megapixel")


def table(title: str, seconds: dict[int, float], power: int = 1) -> None:
    """Print times by size, each divided by its size, and the exponent of their growth."""
    sizes = np.array(list(seconds)) ** power
    slope = np.polyfit(np.log(sizes), np.log(list(seconds.values())), 1)[0]
    heading(f"{title}: time grows as size to the power {slope:.2f}")
    for number, taken in seconds.items():
        if power == 1:
            row(f"{number}", taken, f"{taken / number:.3f} s", "each")
        else:
            mega = number**2 / 1e6
            row(f"{number} x {number}", taken, f"{taken / mega * 1e3:.3g} ms", "a megapixel")


if __name__ == "__main__":
    main()
