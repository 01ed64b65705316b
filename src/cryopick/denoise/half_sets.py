"""Training pairs from half-sets: two independent exposures of each micrograph.

Half-sets are sums of the even and of the odd frames of each movie; motion correction writes them on
request.

- `pair_half_sets`: pair the files of both halves by name.
- `HalfSetPairs`: pairs of random patches.
- `prepare_half_sets`: prepare the files of both halves for training.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryopick.array_types import Float32
from cryopick.denoise.background import measure_background, split_extremes
from cryopick.denoise.denoiser import choose_working_shape, crop_to_working_size
from cryopick.denoise.training import Pair
from cryopick.errors import CryopickError, InputError, MicrographError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import micrograph_stem
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.file_errors import translate_file_errors

__all__ = ["HalfSetPairs", "pair_half_sets", "prepare_half_sets"]

_PATCH_PX = 192
_MIN_SIDE_PX = 64
# Words that distinguish the halves in the names of files.
_HALF = re.compile(r"(?<![a-z])(even|evn|odd|half1|half2|a|b)(?![a-z])", re.IGNORECASE)


def pair_half_sets(first: Sequence[Path], second: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Pair the files of both halves whose names are equal but for words such as EVN and ODD.

    Raises:
        InputError: A file has no partner, or more than one.
    """
    first_by_name, second_by_name = (_index_by_name(paths) for paths in (first, second))
    for by_name, others in ((first_by_name, second_by_name), (second_by_name, first_by_name)):
        for name, path in by_name.items():
            if name not in others:
                raise InputError(
                    f"{path}: the other half has no file of that name; name both alike, or alike "
                    "but for EVN and ODD, or even and odd"
                )
    return [(path, second_by_name[name]) for name, path in first_by_name.items()]


def _index_by_name(paths: Sequence[Path]) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for path in paths:
        name = _HALF.sub("", micrograph_stem(path.name)).strip("_-. ")
        other = by_name.setdefault(name, path)
        if other != path:
            raise InputError(
                f"{other} and {path}: belong to the same half but have the same name; "
                "give even and odd micrographs separately"
            )
    return by_name


@dataclass(frozen=True, eq=False)
class HalfSetPairs:
    """Pairs of random patches of half-sets; a step determines its pairs completely.

    Attributes:
        files: Files of prepared half-sets, as written by `prepare_half_sets`.
        seed: First part of all seeds.
    """

    files: Sequence[Path]
    seed: int = 0
    _images: dict[Path, np.ndarray] = field(default_factory=dict)

    def draw(self, step: int, count: int) -> list[Pair]:
        """Draw the pairs of a step."""
        rng = np.random.default_rng([self.seed, step])
        return [self._draw_pair(rng) for _ in range(count)]

    def _draw_pair(self, rng: np.random.Generator) -> Pair:
        file = self.files[int(rng.integers(len(self.files)))]
        if file not in self._images:
            self._images[file] = np.load(file, mmap_mode="r")
        images = self._images[file]
        height, width = (min(_PATCH_PX, side) // 16 * 16 for side in images.shape[1:])
        top = int(rng.integers(images.shape[1] - height + 1))
        left = int(rng.integers(images.shape[2] - width + 1))
        side = min(height, width)
        patches = images[:, top : top + side, left : left + side].astype(np.float32)
        patches *= np.float32(rng.choice([-1.0, 1.0]))
        patches = np.rot90(patches, int(rng.integers(4)), axes=(1, 2))
        if rng.random() < 0.5:
            patches = patches[:, :, ::-1]
        first, second = patches[:: int(rng.choice([-1, 1]))]
        noisy, excess = split_extremes(np.ascontiguousarray(first))
        return Pair(noisy, second - excess)


def prepare_half_sets(
    pairs: Sequence[tuple[Path, Path]],
    folder: Path,
    working_size_ang: float,
    pixel_size_ang: float | None,
    on_done: Callable[[Path, CryopickError | None], None],
) -> list[Path]:
    """Downsample and normalise half-sets, and store them so that they need not fit into memory.

    Args:
        pairs: Files of both halves.
        folder: Folder to write to; existing files are used.
        working_size_ang: Pixel size at which the network works.
        pixel_size_ang: Pixel size of the files; None for that of their headers.
        on_done: Called for each pair, with the error if it cannot be used.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for number, (first, second) in enumerate(pairs):
        file = folder / f"{number:06d}.npy"
        error = None
        try:
            if not file.exists():
                images = [
                    _prepare(path, working_size_ang, pixel_size_ang) for path in (first, second)
                ]
                stacked = _stack(images, first, second)
                with atomic_write(file) as temporary, temporary.open("wb") as stream:
                    np.save(stream, stacked)
            files.append(file)
        except CryopickError as raised:
            error = raised
        on_done(first, error)
    return files


def _prepare(
    path: Path, working_size_ang: float, pixel_size_ang: float | None
) -> Float32[np.ndarray, "height width"]:
    """Read and downsample a micrograph, and subtract its background."""
    with translate_file_errors(path):
        raw = read_micrograph(path, pixel_size_ang=pixel_size_ang)
    shape = choose_working_shape(raw.pixels.shape, raw.pixel_size_ang, working_size_ang)
    if min(shape) < _MIN_SIDE_PX:
        raise MicrographError(f"{path}: is too small; expected at least {_MIN_SIDE_PX} pixels")
    return crop_to_working_size(raw.pixels, shape, raw.value_range)


def _stack(
    images: Sequence[Float32[np.ndarray, "height width"]], first: Path, second: Path
) -> np.ndarray:
    """Normalise both halves by the noise of the first."""
    if images[0].shape != images[1].shape:
        raise MicrographError(
            f"{first} and {second}: differ in size, so they are not halves of one movie"
        )
    backgrounds = [measure_background(image) for image in images]
    noise_sd = np.float32(backgrounds[0].noise_sd)
    flat = [
        (image - background.interpolate(background.shape)) / noise_sd
        for image, background in zip(images, backgrounds, strict=True)
    ]
    return np.stack(flat).astype(np.float16)
