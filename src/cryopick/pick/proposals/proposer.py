"""From a raw micrograph to proposals in raw pixels.

- `Proposer`: settings made ready for any number of micrographs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.inference.prefetch import Ahead
from cryopick.io.images.micrograph import read_micrograph
from cryopick.pick.proposals.correlation import correlate
from cryopick.pick.proposals.flattening import flatten
from cryopick.pick.proposals.settings import ProposeSettings
from cryopick.pick.proposals.templates import Templates, load_templates
from cryopick.pick.suppression import refine, suppress
from cryopick.picks import Picks
from cryopick.preprocess.blobs import difference_of_gaussians
from cryopick.preprocess.dataset import DIAMETER_PX, raw_pixel_size
from cryopick.preprocess.mask import inset
from cryopick.preprocess.pipeline import Shrunk, shrink
from cryopick.runs.parallel import cores

__all__ = ["Proposer"]

_BLOB_FLOOR, _TEMPLATE_FLOOR = 0.5, 0.1


@dataclass(frozen=True)
class Proposer:
    """Settings made ready; nothing is learnt.

    Attributes:
        settings: How to propose.
        order: Micrographs in the order in which they will be asked for, if it is known: the
            next are worked on in the background, one a core.
        templates: What to look for; None looks for blobs.
    """

    settings: ProposeSettings
    order: Sequence[Path] = ()
    templates: Templates | None = None
    _ahead: "Ahead[Path, Picks]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ahead", Ahead(self._propose, self.order, cores()))

    @classmethod
    def ready(cls, settings: ProposeSettings, paths: Sequence[Path] = ()) -> "Proposer":
        """Load the templates, if there are any.

        Args:
            settings: How to propose.
            paths: The micrographs in the order in which they will be asked for.

        Raises:
            InputError: The templates' file cannot serve.
        """
        templates = None
        if settings.template.file:
            templates = load_templates(
                settings.template,
                paths,
                partial(_flattened, settings),
                diameter_px=DIAMETER_PX,
                working_ang=settings.diameter_ang / DIAMETER_PX,
            )
        return cls(settings, paths, templates)

    def propose(self, path: Path) -> Picks:
        """Proposals on a raw micrograph by descending figure of merit; it is named `str(path)`.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown.
        """
        return self._ahead(path)

    def merit(self, image: Float32[np.ndarray, "height width"], shrunk: Shrunk) -> np.ndarray:
        """Figure of merit of every working pixel: standard deviations, or a correlation.

        Args:
            image: The flattened micrograph, particles bright.
            shrunk: What it was made from.
        """
        blob = self.settings.blob
        if self.templates is not None:
            return correlate(image, self.templates.images, step_deg=self.templates.step_deg)
        sigma_px = blob.sigma_frac * DIAMETER_PX
        return difference_of_gaussians(image, shrunk.usable, sigma_px=sigma_px, ratio=blob.ratio)

    def _propose(self, path: Path) -> Picks:
        settings = self.settings
        shrunk, image, raw_ang = _read(settings, path)
        merit = self.merit(image, shrunk)
        allowed = np.where(inset(shrunk.usable, DIAMETER_PX / 2), merit, -np.inf)
        floor = _BLOB_FLOOR if self.templates is None else _TEMPLATE_FLOOR
        peaks = suppress(
            allowed,
            radius=(settings.radius_ang or settings.diameter_ang / 2) / raw_ang,
            threshold=floor if settings.threshold is None else settings.threshold,
            spacing_yx=shrunk.scale_yx,
        )
        xy_px = shrunk.to_raw(refine(merit, peaks)[:, ::-1])
        margin_px = settings.margin_ang / raw_ang
        height, width = shrunk.raw_shape
        inside = (xy_px >= margin_px) & (xy_px <= np.array([width, height]) - 1 - margin_px)
        score = merit[tuple(peaks.T)].astype(np.float64)
        return Picks.on(str(path), xy_px, score).select(np.flatnonzero(inside.all(axis=1)))


def _read(
    settings: ProposeSettings, path: Path
) -> tuple[Shrunk, Float32[np.ndarray, "height width"], float]:
    """A micrograph at the working scale, the same as it is searched, and raw ångströms a pixel."""
    micrograph = read_micrograph(path, pixel_size_ang=settings.pixel_size_ang)
    raw_ang = raw_pixel_size(path, micrograph.pixel_size_ang)
    factor = settings.diameter_ang / DIAMETER_PX / raw_ang
    shrunk = shrink(micrograph.pixels, factor, span=micrograph.span)
    flat = flatten(shrunk.image, shrunk.usable, diameter_px=DIAMETER_PX, clip_sd=settings.clip_sd)
    return shrunk, -flat if settings.contrast == "dark" else flat, raw_ang


def _flattened(
    settings: ProposeSettings, path: Path, picks: Picks
) -> tuple[Float32[np.ndarray, "height width"], Float[np.ndarray, "picks 2"]]:
    """A flattened micrograph, and picks on it in its pixels."""
    shrunk, image, _ = _read(settings, path)
    return image, shrunk.from_raw(picks.xy_px)
