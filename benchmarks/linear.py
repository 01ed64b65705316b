"""Cost against size: seconds at four numbers of micrographs and at four numbers of pixels."""

import math

import numpy as np
import torch  # noqa: TID253  # what is measured
from common import heading, medians, row, simulated, small_model

from cryopick.image import prepare
from cryopick.learn import load_model
from cryopick.pick import Picker, PickSettings, score_map


def main(counts: tuple[int, ...] = (2, 4, 8, 16), side_px: int = 4096) -> None:
    """Print the tables; time divided by size should not change down a column."""
    paths = simulated(max(counts), side_px)
    model = load_model(small_model(paths))
    picker = Picker.ready(model, PickSettings(), torch.device("cpu"))
    works = {
        number: lambda number=number: [picker.pick(path) for path in paths[:number]]
        for number in counts
    }
    seconds = medians(works, repeats=3)
    heading("Micrographs, raw to picks")
    for number in counts:
        row(f"{number}", seconds[number], f"{seconds[number] / number:.3f} s", "each")

    image = np.random.default_rng(0).normal(10, 2, (2 * side_px, 2 * side_px)).astype(np.float32)
    heading("Pixels, raw to scores")
    sides = [round(2 * side_px / math.sqrt(2) ** power) for power in (5, 3, 1, 0)]
    works = {side: lambda side=side: scored(picker, image[:side, :side]) for side in sides}
    seconds = medians(works, repeats=3)
    for side in sides:
        mega = side**2 / 1e6
        row(
            f"{side} x {side}", seconds[side], f"{seconds[side] / mega * 1e3:.1f} ms", "a megapixel"
        )
    slope = np.polyfit(np.log([s**2 for s in sides]), np.log([seconds[s] for s in sides]), 1)[0]
    print(f"\nTime grows as pixels to the power {slope:.2f}.")


def scored(picker: Picker, pixels: np.ndarray) -> None:
    """Prepare and score pixels as `cryopick pick` does."""
    prepared = prepare(pixels, 8, picker.model.normalization)
    score_map(picker.model.scorer, prepared.image, step_px=2)


if __name__ == "__main__":
    main()
