"""Pictures of micrographs for report pages, with marks on them.

A micrograph is a JPEG inside the page, and the marks are SVG elements on top of it: circles stay
sharp at every size, and the page can hide them. Coordinates are (x, y) in pixels of the raw
micrograph.

- `MicrographView`: a micrograph prepared for display.
- `PickMarks`: correct picks, false picks and missed particles.
- `marked_svg`, `score_map_svg`: the micrograph with marks, or with its score map on top.
- `crop_uris`, `window_crop_uris`: small pictures of single particles, with the contrast of the
  whole micrograph or of the window around each particle.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from cryopick.array_types import Float, Real, UInt8
from cryopick.evaluate.matching import match_points
from cryopick.preprocess.pipeline import rescale_micrograph
from cryopick.report.markup import render_micrograph, render_pick_marks, render_score_layer

__all__ = [
    "MicrographView",
    "PickMarks",
    "crop_uris",
    "marked_svg",
    "score_map_svg",
    "stretch_contrast",
    "window_crop_uris",
]

_MAX_SIDE_PX = 1200  # of a picture, which fills half the width of the page
_DIAMETER_PX = 28  # displayed particle diameter at which noise is averaged enough
_JPEG_QUALITY = 80
_MIN_LOGIT = -6.0  # the default minimum score of picks; lower scores are transparent
_WINDOW_DIAMETERS = 1.5  # half side of the window that is read for a crop: twice what is shown
_CONTRAST_PERCENTILES = (0.3, 99.7)  # displayed as black and white


@dataclass(frozen=True, eq=False)
class MicrographView:
    """A micrograph prepared for display, low-pass filtered and with stretched contrast.

    Attributes:
        grey: Grey values, 0 to 255.
        raw_per_px: Raw pixels per displayed pixel, along x and y.
    """

    grey: UInt8[np.ndarray, "height width"]
    raw_per_px: tuple[float, float]

    @classmethod
    def from_pixels(
        cls, pixels: Real[np.ndarray, "height width"], diameter_px: float
    ) -> "MicrographView":
        """Downscale a raw micrograph until its particles are visible, and stretch its contrast.

        The Fourier crop acts as a low-pass filter. Borders and hot pixels are filled.

        Args:
            pixels: Raw micrograph.
            diameter_px: Particle diameter in raw pixels.
        """
        factor = max(1.0, diameter_px / _DIAMETER_PX, max(pixels.shape) / _MAX_SIDE_PX)
        rescaled = rescale_micrograph(pixels, factor)
        scale_y, scale_x = rescaled.scale_yx
        return cls(stretch_contrast(rescaled.image), (scale_x, scale_y))


@dataclass(frozen=True, eq=False, kw_only=True)
class PickMarks:
    """Centres to mark on a micrograph.

    Attributes:
        right: Picks that match a particle.
        wrong: Picks that match no particle.
        missed: Particles that match no pick.
    """

    right: Float[np.ndarray, "right 2"]
    wrong: Float[np.ndarray, "wrong 2"]
    missed: Float[np.ndarray, "missed 2"]

    @classmethod
    def from_matching(
        cls,
        picks_xy_px: Float[np.ndarray, "picks 2"],
        score: Float[np.ndarray, " picks"],
        truth_xy_px: Float[np.ndarray, "truth 2"],
        radius_px: float,
    ) -> "PickMarks":
        """Match picks and particles as an evaluation does; see `evaluate.matching`."""
        partner = match_points(picks_xy_px, score, truth_xy_px, radius_px)
        is_missed = np.ones(len(truth_xy_px), bool)
        is_missed[partner[partner >= 0]] = False
        return cls(
            right=picks_xy_px[partner >= 0],
            wrong=picks_xy_px[partner < 0],
            missed=truth_xy_px[is_missed],
        )


def stretch_contrast(
    image: Float[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "height width"]:
    """Scale intensities to 0 to 255, with the extreme percentiles clipped."""
    low, high = np.percentile(image, _CONTRAST_PERCENTILES)
    span = max(float(high - low), np.finfo(np.float32).tiny)
    return (np.clip((image - low) / span, 0, 1) * 255).round().astype(np.uint8)


def marked_svg(view: MicrographView, marks: PickMarks, diameter_px: float, label: str) -> Markup:
    """Draw a micrograph with marks of the particle diameter.

    A correct pick is a circle, a false pick a square, and a missed particle a dashed circle, so
    that colour-blind readers can distinguish them.

    Args:
        view: The micrograph.
        marks: The marks.
        diameter_px: Particle diameter in raw pixels.
        label: Alternative text.
    """
    shapes = render_pick_marks(
        (marks.right / view.raw_per_px).tolist(),
        (marks.wrong / view.raw_per_px).tolist(),
        (marks.missed / view.raw_per_px).tolist(),
        diameter_px / 2 / view.raw_per_px[0],
    )
    return _micrograph_svg(view, shapes, label)


def score_map_svg(
    view: MicrographView,
    logits: Real[np.ndarray, "rows columns"],
    raw_per_score: float,
    label: str,
) -> Markup:
    """Draw a micrograph under its score map, from transparent (low) to bright (high scores).

    Args:
        view: The micrograph.
        logits: Score map; its first score belongs to pixel (0, 0).
        raw_per_score: Raw pixels between two scores.
        label: Alternative text.
    """
    rows, columns = logits.shape
    step_x, step_y = (raw_per_score / scale for scale in view.raw_per_px)
    # Score (0, 0) belongs to pixel (0, 0): the outer cells extend half a cell over the edge.
    layer = render_score_layer(
        _score_map_uri(logits), (-step_x / 2, -step_y / 2), (columns * step_x, rows * step_y)
    )
    return _micrograph_svg(view, layer, label)


def crop_uris(
    pixels: Real[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "points 2"],
    diameter_px: float,
    side_px: int = 42,
) -> list[str]:
    """Cut pictures of single particles, one and a half diameters wide, as data URIs.

    Args:
        pixels: Raw micrograph.
        xy_px: Centres.
        diameter_px: Particle diameter in raw pixels.
        side_px: Side of a picture.
    """
    factor = 1.5 * diameter_px / side_px
    rescaled = rescale_micrograph(pixels, factor)
    grey, half = stretch_contrast(rescaled.image), side_px // 2
    padded = np.pad(grey, half, constant_values=int(np.median(grey)))  # beyond the edges
    corners = np.rint(rescaled.from_raw(xy_px)).astype(int)
    return [_jpeg_uri(padded[y : y + side_px, x : x + side_px]) for x, y in corners]


def window_crop_uris(
    pixels: Real[np.ndarray, "height width"],
    xy_px: Float[np.ndarray, "points 2"],
    diameter_px: float,
) -> list[str]:
    """Cut pictures as `crop_uris` does, but read only a window around each particle.

    This is faster for a few picks on a large micrograph. A pick beyond the edge is moved onto it.
    """
    height, width = pixels.shape
    half = int(np.ceil(_WINDOW_DIAMETERS * diameter_px))
    pictures = []
    for x, y in xy_px:
        left, top = (max(0, round(float(center)) - half) for center in (x, y))
        left, top = min(left, width - 1), min(top, height - 1)
        window = np.asarray(pixels[top : top + 2 * half + 1, left : left + 2 * half + 1])
        inside = np.clip([[x - left, y - top]], 0, np.array(window.shape[::-1]) - 1.0)
        pictures += crop_uris(window, inside, diameter_px)
    return pictures


def _micrograph_svg(view: MicrographView, layers: Markup, label: str) -> Markup:
    height, width = view.grey.shape
    return render_micrograph((width, height), _jpeg_uri(view.grey), label, layers)


def _jpeg_uri(grey: UInt8[np.ndarray, "height width"]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _score_map_uri(logits: Real[np.ndarray, "rows columns"]) -> str:
    """Draw a score map as a PNG: the higher the score, the brighter and more opaque."""
    import matplotlib as mpl
    from PIL import Image

    high = max(float(logits.max()), _MIN_LOGIT + 1)
    intensity = np.clip((logits - _MIN_LOGIT) / (high - _MIN_LOGIT), 0, 1)
    rgba = mpl.colormaps["plasma"](
        0.3 + 0.7 * intensity, bytes=True
    )  # the darkest 30 % would be invisible on grey
    rgba[..., 3] = np.rint(230 * intensity**0.7)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
