"""Particles cut out of raw micrographs, as image stacks with a STAR file that RELION reads.

A box of even side n is centred on the pixel nearest to the particle, which becomes pixel
(n/2, n/2) of the image, RELION's centre. Coordinates stay those of the raw micrograph. One
stack a micrograph, written image by image, so that memory does not grow with the particles.

- `StackSettings`: how to cut.
- `cut_boxes`: the boxes of one micrograph.
- `standardized`: background of mean 0 and standard deviation 1.
- `write_stack`: one micrograph's particles as a file.
- `Stacks`: many micrographs' particles, each as one file.
- `stack_table`: the rows of a micrograph for the STAR file; `optics`: what stands above them.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Real

from cryopick.errors import MicrographError, SettingsError
from cryopick.image import downsample
from cryopick.io import StarFrame, read_micrograph, read_star_frame, whole
from cryopick.io.parts import Parts, file_identity
from cryopick.io.star_text import columns_of, document
from cryopick.picks import Picks
from cryopick.prepare import raw_pixel_size

__all__ = [
    "Edge",
    "StackSettings",
    "Stacks",
    "boxed",
    "cut_boxes",
    "optics",
    "stack_table",
    "standardized",
    "write_stack",
]

Edge = Literal["skip", "pad"]

IMAGE, GROUP = "rlnImageName", "rlnOpticsGroup"
_ROOM = 1.5  # sides of a box, in particle diameters: signal that the CTF spread stays inside
_BACKGROUND = 0.375  # sides: radius of the background's rim, where no diameter is given
_SAME_SIZE = 1e-3  # relative difference that rounding in a header may make
_FLAT = 1e-6  # least spread of a background, in units of its mean, that can be made 1


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Settings of `cryopick stack`; the field names are the TOML keys and the options.

    Attributes:
        box_px: Side of the boxes in raw pixels, even; None takes 1.5 particle diameters.
        diameter_ang: Particle diameter; beyond it is background.
        pixel_size_ang: Ångströms per raw pixel, where the files do not say.
        edge: Boxes that reach over an edge are left out ("skip"), or what is missing is given
            the mean of the rest of the box's background ("pad").
        normalize: Give the background of each image mean 0 and standard deviation 1.
        invert: Change the sign, so that dark particles become bright, as RELION expects.
        rescale_px: Side of the written images, even; smaller than the box, by cropping its
            Fourier transform.

    Raises:
        SettingsError: A value lies outside its range, or neither box nor diameter is given.
    """

    box_px: int | None = None
    diameter_ang: float | None = None
    pixel_size_ang: float | None = None
    edge: Edge = "skip"
    normalize: bool = True
    invert: bool = False
    rescale_px: int | None = None

    def __post_init__(self) -> None:
        if self.box_px is None and self.diameter_ang is None:
            raise SettingsError("give --box-px, the side of the boxes, or --diameter-ang")
        for name in ("diameter_ang", "pixel_size_ang"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")
        for name in ("box_px", "rescale_px"):
            side = getattr(self, name)
            if side is not None and (side < 2 or side % 2):
                raise SettingsError(f"{name} must be an even number of at least 2; got {side}")
        if self.box_px and self.rescale_px and self.rescale_px > self.box_px:
            raise SettingsError(
                f"rescale_px must not exceed box_px of {self.box_px}; got {self.rescale_px}"
            )

    def side_px(self, pixel_size_ang: float) -> int:
        """Side of the boxes in raw pixels."""
        if self.box_px is not None:
            return self.box_px
        assert self.diameter_ang is not None, "checked above"
        side = 2 * math.ceil(_ROOM * self.diameter_ang / pixel_size_ang / 2)
        if self.rescale_px and self.rescale_px > side:
            raise SettingsError(
                f"rescale_px must not exceed the box of {side} pixels; got {self.rescale_px}"
            )
        return side

    def background_radius_px(self, pixel_size_ang: float) -> float:
        """Distance from the centre, in raw pixels, beyond which there is only background."""
        side = self.side_px(pixel_size_ang)
        if self.diameter_ang is None:
            return _BACKGROUND * side
        return min(self.diameter_ang / 2 / pixel_size_ang, side / 2 - 1)


def boxed(
    shape: tuple[int, int], xy_px: Float[np.ndarray, "picks 2"], side: int, edge: Edge
) -> Bool[np.ndarray, " picks"]:
    """Which picks get a box: those wholly inside, or for "pad" those centred inside.

    >>> boxed((10, 10), np.array([[2.0, 2.0], [1.0, 5.0], [8.0, 8.0], [-3.0, 5.0]]), 4, "skip")
    array([ True, False,  True, False])
    """
    corner = np.rint(xy_px) - side // 2
    limit = np.array(shape[::-1])
    if edge == "skip":
        return ((corner >= 0) & (corner + side <= limit)).all(axis=1)
    centre = np.rint(xy_px)
    return ((centre >= 0) & (centre < limit)).all(axis=1)


def cut_boxes(
    pixels: Real[np.ndarray, "height width"], xy_px: Float[np.ndarray, "picks 2"], side: int
) -> Iterator[Float32[np.ndarray, "side side"]]:
    """Cut square boxes around particles; beyond an edge of the micrograph they are NaN.

    Args:
        pixels: Raw micrograph; may be memory-mapped, only the boxes are read.
        xy_px: Particle centres (x, y).
        side: Side of the boxes, even.
    """
    height, width = pixels.shape
    for x, y in np.rint(xy_px).astype(np.int64).tolist():
        left, top = x - side // 2, y - side // 2
        box = np.full((side, side), np.nan, np.float32)
        inside = (
            slice(max(top, 0), max(min(top + side, height), 0)),
            slice(max(left, 0), max(min(left + side, width), 0)),
        )
        box[
            inside[0].start - top : inside[0].stop - top,
            inside[1].start - left : inside[1].stop - left,
        ] = pixels[inside]
        yield box


def standardized(
    box: Float32[np.ndarray, "side side"], background: Bool[np.ndarray, "side side"]
) -> Float32[np.ndarray, "side side"]:
    """Give the background mean 0 and standard deviation 1; a flat one only its mean."""
    values = box[background].astype(np.float64)
    mean, spread = values.mean(), values.std()
    scale = 1 / spread if spread > _FLAT * max(1.0, abs(mean)) else 1.0
    return ((box - mean) * scale).astype(np.float32)


def write_stack(
    path: Path,
    pixels: Real[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "picks 2"],
    settings: StackSettings,
    pixel_size_ang: float,
) -> Bool[np.ndarray, " picks"]:
    """Write one micrograph's particles to a `.mrcs` file; without any, no file is written.

    Args:
        path: Where to write; an older file is replaced.
        pixels: Raw micrograph; may be memory-mapped.
        xy_px: Particle centres (x, y).
        settings: How to cut.
        pixel_size_ang: Of the raw micrograph; the header gets that of the written images.

    Returns:
        Which of the picks are in the stack, in the order given.
    """
    import mrcfile  # type: ignore[import-untyped]  # has no types

    side = settings.side_px(pixel_size_ang)
    kept = boxed(pixels.shape, xy_px, side, settings.edge)
    if not kept.any():
        return kept
    out = settings.rescale_px or side
    radius = settings.background_radius_px(pixel_size_ang)
    before, after = _outside(side, radius), _outside(out, radius * out / side)
    with (
        whole(path, overwrite=True) as temporary,
        mrcfile.new_mmap(temporary, (int(kept.sum()), out, out), mrc_mode=2) as stack,
    ):
        for number, box in enumerate(cut_boxes(pixels, xy_px[kept], side)):
            image = _filled(box, before)
            image = image if out == side else downsample(image, (out, out))
            image = standardized(image, after) if settings.normalize else image
            stack.data[number] = -image if settings.invert else image
        stack.set_image_stack()
        stack.voxel_size = pixel_size_ang * side / out
        stack.header.label[:] = b""
        stack.header.label[0] = b"cryopick"
        stack.header.nlabl = 1
    return kept


def _outside(side: int, radius_px: float) -> Bool[np.ndarray, "{side} {side}"]:
    """Pixels of a box that are further from its centre than a radius."""
    y, x = np.mgrid[:side, :side] - side // 2
    return x**2 + y**2 > radius_px**2


def _filled(
    box: Float32[np.ndarray, "side side"], background: Bool[np.ndarray, "side side"]
) -> Float32[np.ndarray, "side side"]:
    """Give pixels beyond the micrograph the mean of the background that is there."""
    known = np.isfinite(box)
    if known.all():
        return box
    ground = background & known
    mean = box[ground if ground.any() else known].mean(dtype=np.float64)
    return np.where(known, box, np.float32(mean))


@dataclass
class Stacks:
    """Many micrographs' particles as one file each; all micrographs have one pixel size.

    Attributes:
        settings: How to cut.
        pixel_size_ang: Of the raw micrographs; None until the first has been read.
    """

    settings: StackSettings
    pixel_size_ang: float | None = None

    def write(self, path: Path, picks: Picks, stack: Path, parts: Parts) -> Picks:
        """Write one micrograph's particles, unless that is done.

        Args:
            path: The raw micrograph.
            picks: Its picks.
            stack: The file to write.
            parts: Where it is kept in mind what has been written.

        Returns:
            The rows of the stack, the micrograph named by its path.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown or is not that
                of the others.
        """

        def make() -> dict[str, np.ndarray]:
            raw = read_micrograph(path, pixel_size_ang=self.settings.pixel_size_ang)
            own_ang = self._agreed(path, raw_pixel_size(path, raw.pixel_size_ang))
            kept = write_stack(stack, raw.pixels, picks.xy_px, self.settings, own_ang)
            return {"kept": kept, "own_ang": np.array(own_ang)}

        item = f"{file_identity(path)} {hashlib.sha256(picks.xy_px.tobytes()).hexdigest()}"
        made = parts.once(item, make)
        self.pixel_size_ang = self.pixel_size_ang or float(made["own_ang"])
        return stack_table(replace(picks, micrographs=(str(path),)), made["kept"], stack)

    def _agreed(self, path: Path, own_ang: float) -> float:
        """The pixel size, if it is that of the micrographs before."""
        first_ang = self.pixel_size_ang or own_ang
        if abs(own_ang - first_ang) > _SAME_SIZE * first_ang:
            raise MicrographError(
                f"{path}: has {own_ang:g} Å per pixel where the micrographs before have "
                f"{first_ang:g}; cut them apart, or give --pixel-size-ang if it is one and the same"
            )
        return first_ang

    def optics(self, table: Path) -> StarFrame:
        """What stands above the rows of all stacks; at least one has been written.

        Args:
            table: The table of picks, whose optics groups are taken over if it has any.
        """
        assert self.pixel_size_ang is not None, "no stack was written"
        side = self.settings.side_px(self.pixel_size_ang)
        written = self.settings.rescale_px or side
        size_ang = self.pixel_size_ang * side / written
        frame = read_star_frame([table]) if not table.is_dir() else StarFrame()
        return optics(frame, table, size_ang, written)


def stack_table(picks: Picks, kept: Bool[np.ndarray, " picks"], stack: Path) -> Picks:
    """The rows of a stack: those picks that are in it, each with its image's name.

    Args:
        picks: The picks of one micrograph, as they were given to `write_stack`.
        kept: What that returned.
        stack: The stack's name as RELION is to find it, from the folder it runs in.
    """
    rows = picks.select(kept)
    names = np.array([f"{i:06d}@{stack.as_posix()}" for i in range(1, len(rows) + 1)], np.str_)
    extra = {GROUP: np.ones(len(rows), np.int64), **rows.extra, IMAGE: names}
    return replace(rows, extra=extra)


def optics(frame: StarFrame, path: Path, pixel_size_ang: float, side: int) -> StarFrame:
    """What stands above the particles: the optics groups, with the images' size in them.

    Args:
        frame: Of the table of picks; its optics groups are taken over, else there is one.
        path: That table, for messages.
        pixel_size_ang: Of the images.
        side: Of the images, in pixels.

    Raises:
        FormatError: The frame's text cannot be read.
    """
    groups: dict[str, Sequence[str]] = {"_rlnOpticsGroupName": ("opticsGroup1",)}
    groups["_rlnOpticsGroup"] = ("1",)
    for block in document(frame.others, path) if frame.others else ():
        if block.name == "optics":
            groups = dict(columns_of(block, "_rlnOpticsGroup"))
    count = len(next(iter(groups.values())))
    size = {"PixelSize": f"{pixel_size_ang:.6f}", "Size": str(side), "Dimensionality": "2"}
    groups |= {f"_rlnImage{name}": [value] * count for name, value in size.items()}
    lines = ["# version 30001", "", "data_optics", "", "loop_"]
    lines += [f"{tag} #{i}" for i, tag in enumerate(groups, start=1)]
    lines += [" ".join(row) for row in zip(*groups.values(), strict=True)]
    return StarFrame(others="\n".join(lines))
