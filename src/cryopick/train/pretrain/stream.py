"""A stream of simulated fields, produced by other processes during training.

Fields are numbered, and each step samples from a sliding window over the latest fields. Both are
functions of the seed and the step alone, so a resumed run sees the same examples.

- `Example`: a normalised field with the particle centres.
- `ExampleStream`: generate the examples of each training step.
- `make_example`: simulate and normalise one field.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.preprocess.normalize import Normalization
from cryopick.simulate.domain import Domain, simulate_field
from cryopick.simulate.molecules import Molecule
from cryopick.train.pretrain.settings import GeneralSettings

__all__ = ["NORMALIZATION", "Example", "ExampleStream", "make_example"]

NORMALIZATION = Normalization("white")


@dataclass(frozen=True, eq=False)
class Example:
    """A normalised field with the particle centres (x, y)."""

    image: Float32[np.ndarray, "side side"]
    xy_px: Float[np.ndarray, "particles 2"]


def make_example(domain: Domain, seed: Sequence[int]) -> Example:
    """Simulate a field and normalise it like a micrograph."""
    field = simulate_field(domain, seed)
    usable = np.ones(field.image.shape, np.bool_)
    return Example(NORMALIZATION.apply(field.image, usable), field.xy_px)


class ExampleStream:
    """Training examples, simulated in worker processes.

    Args:
        settings: The recipe.
        molecules: Real molecules to draw from.
        first_step: Number of the first training step.
        workers: Number of processes that simulate fields.
    """

    def __init__(
        self,
        settings: GeneralSettings,
        molecules: Sequence[Molecule],
        *,
        first_step: int,
        workers: int,
    ) -> None:
        self.settings: GeneralSettings = settings
        self.first_step: int = first_step
        self.workers: int = workers
        self.domain: Domain = Domain(
            molecules=tuple(molecules), diameter_px=settings.diameter_px, side_px=settings.side_px
        )

    def batches(self) -> Iterator[list[Example]]:
        """Generate the examples of each step, starting with the first step."""
        settings = self.settings
        window: deque[Example] = deque(maxlen=settings.window)
        prefetched = max(8, 2 * settings.fresh)
        with ProcessPoolExecutor(
            self.workers, get_context("spawn"), initializer=_set_domain, initargs=(self.domain,)
        ) as pool:
            pending: deque[Future[Example]] = deque()
            next_number = self.first_step * settings.fresh
            for step in range(self.first_step, settings.steps):
                window_end = step * settings.fresh + settings.window
                while next_number < window_end + prefetched:
                    pending.append(pool.submit(_make_numbered, (settings.seed, next_number)))
                    next_number += 1
                while len(window) < settings.window or next_number - len(pending) < window_end:
                    window.append(pending.popleft().result())
                rng = np.random.default_rng([settings.seed, step, 0])
                yield [window[i] for i in rng.choice(len(window), settings.fields, replace=False)]


_domain: list[Domain] = []  # domain of a worker process, set by the initializer of the pool


def _set_domain(domain: Domain) -> None:
    _domain[:] = [domain]


def _make_numbered(seed: tuple[int, int]) -> Example:
    return make_example(_domain[0], seed)
