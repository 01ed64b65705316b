"""Pick particles on a raw micrograph without a model, by blob detection or template matching.

- `Proposer`: settings and templates that are applied to any number of micrographs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.evaluate.spacing import is_inside_margin
from cryopick.inference.prefetch import Prefetcher
from cryopick.io.images.micrograph import read_micrograph
from cryopick.pick.proposals.correlation import match_templates
from cryopick.pick.proposals.flattening import flatten_background
from cryopick.pick.proposals.settings import ProposeSettings
from cryopick.pick.proposals.templates import Templates, load_templates
from cryopick.pick.suppression import keep_distance, refine_peaks, suppress_non_maxima
from cryopick.picks import Picks
from cryopick.preprocess.blob_detection import difference_of_gaussians
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.preprocess.mask import erode_mask
from cryopick.preprocess.pipeline import RescaledMicrograph, rescale_micrograph
from cryopick.preprocess.settings import DIAMETER_PX
from cryopick.preprocess.working_size import check_pick_count
from cryopick.runs.parallel import available_cores

__all__ = ["Proposer"]

_BLOB_THRESHOLD, _TEMPLATE_THRESHOLD = 0.5, 0.1


@dataclass(frozen=True)
class Proposer:
    """Settings and templates that are applied to any number of micrographs.

    Attributes:
        settings: Settings of the proposals.
        order: Micrographs in the expected order of the calls, if known; the next ones are
            processed in the background, one per core.
        templates: Templates to match; None detects blobs.
    """

    settings: ProposeSettings
    order: Sequence[Path] = ()
    templates: Templates | None = None
    _prefetcher: "Prefetcher[Path, Picks]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "_prefetcher", Prefetcher(self._propose, self.order, available_cores())
        )

    @classmethod
    def create(cls, settings: ProposeSettings, paths: Sequence[Path] = ()) -> "Proposer":
        """Load the templates, if there are any.

        Args:
            settings: Settings of the proposals.
            paths: The micrographs in the expected order of the calls.

        Raises:
            InputError: The template file cannot be used.
        """
        templates = None
        if settings.template.file:
            templates = load_templates(
                settings.template,
                paths,
                partial(_flatten_with_picks, settings),
                diameter_px=DIAMETER_PX,
                working_ang=settings.diameter_ang / DIAMETER_PX,
            )
        return cls(settings, paths, templates)

    def propose(self, path: Path) -> Picks:
        """Return the proposals on a raw micrograph by descending figure of merit.

        The table names the micrograph `str(path)`.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown.
        """
        return self._prefetcher(path)

    def compute_figure_of_merit(
        self, image: Float32[np.ndarray, "height width"], rescaled: RescaledMicrograph
    ) -> np.ndarray:
        """Compute the figure of merit of every working pixel.

        The unit is standard deviations for blobs, and a correlation coefficient for templates.

        Args:
            image: The normalised micrograph, with bright particles.
            rescaled: The micrograph before normalisation.
        """
        blob = self.settings.blob
        if self.templates is not None:
            return match_templates(image, self.templates.images, step_deg=self.templates.step_deg)
        sigma_px = blob.sigma_frac * DIAMETER_PX
        return difference_of_gaussians(image, rescaled.usable, sigma_px=sigma_px, ratio=blob.ratio)

    def _propose(self, path: Path) -> Picks:
        settings = self.settings
        rescaled, image, raw_ang = _read(settings, path)
        radius_px = (settings.radius_ang or settings.diameter_ang / 2) / raw_ang
        check_pick_count(rescaled.raw_shape, radius_px)
        merit = self.compute_figure_of_merit(image, rescaled)
        allowed = np.where(erode_mask(rescaled.usable, DIAMETER_PX / 2), merit, -np.inf)
        default = _BLOB_THRESHOLD if self.templates is None else _TEMPLATE_THRESHOLD
        peaks = suppress_non_maxima(
            allowed,
            radius=radius_px,
            threshold=default if settings.threshold is None else settings.threshold,
            spacing_yx=rescaled.scale_yx,
        )
        refined = keep_distance(
            refine_peaks(merit, peaks), peaks, radius=radius_px, spacing_yx=rescaled.scale_yx
        )
        xy_px = rescaled.to_raw(refined[:, ::-1])
        margin_px = settings.margin_ang / raw_ang
        is_inside = is_inside_margin(xy_px, rescaled.raw_shape, margin_px)
        score = merit[tuple(peaks.T)].astype(np.float64)
        return Picks.for_micrograph(str(path), xy_px, score).select(np.flatnonzero(is_inside))


def _read(
    settings: ProposeSettings, path: Path
) -> tuple[RescaledMicrograph, Float32[np.ndarray, "height width"], float]:
    """Read, rescale and normalise a micrograph (particles bright); return its pixel size too."""
    micrograph = read_micrograph(path, pixel_size_ang=settings.pixel_size_ang)
    raw_ang = raw_pixel_size(path, micrograph.pixel_size_ang)
    factor = settings.diameter_ang / DIAMETER_PX / raw_ang
    rescaled = rescale_micrograph(micrograph.pixels, factor, span=micrograph.value_range)
    image = flatten_background(
        rescaled.image, rescaled.usable, diameter_px=DIAMETER_PX, clip_sd=settings.clip_sd
    )
    return rescaled, -image if settings.contrast == "dark" else image, raw_ang


def _flatten_with_picks(
    settings: ProposeSettings, path: Path, picks: Picks
) -> tuple[Float32[np.ndarray, "height width"], Float[np.ndarray, "picks 2"]]:
    """Read and normalise a micrograph; convert picks on it to working pixels."""
    rescaled, image, _ = _read(settings, path)
    return image, rescaled.from_raw(picks.xy_px)
