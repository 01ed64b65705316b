"""Pictures of micrographs for a page, with marks on them.

A picture is a JPEG inside the page and marks are SVG above it, so that circles stay sharp at
every size and the page can hide them. Coordinates are (x, y) in pixels of the raw micrograph.

- `View`: a micrograph made ready to look at.
- `Marks`: picks that are right, picks that are wrong, particles that were missed.
- `marked_svg`, `scored_svg`: the view with marks, or with the scores laid over it.
- `crop_uris`, `close_ups`: small pictures of single particles, on the contrast of the whole
  micrograph, or each on its own.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float, Real, UInt8
from cryopick.evaluate.matching import match_points
from cryopick.preprocess.pipeline import rescale_micrograph

__all__ = ["Marks", "View", "close_ups", "crop_uris", "marked_svg", "scored_svg"]

_SIDE_PX = 1200  # no picture needs more: it is shown at half the width of the page
_DIAMETER_PX = 28  # of a particle when noise is averaged away so far that it can be seen
_QUALITY = 80
_FLOOR = -6.0  # the logit below which nothing is picked, unless asked for
_AROUND = 1.5  # diameters on each side that are read for a close-up, twice what is shown
_TAILS = (0.3, 99.7)  # percentiles that become black and white


@dataclass(frozen=True, eq=False)
class View:
    """A micrograph made ready to look at: noise averaged away, contrast stretched.

    Attributes:
        grey: What is shown, 0 to 255.
        raw_per_px: Raw pixels per shown pixel, along x and y.
    """

    grey: UInt8[np.ndarray, "height width"]
    raw_per_px: tuple[float, float]

    @classmethod
    def of(cls, pixels: Real[np.ndarray, "height width"], diameter_px: float) -> "View":
        """Shrink a raw micrograph until its particles stand out, and stretch its contrast.

        Cropping the spectrum is a low-pass filter; borders and hot pixels are filled.

        Args:
            pixels: Raw micrograph.
            diameter_px: Particle diameter in raw pixels.
        """
        shrunk = rescale_micrograph(
            pixels, max(1.0, diameter_px / _DIAMETER_PX, max(pixels.shape) / _SIDE_PX)
        )
        scale_y, scale_x = shrunk.scale_yx
        return cls(stretched(shrunk.image), (scale_x, scale_y))


@dataclass(frozen=True, eq=False, kw_only=True)
class Marks:
    """What to mark on a micrograph, as centres.

    Attributes:
        right: Picks that found a particle.
        wrong: Picks that found none.
        missed: Particles that no pick found.
    """

    right: Float[np.ndarray, "right 2"]
    wrong: Float[np.ndarray, "wrong 2"]
    missed: Float[np.ndarray, "missed 2"]

    @classmethod
    def of(
        cls,
        picks_xy_px: Float[np.ndarray, "picks 2"],
        score: Float[np.ndarray, " picks"],
        truth_xy_px: Float[np.ndarray, "truth 2"],
        radius_px: float,
    ) -> "Marks":
        """Pair picks and particles as an evaluation does; see `evaluate.match_points`."""
        partner = match_points(picks_xy_px, score, truth_xy_px, radius_px)
        is_missed = np.ones(len(truth_xy_px), bool)
        is_missed[partner[partner >= 0]] = False
        return cls(
            right=picks_xy_px[partner >= 0],
            wrong=picks_xy_px[partner < 0],
            missed=truth_xy_px[is_missed],
        )


def stretched(image: Float[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Bring intensities to 0 to 255, the rarest at both ends cut off."""
    low, high = np.percentile(image, _TAILS)
    span = max(float(high - low), np.finfo(np.float32).tiny)
    return (np.clip((image - low) / span, 0, 1) * 255).round().astype(np.uint8)


def marked_svg(view: View, marks: Marks, diameter_px: float, label: str) -> str:
    """The view with marks as wide as a particle.

    A right pick is a circle, a wrong one a square, a missed particle a dashed circle: shape
    tells them apart where colour does not.

    Args:
        view: The micrograph.
        marks: What to mark.
        diameter_px: Particle diameter in raw pixels.
        label: What the picture shows, for those who cannot see it.
    """
    half = diameter_px / 2 / view.raw_per_px[0]
    shapes = [_circle("right", x, y, half) for x, y in marks.right / view.raw_per_px]
    shapes += [
        f'<rect class="wrong" x="{x - half:.1f}" y="{y - half:.1f}" '
        f'width="{2 * half:.1f}" height="{2 * half:.1f}"/>'
        for x, y in marks.wrong / view.raw_per_px
    ]
    shapes += [_circle("missed", x, y, half) for x, y in marks.missed / view.raw_per_px]
    return _svg(view, shapes, label)


def scored_svg(
    view: View, logits: Real[np.ndarray, "rows columns"], raw_per_score: float, label: str
) -> str:
    """The view with scores laid over it, from clear (no particle) to bright (the surest).

    Args:
        view: The micrograph.
        logits: Scores of a grid of places that begins at pixel (0, 0).
        raw_per_score: Raw pixels between two places.
        label: What the picture shows, for those who cannot see it.
    """
    rows, columns = logits.shape
    across, down = (raw_per_score / scale for scale in view.raw_per_px)
    # Score (0, 0) belongs to pixel (0, 0): the grid's outer half cells hang over the edge.
    layer = (
        f'<image href="{_heat_uri(logits)}" x="{-across / 2:.2f}" y="{-down / 2:.2f}" '
        f'width="{columns * across:.2f}" height="{rows * down:.2f}" '
        'preserveAspectRatio="none"/>'
    )
    return _svg(view, [layer], label)


def crop_uris(
    pixels: Real[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "points 2"],
    diameter_px: float,
    side_px: int = 42,
) -> list[str]:
    """Pictures of single particles, one and a half diameters wide, as data addresses.

    Args:
        pixels: Raw micrograph.
        xy_px: Centres.
        diameter_px: Particle diameter in raw pixels.
        side_px: Side of a picture.
    """
    factor = 1.5 * diameter_px / side_px
    shrunk = rescale_micrograph(pixels, factor)
    grey, half = stretched(shrunk.image), side_px // 2
    padded = np.pad(grey, half, constant_values=int(np.median(grey)))  # where there is no image
    corners = np.rint(shrunk.from_raw(xy_px)).astype(int)
    return [_jpeg_uri(padded[y : y + side_px, x : x + side_px]) for x, y in corners]


def close_ups(
    pixels: Real[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "points 2"],
    diameter_px: float,
) -> list[str]:
    """Like `crop_uris`, for a few picks of a large micrograph: only what is around them is read.

    A pick beyond the edge is shown as near to it as there is an image.
    """
    height, width = pixels.shape
    reach = int(np.ceil(_AROUND * diameter_px))
    pictures = []
    for x, y in xy_px:
        left, top = (max(0, round(float(c)) - reach) for c in (x, y))
        left, top = min(left, width - 1), min(top, height - 1)
        window = np.asarray(pixels[top : top + 2 * reach + 1, left : left + 2 * reach + 1])
        inside = np.clip([[x - left, y - top]], 0, np.array(window.shape[::-1]) - 1.0)
        pictures += crop_uris(window, inside, diameter_px)
    return pictures


def _circle(kind: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'


def _svg(view: View, layers: list[str], label: str) -> str:
    height, width = view.grey.shape
    return (
        f'<svg class="micrograph" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'<image href="{_jpeg_uri(view.grey)}" width="{width}" height="{height}"/>'
        f"{''.join(layers)}</svg>"
    )


def _jpeg_uri(grey: UInt8[np.ndarray, "height width"]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _heat_uri(logits: Real[np.ndarray, "rows columns"]) -> str:
    """Scores as a picture: the surer, the brighter and the less transparent."""
    import matplotlib as mpl
    from PIL import Image

    high = max(float(logits.max()), _FLOOR + 1)
    share = np.clip((logits - _FLOOR) / (high - _FLOOR), 0, 1)
    rgba = mpl.colormaps["plasma"](
        0.3 + 0.7 * share, bytes=True
    )  # its darkest part is lost on grey
    rgba[..., 3] = np.rint(230 * share**0.7)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
