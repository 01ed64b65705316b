"""Minibatches of labelled and unlabelled regions, cut from patches.

One pass of the network over a patch of `patch_px` pixels gives a grid of scores, each of
one region, for little more than the cost of a few regions alone. Unlabelled regions are
all regions of patches drawn uniformly. Labelled regions are single crops around labels,
tiled into patches of the same size, so that batch normalisation sees one batch. With
`patch_px` equal to the receptive field every patch is one region, as in the paper.

A batch depends on the seed and the step alone, so a resumed run draws the same ones.

- `SamplingSettings`: what a minibatch is made of.
- `Sampler`, `Batch`: drawing it, and what is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from cryopick.array_types import Bool, Float, Float32, Int64, UInt8
from cryopick.errors import SettingsError
from cryopick.model.device import sent
from cryopick.model.geometry import Geometry
from cryopick.preprocess.store import Store, Window
from cryopick.train.augmentation import distort, recolour

__all__ = [
    "IGNORED",
    "NEGATIVE",
    "POSITIVE",
    "UNLABELLED",
    "Batch",
    "Sampler",
    "SamplingSettings",
]

IGNORED, UNLABELLED, POSITIVE, NEGATIVE = 0, 1, 2, 3

_DRAWS = 100  # before giving up on finding an unlabelled region


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """What a minibatch is made of.

    Attributes:
        patch_px: Side of a patch in working pixels; None takes three receptive fields.
        unlabelled_patches: Patches of unlabelled regions in a step.
        positive_patches: Patches tiled with labelled regions in a step.
        label_radius_px: A region counts as positive when its centre lies within this many
            working pixels of a label.
        rotate: Turn each crop by a random angle and mirror half of them.
        contrast: Spread of the logarithm of the contrast, which is varied patch by patch.
        noise: Greatest standard deviation of white noise added to a patch, in spreads of the
            background.
        colour: Spread of the logarithm of the power at each frequency, which is varied patch by
            patch; 0 leaves it. `cryopick train` takes 0.2, save where it starts from a model of
            yours.
    """

    patch_px: int | None = None
    unlabelled_patches: int = 8
    positive_patches: int = 2
    label_radius_px: float = 1.0
    rotate: bool = True
    contrast: float = 0.2
    noise: float = 1.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        if min(self.unlabelled_patches, self.positive_patches) < 1:
            raise SettingsError("a step needs at least one unlabelled and one positive patch")
        if not 0 < self.label_radius_px < np.inf:
            raise SettingsError(f"label_radius_px must be above 0; got {self.label_radius_px}")
        for name in ("contrast", "noise", "colour"):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(f"{name} must be 0 or more; got {getattr(self, name)}")


@dataclass(frozen=True)
class Batch:
    """Patches and what is known of each region in them.

    Attributes:
        patches: Normalised images, on the device.
        kinds: For each score, `POSITIVE`, `NEGATIVE`, `UNLABELLED` or `IGNORED`; not on the
            device, which would have to be waited for when they are counted.
        places: Where in the flat scores each kind is, on the device; not for `IGNORED`.
        votes: What a guide holds against each negative score, in their order, on the device.
    """

    patches: Float[Tensor, "batch 1 side side"]
    kinds: UInt8[np.ndarray, "batch grid grid"]
    places: Mapping[int, Int64[Tensor, " scores"]]
    votes: Float[Tensor, " negatives"]


class Sampler:
    """Draws minibatches from a store.

    Args:
        store: Prepared micrographs with labels.
        settings: What a minibatch is made of.
        geometry: How the network sees a patch.
        seed: Whole number from which every minibatch follows.
        votes: For each negative of the store, one micrograph after the other, the logit with
            which a guide takes it for a particle; none for 0.

    Raises:
        SettingsError: The store holds no labels; from `batch`, no unlabelled region is found.
    """

    def __init__(
        self,
        store: Store,
        settings: SamplingSettings,
        geometry: Geometry,
        *,
        seed: int,
        votes: Float[np.ndarray, " negatives"] | None = None,
    ) -> None:
        if not store.labelled:
            raise SettingsError("there is no label on any training micrograph")
        self.store: Store = store
        self.settings: SamplingSettings = settings
        self.geometry: Geometry = geometry
        self.seed: int = seed
        self._labels = _listed(store.labels_px)
        self._negatives = _listed(store.negatives_px)
        self._votes = np.zeros(len(self._negatives)) if votes is None else votes
        usable = np.array(store.usable_px, dtype=float)
        self._chance = usable / usable.sum()

    def batch(self, step: int, device: torch.device) -> Batch:
        """The batch of a step, on `device`: unlabelled patches, positives, then negatives."""
        rng = np.random.default_rng([self.seed, step])
        unlabelled, kinds = self._some_unlabelled(rng, device)
        tiles = self.geometry.tiles**2
        count = self.settings.positive_patches * tiles
        chosen = self._labels[rng.integers(len(self._labels), size=count)]
        tiled, tiled_kinds = self._tiled(rng, chosen, POSITIVE, device)
        crops, told, votes = [unlabelled, tiled], [kinds, tiled_kinds], np.zeros(0, np.float32)
        if len(self._negatives):
            rows = rng.integers(len(self._negatives), size=tiles)
            tiled, tiled_kinds = self._tiled(rng, self._negatives[rows], NEGATIVE, device)
            crops.append(tiled)
            told.append(tiled_kinds)
            votes = self._votes[rows].astype(np.float32)  # tiles and scores are row by row
        patches = distort(
            torch.cat(crops),
            contrast=self.settings.contrast,
            noise=self.settings.noise,
            seed=int(rng.integers(2**62)),
        )
        patches = recolour(patches, spread=self.settings.colour, seed=int(rng.integers(2**62)))
        all_kinds = np.concatenate(told)
        places = {
            kind: sent(np.flatnonzero(all_kinds == kind), device)
            for kind in (UNLABELLED, POSITIVE, NEGATIVE)
        }
        return Batch(patches[:, None], all_kinds, places, sent(votes, device))

    def _some_unlabelled(
        self, rng: np.random.Generator, device: torch.device
    ) -> tuple[Tensor, UInt8[np.ndarray, "batch grid grid"]]:
        """Patches with at least one unlabelled region among them, as every objective needs."""
        for _ in range(_DRAWS):
            crops, kinds = self._unlabelled(rng, device)
            if (kinds == UNLABELLED).any():
                return crops, kinds
        raise SettingsError(
            f"{_DRAWS} draws found no unlabelled region: nearly everything on the training "
            "micrographs is masked or labelled. Raise --unlabelled-patches or add micrographs"
        )

    def _unlabelled(
        self, rng: np.random.Generator, device: torch.device
    ) -> tuple[Tensor, UInt8[np.ndarray, "batch grid grid"]]:
        """Patches drawn uniformly, with the kind of each of their regions."""
        count = self.settings.unlabelled_patches
        micrographs = rng.choice(len(self.store), size=count, p=self._chance)
        place = rng.random((count, 2))
        centres = np.array(
            [
                place[i] * (self.store.shapes[m][1] - 1, self.store.shapes[m][0] - 1)
                for i, m in enumerate(micrographs)
            ]
        )
        turns = self._turns(rng, count)
        windows, where = self._windows(micrographs, centres, turns, self.geometry.patch_px)
        kinds = np.where(self._usable(windows, where), UNLABELLED, IGNORED).astype(np.uint8)
        for i, micrograph in enumerate(micrographs):
            labels = self._known(int(micrograph))
            if len(labels):
                kinds[i][self._near_labels(centres[i], turns[i], labels)] = IGNORED
        return _crops(windows, where, device), kinds

    def _known(self, micrograph: int) -> Float[np.ndarray, "_ 2"]:
        """Where on a micrograph a label says what is there."""
        labels, negatives = self.store.labels_px[micrograph], self.store.negatives_px
        return np.concatenate([labels, negatives[micrograph]]) if negatives else labels

    def _tiled(
        self,
        rng: np.random.Generator,
        chosen: Float[np.ndarray, "count 3"],
        kind: int,
        device: torch.device,
    ) -> tuple[Tensor, UInt8[np.ndarray, "batch grid grid"]]:
        """Patches tiled with crops around labels, each displaced within its disc.

        The number of labels, given as micrograph, x, y, fills whole patches.
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
            patch, place = divmod(number, geometry.tiles**2)
            row, column = divmod(place, geometry.tiles)
            top, left = row * geometry.tile_px, column * geometry.tile_px
            canvas[patch, top : top + geometry.field_px, left : left + geometry.field_px] = crop
            kinds[patch, row * step, column * step] = kind
        return canvas, kinds

    def _turns(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "count 2 2"]:
        """Matrices from (x, y) in a turned crop to (x, y) on the micrograph."""
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
        """A window around each sub-pixel centre, large enough for any turn.

        Returns:
            The windows, and where in them the pixels of the turned crops are: (x, y), from -1 to
            1 from one side of the window to the other.
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
        """Whether the centre pixel of each score's region is usable."""
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
        """Which scores of a patch are of regions centred within the radius of a label."""
        x, y = np.meshgrid(self.geometry.centres_px, self.geometry.centres_px)
        places = np.stack([x, y], axis=-1) @ turn.T + centre_px
        gaps = places[:, :, None, :] - labels_px
        return (np.square(gaps).sum(-1) <= self.settings.label_radius_px**2).any(-1)


def _crops(
    windows: Sequence[Window], where: Float32[np.ndarray, "count side side 2"], device: torch.device
) -> Float[Tensor, "count side side"]:
    """Turned crops out of windows, interpolated on the device in one call."""
    images = sent(np.stack([window.image for window in windows]), device)
    turned = grid_sample(images[:, None], sent(where, device), mode="bicubic", align_corners=True)
    return turned[:, 0]


def _listed(labels_px: Sequence[Float[np.ndarray, "_ 2"]]) -> Float[np.ndarray, "labels 3"]:
    """Labels of all micrographs as rows of micrograph, x, y."""
    rows = [(i, *xy) for i, labels in enumerate(labels_px) for xy in labels]
    return np.array(rows, np.float64).reshape(-1, 3)
