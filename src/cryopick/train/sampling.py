"""Sample minibatches of labelled and unlabelled regions.

Applied to a patch of `patch_px` pixels, the network gives a grid of scores, one per region, for
little more than the cost of a few single regions. Unlabelled regions are all regions of patches at
uniformly random positions. Labelled regions are single crops around labels, tiled into patches of
the same size, so that batch normalization sees one batch. With `patch_px` equal to the receptive
field, every patch is one region, as in the paper.

A batch depends only on the seed and the step, so a resumed run samples the same batches.

- `Sampler`: samples minibatches from prepared micrographs.
- `Minibatch`: a minibatch.
- `augment_patches`, `index_kinds`: parts of sampling that do not depend on the patches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from cryopick.array_types import Bool, Float, Float32, Int64, UInt8
from cryopick.errors import SettingsError
from cryopick.model.geometry import Geometry
from cryopick.model.torch_device import copy_to_device
from cryopick.preprocess.prepared_store import PreparedStore, Window
from cryopick.train.augmentation import augment_intensity, augment_spectrum
from cryopick.train.sampling_settings import SamplingSettings

__all__ = [
    "IGNORED",
    "NEGATIVE",
    "POSITIVE",
    "UNLABELLED",
    "Minibatch",
    "Sampler",
    "augment_patches",
    "index_kinds",
]

IGNORED, UNLABELLED, POSITIVE, NEGATIVE = 0, 1, 2, 3

_MAX_DRAWS = 100  # to find an unlabelled region


@dataclass(frozen=True)
class Minibatch:
    """Patches, and the kind of each region in them.

    Attributes:
        patches: Normalized images, on the device.
        kinds: For each score, `POSITIVE`, `NEGATIVE`, `UNLABELLED` or `IGNORED`; in host
            memory, so that counting them does not wait for the device.
        indices: Indices of each kind in the flat scores, on the device; not for `IGNORED`.
        partner_logits: Weighted logit of the ensemble partner for each negative region, in their
            order, on the device.
    """

    patches: Float[Tensor, "batch 1 side side"]
    kinds: UInt8[np.ndarray, "batch grid grid"]
    indices: Mapping[int, Int64[Tensor, " scores"]]
    partner_logits: Float[Tensor, " negatives"]


def augment_patches(
    patches: Float[Tensor, "batch side side"], settings: SamplingSettings, rng: np.random.Generator
) -> Float[Tensor, "batch side side"]:
    """Vary contrast, noise and spectrum of the patches of a minibatch."""
    patches = augment_intensity(
        patches,
        contrast=settings.contrast,
        noise=settings.noise,
        seed=int(rng.integers(2**62)),
    )
    return augment_spectrum(
        patches, log_gain_std=settings.spectral_augmentation, seed=int(rng.integers(2**62))
    )


def index_kinds(
    kinds: UInt8[np.ndarray, "batch rows columns"], device: torch.device
) -> dict[int, Tensor]:
    """List the flat indices of the scores of each kind, on a device."""
    return {
        kind: copy_to_device(np.flatnonzero(kinds == kind), device)
        for kind in (UNLABELLED, POSITIVE, NEGATIVE)
    }


class Sampler:
    """A sampler of minibatches from prepared micrographs.

    Args:
        store: Prepared micrographs with labels.
        settings: Composition and augmentation of a minibatch.
        geometry: Positions of the regions in a patch.
        seed: Seed of all random numbers.
        partner_logits: Weighted logit of the ensemble partner for each negative label of the
            store, by micrograph; None means 0.

    Raises:
        SettingsError: The store contains no labels; from `batch`, no unlabelled region is found.
    """

    def __init__(
        self,
        store: PreparedStore,
        settings: SamplingSettings,
        geometry: Geometry,
        *,
        seed: int,
        partner_logits: Float[np.ndarray, " negatives"] | None = None,
    ) -> None:
        if not store.label_count:
            raise SettingsError("there is no label on any training micrograph")
        self.store: PreparedStore = store
        self.settings: SamplingSettings = settings
        self.geometry: Geometry = geometry
        self.seed: int = seed
        self._labels = _flatten(store.labels_px)
        self._negatives = _flatten(store.negatives_px)
        self._partner_logits = np.zeros(len(self._negatives))
        if partner_logits is not None:
            self._partner_logits = partner_logits
        usable = np.array(store.usable_px, dtype=float)
        self._probability = usable / usable.sum()

    def batch(self, step: int, device: torch.device) -> Minibatch:
        """Sample the batch of a step: unlabelled patches, then positives, then negatives."""
        rng = np.random.default_rng([self.seed, step])
        unlabelled, kinds = self._sample_unlabelled(rng, device)
        tiles = self.geometry.tiles**2
        count = self.settings.positive_patches * tiles
        chosen = self._labels[rng.integers(len(self._labels), size=count)]
        tiled, tiled_kinds = self._tile_crops(rng, chosen, POSITIVE, device)
        crops, all_kinds = [unlabelled, tiled], [kinds, tiled_kinds]
        partner_logits = np.zeros(0, np.float32)
        if len(self._negatives):
            rows = rng.integers(len(self._negatives), size=tiles)
            tiled, tiled_kinds = self._tile_crops(rng, self._negatives[rows], NEGATIVE, device)
            crops.append(tiled)
            all_kinds.append(tiled_kinds)
            # Tiles and scores are both in row order.
            partner_logits = self._partner_logits[rows].astype(np.float32)
        patches = augment_patches(torch.cat(crops), self.settings, rng)
        batch_kinds = np.concatenate(all_kinds)
        indices = index_kinds(batch_kinds, device)
        return Minibatch(
            patches[:, None], batch_kinds, indices, copy_to_device(partner_logits, device)
        )

    def _sample_unlabelled(
        self, rng: np.random.Generator, device: torch.device
    ) -> tuple[Tensor, UInt8[np.ndarray, "batch grid grid"]]:
        """Sample patches until one contains an unlabelled region, as every objective needs."""
        for _ in range(_MAX_DRAWS):
            crops, kinds = self._sample_patches(rng, device)
            if (kinds == UNLABELLED).any():
                return crops, kinds
        raise SettingsError(
            f"no unlabelled region in {_MAX_DRAWS} draws: almost everything on the training "
            "micrographs is masked or labelled. Raise --unlabelled-patches or add micrographs"
        )

    def _sample_patches(
        self, rng: np.random.Generator, device: torch.device
    ) -> tuple[Tensor, UInt8[np.ndarray, "batch grid grid"]]:
        """Sample patches at uniform positions, with the kind of each of their regions."""
        count = self.settings.unlabelled_patches
        micrographs = rng.choice(len(self.store), size=count, p=self._probability)
        position = rng.random((count, 2))
        centres = np.array(
            [
                position[i] * (self.store.shapes[m][1] - 1, self.store.shapes[m][0] - 1)
                for i, m in enumerate(micrographs)
            ]
        )
        turns = self._turns(rng, count)
        windows, where = self._windows(micrographs, centres, turns, self.geometry.patch_px)
        kinds = np.where(self._usable(windows, where), UNLABELLED, IGNORED).astype(np.uint8)
        for i, micrograph in enumerate(micrographs):
            labels = self._all_labels(int(micrograph))
            if len(labels):
                kinds[i][self._near_labels(centres[i], turns[i], labels)] = IGNORED
        return _crops(windows, where, device), kinds

    def _all_labels(self, micrograph: int) -> Float[np.ndarray, "_ 2"]:
        """Return the positive and negative labels of a micrograph."""
        labels, negatives = self.store.labels_px[micrograph], self.store.negatives_px
        return np.concatenate([labels, negatives[micrograph]]) if negatives else labels

    def _tile_crops(
        self,
        rng: np.random.Generator,
        chosen: Float[np.ndarray, "count 3"],
        kind: int,
        device: torch.device,
    ) -> tuple[Tensor, UInt8[np.ndarray, "batch grid grid"]]:
        """Tile patches with crops around labels, each displaced within the label radius.

        Args:
            rng: Random number generator.
            chosen: Micrograph, x, y of each label; they fill whole patches.
            kind: Kind of the regions.
            device: Device of the patches.
        """
        geometry, count = self.geometry, len(chosen)
        patches = count // geometry.tiles**2
        radius = self.settings.label_radius_px * np.sqrt(rng.random(count))
        angle = rng.uniform(0, 2 * np.pi, count)
        shift = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        turns = self._turns(rng, count)
        crops = _crops(
            *self._windows(
                chosen[:, 0].astype(int), chosen[:, 1:] + shift, turns, geometry.field_px
            ),
            device,
        )
        canvas = torch.zeros(patches, geometry.patch_px, geometry.patch_px, device=device)
        kinds = np.full((patches, geometry.grid, geometry.grid), IGNORED, np.uint8)
        step = geometry.tile_px // geometry.stride_px
        for number, crop in enumerate(crops):
            patch, tile = divmod(number, geometry.tiles**2)
            row, column = divmod(tile, geometry.tiles)
            top, left = row * geometry.tile_px, column * geometry.tile_px
            canvas[patch, top : top + geometry.field_px, left : left + geometry.field_px] = crop
            kinds[patch, row * step, column * step] = kind
        return canvas, kinds

    def _turns(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "count 2 2"]:
        """Sample matrices from (x, y) in a rotated crop to (x, y) on the micrograph."""
        if not self.settings.rotate:
            return np.tile(np.eye(2), (count, 1, 1))
        angle = rng.uniform(0, 2 * np.pi, count)
        mirror = rng.choice([-1.0, 1.0], count)
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([cos * mirror, -sin, sin * mirror, cos], axis=1).reshape(-1, 2, 2)

    def _windows(
        self,
        micrographs: np.ndarray,
        centres_px: Float[np.ndarray, "count 2"],
        turns: Float[np.ndarray, "count 2 2"],
        side: int,
    ) -> tuple[list[Window], Float32[np.ndarray, "count side side 2"]]:
        """Read a window around each sub-pixel centre, large enough for any rotation.

        Returns:
            The windows, and the positions of the rotated crops' pixels in them: (x, y), from -1
            to 1 between opposite sides of the window.
        """
        reach = int(np.ceil(side / np.sqrt(2))) + 2
        corners = np.round(centres_px).astype(int) - reach
        windows = [
            self.store.window(int(m), int(y), int(x), 2 * reach + 1)
            for m, (x, y) in zip(micrographs, corners, strict=True)
        ]
        axis = np.arange(side) - (side - 1) / 2
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)  # row by row, (x, y)
        offset = centres_px - corners - reach
        points = (grid @ turns.transpose(0, 2, 1) + offset[:, None]).reshape(-1, side, side, 2)
        return windows, (points / reach).astype(np.float32)

    def _usable(
        self, windows: Sequence[Window], where: Float32[np.ndarray, "count side side 2"]
    ) -> Bool[np.ndarray, "count grid grid"]:
        """Look up if the centre pixel of each region is usable."""
        first, step = (self.geometry.field_px - 1) // 2, self.geometry.stride_px
        stop = first + step * (self.geometry.grid - 1) + 1
        centres = torch.from_numpy(where[:, first:stop:step, first:stop:step])
        masks = torch.from_numpy(np.stack([window.usable for window in windows]))[:, None].float()
        nearest = grid_sample(masks, centres, mode="nearest", align_corners=True)
        return nearest[:, 0].numpy() > 0.5

    def _near_labels(
        self,
        centre_px: Float[np.ndarray, "2"],
        turn: Float[np.ndarray, "2 2"],
        labels_px: Float[np.ndarray, "labels 2"],
    ) -> np.ndarray:
        """Find the regions of a patch that are centred within the radius of a label."""
        x, y = np.meshgrid(self.geometry.centres_px, self.geometry.centres_px)
        positions = np.stack([x, y], axis=-1) @ turn.T + centre_px
        offsets = positions[:, :, None, :] - labels_px
        return (np.square(offsets).sum(-1) <= self.settings.label_radius_px**2).any(-1)


def _crops(
    windows: Sequence[Window], where: Float32[np.ndarray, "count side side 2"], device: torch.device
) -> Float[Tensor, "count side side"]:
    """Interpolate rotated crops from windows, on the device in one call."""
    images = copy_to_device(np.stack([window.image for window in windows]), device)
    turned = grid_sample(
        images[:, None], copy_to_device(where, device), mode="bicubic", align_corners=True
    )
    return turned[:, 0]


def _flatten(labels_px: Sequence[Float[np.ndarray, "_ 2"]]) -> Float[np.ndarray, "labels 3"]:
    """List the labels of all micrographs as rows of micrograph, x, y."""
    rows = [(i, *xy) for i, labels in enumerate(labels_px) for xy in labels]
    return np.array(rows, np.float64).reshape(-1, 3)
