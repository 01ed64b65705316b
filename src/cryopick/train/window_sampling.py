"""Sample minibatches of windows for fine-tuning.

A window shows the network particles in their surroundings, as picking does, and gives a score at
every step. Crops tiled into patches, as in `sampling.py`, would show a network that pads its
layers the neighbouring crops. Windows are turned and mirrored by quarter turns, without
interpolation.

Only micrographs with labels are sampled: the objective uses the labelled fraction of the particles
there. A batch depends only on the seed and the step.

- `WindowSampler`: samples minibatches from prepared micrographs.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch

from cryopick.array_types import Bool, Float, Float32, Integer, UInt8
from cryopick.errors import SettingsError
from cryopick.model.geometry import Geometry
from cryopick.model.torch_device import copy_to_device
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.train.sampling import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    UNLABELLED,
    Minibatch,
    augment_patches,
    index_kinds,
)
from cryopick.train.sampling_settings import SamplingSettings

__all__ = ["WindowSampler"]

_MIN_INSIDE_PX = 40  # distance of a window's centre from the edges of the micrograph
_MAX_MARGIN = 2  # scores at the edge of a window, beyond which a higher score may lie


class WindowSampler:
    """A sampler of windows around labels and at random positions.

    Args:
        store: Prepared micrographs with labels.
        settings: Composition and augmentation of a minibatch.
        geometry: Positions of the scores in a window.
        seed: Seed of all random numbers.
        exclusion_px: Distance from a label within which no score counts as unlabelled.

    Raises:
        SettingsError: The store contains no labels; from `batch`, almost everything is masked.
    """

    def __init__(
        self,
        store: PreparedStore,
        settings: SamplingSettings,
        geometry: Geometry,
        *,
        seed: int,
        exclusion_px: float,
    ) -> None:
        if not store.label_count:
            raise SettingsError("there is no label on any training micrograph")
        self.store: PreparedStore = store
        self.settings: SamplingSettings = settings
        self.geometry: Geometry = geometry
        self.seed: int = seed
        self.exclusion_px: float = exclusion_px
        self._margin = min(_MAX_MARGIN, (geometry.grid - 1) // 4)
        self._labels = _flatten(store.labels_px)
        self._negatives = _flatten(store.negatives_px)
        usable_px = [
            area_px if len(labels) else 0
            for area_px, labels in zip(store.usable_px, store.labels_px, strict=True)
        ]
        self._probability = np.array(usable_px, float) / sum(usable_px)

    def batch(self, step: int, device: torch.device) -> Minibatch:
        """Sample the windows of a step."""
        rng = np.random.default_rng([self.seed, step])
        images, kinds = [], []
        for micrograph, centre_px in self._positions(rng):
            image, window_kinds = self._window(rng, micrograph, centre_px)
            images.append(image)
            kinds.append(window_kinds)
        patches = augment_patches(copy_to_device(np.stack(images), device), self.settings, rng)
        batch_kinds = np.stack(kinds)
        indices = index_kinds(batch_kinds, device)
        if not len(indices[UNLABELLED]) or not len(indices[POSITIVE]):
            raise SettingsError(
                "a minibatch has no unlabelled or no labelled position: almost everything on the "
                "training micrographs is masked or labelled. Add micrographs"
            )
        no_logits = copy_to_device(np.zeros(len(indices[NEGATIVE]), np.float32), device)
        return Minibatch(patches[:, None], batch_kinds, indices, no_logits)

    def _positions(self, rng: np.random.Generator) -> Iterator[tuple[int, Float[np.ndarray, "2"]]]:
        """Yield micrograph and centre (x, y) of each window: near labels, then at random."""
        reach_px = float((self.geometry.grid // 2 - self._margin) * self.geometry.stride_px)
        near = [self._labels] * self.settings.positive_patches
        near += [self._negatives] if len(self._negatives) else []
        for group in near:
            row = group[rng.integers(len(group))]
            number, label_px = int(row[0]), row[1:]
            offset = rng.uniform(-reach_px, reach_px, 2)
            yield number, self._move_inside(number, label_px + offset, label_px, reach_px)
        for _ in range(self.settings.unlabelled_patches):
            number = int(rng.choice(len(self.store), p=self._probability))
            height, width = self.store.shapes[number]
            centre = rng.random(2) * (width - 1, height - 1)
            yield number, self._move_inside(number, centre, centre, math.inf)

    def _move_inside(
        self,
        number: int,
        centre_px: Float[np.ndarray, "2"],
        label_px: Float[np.ndarray, "2"],
        reach_px: float,
    ) -> Float[np.ndarray, "2"]:
        """Move the centre of a window away from the edges; its label stays in the window."""
        height, width = self.store.shapes[number]
        size = np.array([width, height], float)
        inner = np.minimum(_MIN_INSIDE_PX, (size - 1) / 2)
        moved = np.clip(centre_px, inner, size - 1 - inner)
        return np.clip(moved, np.subtract(label_px, reach_px), np.add(label_px, reach_px))

    def _window(
        self, rng: np.random.Generator, number: int, centre_px: Float[np.ndarray, "2"]
    ) -> tuple[Float32[np.ndarray, "side side"], UInt8[np.ndarray, "grid grid"]]:
        """Cut and turn one window; return it with the kind of each score."""
        geometry = self.geometry
        side = geometry.patch_px
        left, top = np.rint(centre_px).astype(int) - side // 2
        window = self.store.window(number, int(top), int(left), side)
        first, step = (geometry.field_px - 1) // 2, geometry.stride_px
        chosen = slice(first, first + step * (geometry.grid - 1) + 1, step)
        kinds = self._classify(
            number, window.usable[chosen, chosen], np.array([left + first, top + first])
        )
        image = window.image
        if self.settings.rotate:
            quarters, is_mirrored = int(rng.integers(4)), bool(rng.integers(2))
            image, kinds = np.rot90(image, quarters), np.rot90(kinds, quarters)
            if is_mirrored:
                image, kinds = image[:, ::-1], kinds[:, ::-1]
        return np.ascontiguousarray(image), np.ascontiguousarray(kinds)

    def _classify(
        self,
        number: int,
        usable: Bool[np.ndarray, "grid grid"],
        origin_px: Integer[np.ndarray, "2"],
    ) -> UInt8[np.ndarray, "grid grid"]:
        """Classify the scores of a window whose first score lies at a pixel (x, y)."""
        grid, step = len(usable), self.geometry.stride_px
        kinds = np.where(usable, UNLABELLED, IGNORED).astype(np.uint8)
        inner = slice(self._margin, grid - self._margin)
        is_inner = np.zeros_like(usable)
        is_inner[inner, inner] = True
        kinds[~is_inner] = IGNORED
        row, column = np.mgrid[:grid, :grid]
        marks = [(self.store.labels_px[number], POSITIVE)]
        if self.store.negatives_px:
            marks.insert(0, (self.store.negatives_px[number], NEGATIVE))
        cells = [((xy_px - origin_px) / step, kind) for xy_px, kind in marks]
        for positions, _ in cells:
            for x, y in positions:
                near = np.square(column - x) + np.square(row - y)
                kinds[near <= (self.exclusion_px / step) ** 2] = IGNORED
        for positions, kind in cells:
            for x, y in np.rint(positions).astype(int):
                if 0 <= x < grid and 0 <= y < grid:
                    kinds[y, x] = kind
        return kinds


def _flatten(labels_px: tuple[Float[np.ndarray, "_ 2"], ...]) -> Float[np.ndarray, "labels 3"]:
    """List the labels of all micrographs as rows of micrograph, x, y."""
    rows = [(number, *xy) for number, labels in enumerate(labels_px) for xy in labels]
    return np.array(rows, np.float64).reshape(-1, 3)
