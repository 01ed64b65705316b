"""Simulated fields with complete ground truth, stored in files so that runs can be resumed.

- `Example`: a normalised field with the particle centres.
- `make_example`: simulate and normalise one field.
- `simulate_examples`: simulate many, or read those that exist.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.preprocess.normalize import Normalization
from cryopick.runs.atomic_write import atomic_write
from cryopick.simulate.domain import Domain, simulate_field

__all__ = ["NORMALIZATION", "Example", "make_example", "simulate_examples"]

NORMALIZATION = Normalization("noise")
_BLOCK = 50  # fields per file


@dataclass(frozen=True, eq=False)
class Example:
    """A normalised field with the particle centres (x, y)."""

    image: Float[np.ndarray, "side side"]
    xy_px: Float[np.ndarray, "particles 2"]


def make_example(domain: Domain, seed: Sequence[int]) -> Example:
    """Simulate a field and normalise it like a micrograph."""
    field = simulate_field(domain, seed)
    usable = np.ones(field.image.shape, np.bool_)
    return Example(NORMALIZATION.apply(field.image, usable), field.xy_px)


def simulate_examples(
    domain: Domain, seed: int, count: int, folder: Path, *, workers: int = 1
) -> list[Example]:
    """Simulate the fields with the seeds (seed, 0) to (seed, count - 1), in half precision.

    Args:
        domain: Distribution to draw from.
        seed: First part of the seed of each field.
        count: Number of fields.
        folder: Folder of the files; those that exist are read instead of simulated.
        workers: Number of processes that simulate.
    """
    folder.mkdir(parents=True, exist_ok=True)
    firsts = range(0, count, _BLOCK)
    make_block = partial(_make_block, domain=domain, seed=seed, folder=folder)
    if workers == 1:
        files = [make_block(first) for first in firsts]
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            files = list(pool.map(make_block, firsts))
    examples: list[Example] = []
    for file in files:
        with np.load(file) as arrays:
            ends = np.cumsum([0, *arrays["counts"]])
            centres = [arrays["xy_px"][start:end] for start, end in pairwise(ends)]
            examples += [
                Example(image, xy_px)
                for image, xy_px in zip(arrays["images"], centres, strict=True)
            ]
    return examples[:count]


def _make_block(first: int, *, domain: Domain, seed: int, folder: Path) -> Path:
    """Write the file of a block of fields, unless it exists."""
    file = folder / f"{seed}-{first:06d}.npz"
    if file.exists():
        return file
    examples = [make_example(domain, (seed, first + index)) for index in range(_BLOCK)]
    with atomic_write(file) as temporary, temporary.open("wb") as out:
        np.savez(
            out,
            images=np.stack([example.image for example in examples]).astype(np.float16),
            xy_px=np.concatenate([example.xy_px for example in examples]),
            counts=np.array([len(example.xy_px) for example in examples]),
        )
    return file
