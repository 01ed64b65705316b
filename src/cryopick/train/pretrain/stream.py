"""An endless stream of simulated fields, made while the network learns from earlier ones.

Fields have numbers; a step draws from a window of the latest ones. Both depend on the seed
and the step alone, so a run that was cut off goes on as it would have.

- `Example`: a standardised field and where its particles are.
- `Stream`: the examples of each step.
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

__all__ = ["NORMALIZATION", "Example", "Stream", "make_example"]

NORMALIZATION = Normalization("white")


@dataclass(frozen=True, eq=False)
class Example:
    """A standardised field with the centres of its particles."""

    image: Float32[np.ndarray, "side side"]
    xy_px: Float[np.ndarray, "particles 2"]


def make_example(domain: Domain, seed: Sequence[int]) -> Example:
    """Simulate a field and standardise it as a micrograph would be."""
    field = simulate_field(domain, seed)
    usable = np.ones(field.image.shape, np.bool_)
    return Example(NORMALIZATION.apply(field.image, usable), field.xy_px)


class Stream:
    """Simulates fields in other processes and hands them out.

    Args:
        settings: The recipe.
        molecules: Real molecules to draw from.
        first: Step to begin with.
        workers: Processes that simulate.
    """

    def __init__(
        self, settings: GeneralSettings, molecules: Sequence[Molecule], *, first: int, workers: int
    ) -> None:
        self.settings: GeneralSettings = settings
        self.first: int = first
        self.workers: int = workers
        self.domain: Domain = Domain(
            molecules=tuple(molecules), diameter_px=settings.diameter_px, side_px=settings.side_px
        )

    def batches(self) -> Iterator[list[Example]]:
        """The examples of each step, from the first on."""
        settings = self.settings
        kept: deque[Example] = deque(maxlen=settings.window)
        ahead = max(8, 2 * settings.fresh)
        with ProcessPoolExecutor(
            self.workers, get_context("spawn"), initializer=_keep_domain, initargs=(self.domain,)
        ) as pool:
            waiting: deque[Future[Example]] = deque()
            following = self.first * settings.fresh
            for step in range(self.first, settings.steps):
                ready = step * settings.fresh + settings.window
                while following < ready + ahead:
                    waiting.append(pool.submit(_make_numbered, (settings.seed, following)))
                    following += 1
                while len(kept) < settings.window or following - len(waiting) < ready:
                    kept.append(waiting.popleft().result())
                rng = np.random.default_rng([settings.seed, step, 0])
                yield [kept[i] for i in rng.choice(len(kept), settings.fields, replace=False)]


_domain: list[Domain] = []  # what a worker process draws from


def _keep_domain(domain: Domain) -> None:
    _domain[:] = [domain]


def _make_numbered(seed: tuple[int, int]) -> Example:
    return make_example(_domain[0], seed)
