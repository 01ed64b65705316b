"""Minibatches of windows from labelled tomograms, with augmentation that respects the wedge.

A tilt series around y leaves a wedge around the z axis of Fourier space without information. The
wedge is symmetric under flips of x, y and z, so that a flipped window is a window of another
possible tomogram of the same microscope; a rotated one is not. Small rotations around the beam
axis are optional.

- `LabelledVolume`: a working volume with the labels of each class.
- `Windows`: a minibatch.
- `WindowSampler3d`: draws minibatches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.errors import SettingsError

__all__ = ["LabelledVolume", "WindowSampler3d", "Windows"]


@dataclass(frozen=True, eq=False)
class LabelledVolume:
    """A working volume with labels.

    Attributes:
        image: Voxels.
        labels_px: Labels (x, y, z) of each class in working voxels.
        negatives_px: Positions without a particle.
    """

    image: Float32[np.ndarray, "depth height width"]
    labels_px: Sequence[Float[np.ndarray, "_ 3"]]
    negatives_px: Float[np.ndarray, "_ 3"]


@dataclass(frozen=True, eq=False)
class Windows:
    """A minibatch: windows, and the kind of each of their scores.

    Attributes:
        images: Windows with one channel.
        positive: Scores of regions near a label of each class.
        negative: Scores of regions near a negative label.
        unlabelled: Scores of unlabelled regions, in windows at random positions only.
    """

    images: Float32[np.ndarray, "batch 1 side side side"]
    positive: Bool[np.ndarray, "batch classes grid grid grid"]
    negative: Bool[np.ndarray, "batch grid grid grid"]
    unlabelled: Bool[np.ndarray, "batch grid grid grid"]


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowSampler3d:
    """A sampler of windows.

    Attributes:
        volumes: Labelled tomograms.
        field_px: Receptive field of the network.
        stride_px: Its stride.
        grid: Scores along each axis of a window.
        unlabelled_windows: Windows at random positions.
        positive_windows: Windows around labels of each class.
        label_radius_px: Radius within which a score belongs to a label.
        max_turn_deg: Maximum rotation around z.
        contrast: Standard deviation of the logarithm of the contrast factor.
        seed: Seed of all random numbers.

    Raises:
        SettingsError: A class has no label, or a tomogram is smaller than a window.
    """

    volumes: Sequence[LabelledVolume]
    field_px: int
    stride_px: int
    grid: int = 9
    unlabelled_windows: int
    positive_windows: int
    label_radius_px: float
    max_turn_deg: float
    contrast: float
    seed: int

    def __post_init__(self) -> None:
        for number in range(self.classes):
            if not any(len(volume.labels_px[number]) for volume in self.volumes):
                raise SettingsError(
                    f"there is no label of class {number + 1} inside the training tomograms"
                )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.volumes[0].labels_px)

    @property
    def side_px(self) -> int:
        """Side of a window."""
        return self.field_px + (self.grid - 1) * self.stride_px

    def sample(self, step: int) -> Windows:
        """Sample the minibatch of a step."""
        rng = np.random.default_rng([self.seed, step])
        sizes = np.array([volume.image.size for volume in self.volumes], float)
        centres = []
        for index in rng.choice(len(self.volumes), self.unlabelled_windows, p=sizes / sizes.sum()):
            shape = self.volumes[index].image.shape[::-1]
            centres.append((index, rng.random(3) * (np.array(shape) - 1)))
        reach = (self.grid - 1) / 2 * self.stride_px
        groups = [[one.labels_px[number] for one in self.volumes] for number in range(self.classes)]
        groups.append([one.negatives_px for one in self.volumes])
        for group in groups:
            owner = np.repeat(np.arange(len(group)), [len(points) for points in group])
            points = np.concatenate(group)
            count = self.positive_windows if len(points) else 0
            for row in rng.integers(max(len(points), 1), size=count):
                jitter = rng.uniform(-reach / 2, reach / 2, 3)
                centres.append((int(owner[row]), points[row] + jitter))
        windows = [self._cut(rng, self.volumes[i], centre) for i, centre in centres]
        images, positive, negative = (np.stack(parts) for parts in zip(*windows, strict=True))
        unlabelled = ~(positive.any(axis=1) | negative)
        unlabelled[self.unlabelled_windows :] = False
        gain = np.exp(rng.normal(scale=self.contrast, size=len(images))).astype(np.float32)
        images *= gain[:, None, None, None]
        return Windows(images[:, None], positive, negative, unlabelled)

    def _cut(
        self, rng: np.random.Generator, volume: LabelledVolume, centre: Float[np.ndarray, "3"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut an augmented window, with the scores near labels and near negative labels."""
        side = self.side_px
        corner = np.round(centre - (side - 1) / 2).astype(int)
        flips = rng.choice([-1, 1], 3)
        turn = np.radians(rng.uniform(-self.max_turn_deg, self.max_turn_deg))
        middle = corner + (side - 1) / 2
        image = cut_reflected(volume.image, corner[::-1], side)
        if turn:
            image = _rotate(volume.image, middle, side, turn)
        image = image[:: flips[2], :: flips[1], :: flips[0]]
        first = (self.field_px - 1) / 2 - (side - 1) / 2
        offsets = first + self.stride_px * np.arange(self.grid)  # of the scores from the middle
        near = [
            self._find_near(points, middle, flips, turn, offsets)
            for points in (*volume.labels_px, volume.negatives_px)
        ]
        return np.ascontiguousarray(image), np.stack(near[:-1]), near[-1]

    def _find_near(
        self,
        points_px: Float[np.ndarray, "_ 3"],
        middle: Float[np.ndarray, "3"],
        flips: np.ndarray,
        turn_rad: float,
        offsets: Float[np.ndarray, " grid"],
    ) -> Bool[np.ndarray, "grid grid grid"]:
        """Find the scores of an augmented window that are near some points."""
        is_near = np.zeros((self.grid,) * 3, bool)
        cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
        for x, y, z in points_px - middle:
            turned = np.array([cosine * x + sine * y, -sine * x + cosine * y, z]) * flips
            if (np.abs(turned) > abs(offsets[0]) + self.label_radius_px).any():
                continue
            dx, dy, dz = (np.square(offsets - axis) for axis in turned)
            squared = dz[:, None, None] + dy[:, None] + dx
            is_near |= squared <= self.label_radius_px**2
        return is_near


def cut_reflected(
    image: Float32[np.ndarray, "depth height width"], corner_zyx: np.ndarray, side: int
) -> Float32[np.ndarray, "{side} {side} {side}"]:
    """Cut a cube that may extend beyond the volume, which is continued by reflection."""
    rows = [
        reflect_indices(np.arange(start, start + side), count)
        for start, count in zip(corner_zyx, image.shape, strict=True)
    ]
    return image[np.ix_(*rows)]


def reflect_indices(indices: np.ndarray, count: int) -> np.ndarray:
    """Map indices beyond an axis back onto it, by reflection at the first and last voxel.

    >>> reflect_indices(np.arange(-2, 6), 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    if count == 1:
        return np.zeros_like(indices)
    period = 2 * (count - 1)
    folded = np.mod(indices, period)
    return np.minimum(folded, period - folded)


def _rotate(
    image: Float32[np.ndarray, "depth height width"],
    middle: Float[np.ndarray, "3"],
    side: int,
    turn_rad: float,
) -> Float32[np.ndarray, "{side} {side} {side}"]:
    """Cut a cube that is rotated around z, with linear interpolation in the plane."""
    from scipy.ndimage import map_coordinates

    axis = np.arange(side) - (side - 1) / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    raw_x, raw_y = cosine * x - sine * y + middle[0], sine * x + cosine * y + middle[1]
    sections = reflect_indices(np.round(middle[2] + axis).astype(int), image.shape[0])
    planes = [
        map_coordinates(image[z], [raw_y, raw_x], order=1, mode="mirror", output=np.float32)
        for z in sections
    ]
    return np.stack(planes)
