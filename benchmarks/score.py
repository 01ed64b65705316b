"""Score maps: arithmetic speed of the convolutions compared with a plain matrix product."""

from functools import partial

import numpy as np
import torch  # noqa: TID253  # what is measured
from common import heading, matrix_gflops, medians, row

from cryopick.inference.engine import optimize_for_inference, resolve_precision
from cryopick.inference.score_map import compute_score_map
from cryopick.model.architectures import NETWORKS, NetworkSettings
from cryopick.model.device import choose_device
from cryopick.model.networks import Scorer, extract_network
from cryopick.pick.suppression import suppress_non_maxima


def operations(name: str, width: int, shape: tuple[int, int], step_px: int | None = None) -> float:
    """Count multiplications and additions of the convolutions, for every `step_px`-th pixel.

    None means the network's stride.
    """
    total, channels, stride = 0.0, 1, 1
    for layer in NETWORKS[name]:
        stride *= layer.stride
        if step_px is not None:
            stride = min(step_px, stride)  # at_step takes the rest from it
        rows, columns = shape[0] // stride, shape[1] // stride
        out = layer.channels * width
        taps = layer.kernel**2 * out
        per_place = taps * channels + (taps * out if layer.residual else 0)
        if layer.residual and (layer.stride > 1 or out != channels):
            per_place += channels * out  # the shortcut
        total += 2 * per_place * rows * columns
        channels = out
    return total


def main(
    side_px: int = 512,
    networks: tuple[str, ...] = ("conv31", "resnet73", "dilated101"),
    repeats: int = 3,
) -> None:
    """Print the table."""
    image = np.random.default_rng(0).normal(size=(side_px, side_px)).astype(np.float32)
    # Without processor support, bfloat16 is a thousand times slower than float32.
    device = choose_device()
    fast = resolve_precision("auto", device) == "bfloat16"
    peaks = {kind: matrix_gflops(kind) for kind in ("float32", *(["bfloat16"] if fast else []))}
    heading(f"Score {side_px} x {side_px} prepared pixels, {torch.get_num_threads()} threads")
    for name in networks:
        plain = extract_network(Scorer(NetworkSettings(name=name)))
        works = {
            (step, kind): partial(
                compute_score_map,
                optimize_for_inference(plain, kind, device, step_px=step),
                image,
            )
            for step in (1, 2, 4)
            if step <= plain.stride_px
            for kind in peaks
        }
        seconds = medians(works, repeats)
        for step, kind in works:
            count = operations(name, plain.settings.width, image.shape, step)
            speed = count / seconds[step, kind] / 1e9
            words = f"{speed:.0f} of {peaks[kind]:.0f} GFLOP/s"
            share = f"{speed / peaks[kind]:.2f}"
            row(f"{name}, every {step} px, {kind}", seconds[step, kind], share, words)
    logits = np.random.default_rng(1).normal(size=(side_px // 2,) * 2).astype(np.float32)
    works = {
        "suppress_non_maxima": lambda: suppress_non_maxima(logits, radius=4.0, threshold=-6.0),
        "sort": lambda: np.argsort(logits, axis=None),
    }
    seconds = medians(works)
    row(
        "suppression",
        seconds["suppress_non_maxima"],
        seconds["suppress_non_maxima"] / seconds["sort"],
        "one argsort",
    )


if __name__ == "__main__":
    main()
