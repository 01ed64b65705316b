"""Score the first micrographs at several particle sizes, in both contrasts.

Contrast, size and scale are chosen by these scores before picking. Each micrograph is read and
resampled once, at the finest scale, and the others are computed from that image. The number of
scored pixels is limited, so that it takes seconds at most.

- `probe_micrographs`: score the first micrographs.
- `ProbePlan`: at which sizes, and on how many micrographs.
- `Probe`: the peaks of the scores, by contrast and size.
- `central_slice`: the middle of an axis.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import MicrographError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.model.device import AnyDevice
from cryopick.model.model_file import Model
from cryopick.pick.elongated import ScoresAlong, measure_along
from cryopick.pick.elongation import measure_regions
from cryopick.pick.picker import Picker, find_peaks
from cryopick.pick.settings import FixedContrast, PickSettings
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.preprocess.mask import erode_mask
from cryopick.preprocess.pipeline import (
    PreparedMicrograph,
    RescaledMicrograph,
    prepare_micrograph,
    rescale_micrograph,
)
from cryopick.runs.parallel import map_in_order

__all__ = [
    "MAX_MICROGRAPHS",
    "MIN_SCORE",
    "Probe",
    "ProbePlan",
    "central_slice",
    "probe_micrographs",
]

MIN_SCORE = 0.0  # logit of the weakest peak that is kept
MAX_MICROGRAPHS = 8  # that are scored
# Over all micrographs, sizes and contrasts: enough if many peaks are clear, and the limit.
_ENOUGH_SCORED_PX, _MAX_SCORED_PX = 8_000_000, 32_000_000
_MIN_MICROGRAPHS = 2
_CLEAR_LOGIT, _MIN_CLEAR_PEAKS = 1.0, 30
_MAX_SIDE_PX = 640  # of the part of a micrograph that is scored, at the finest scale
_MIN_DIAMETERS = 3.0  # sides of the smallest part that says anything
_SIGNS: dict[FixedContrast, int] = {"dark": 1, "bright": -1}


@dataclass(frozen=True)
class ProbePlan:
    """Sizes and lengths at which micrographs are scored.

    Attributes:
        sizes_ang: Particle sizes. Sizes that a micrograph is too small or too coarse for are left
            out.
        lengths_ang: Lengths of elongated particles for which the scores at each size are averaged
            along the particles. If there are any, the shapes of the regions of positive scores are
            measured as well.
        max_micrographs: Number of micrographs to score; fewer if they are large and show many
            particles.
    """

    sizes_ang: Sequence[float]
    lengths_ang: Sequence[float] = ()
    max_micrographs: int = MAX_MICROGRAPHS


@dataclass(frozen=True)
class Probe:
    """Peaks of the scores of the first micrographs.

    Attributes:
        logits: Scores of the peaks above `MIN_SCORE`, by contrast and particle size in ångströms.
            Peaks are at least half that size apart.
        regions_ang: Length, width (in ångströms) and area of the regions of positive scores, by
            contrast and size, if the plan has lengths.
        area_ang2: Area of the micrographs that was scored at each size.
        micrographs: Number of micrographs that were scored.
        along: Scores along particles, by contrast, size and length.
    """

    logits: dict[tuple[FixedContrast, float], Float[np.ndarray, " peaks"]]
    regions_ang: dict[tuple[FixedContrast, float], Float[np.ndarray, "regions 3"]]
    area_ang2: dict[float, float]
    micrographs: int
    along: dict[tuple[FixedContrast, float, float], ScoresAlong] = field(default_factory=dict)

    @property
    def sizes_ang(self) -> list[float]:
        """Sizes at which something was scored, ascending."""
        return sorted(size for size, area in self.area_ang2.items() if area > 0)


def probe_micrographs(
    model: Model,
    settings: PickSettings,
    device: AnyDevice,
    paths: Sequence[Path],
    plan: ProbePlan,
) -> Probe:
    """Score the centres of the first micrographs at several particle sizes.

    Args:
        model: Model to pick with.
        settings: Settings of picking. With the contrast auto, both are scored.
        device: Device to compute on.
        paths: Micrographs; those that cannot be used are skipped.
        plan: What to score.
    """
    # The same step and contrast for all, so that decisions do not depend on them.
    fixed = replace(settings, step_px=None)
    if model.detects_contrast:
        fixed = replace(fixed, contrast="dark")
    # The choice needs only the first network of the general model.
    alone = replace(model, partner=None, calibration=None) if model.partner else model
    contrasts = tuple(sign for sign in _SIGNS if settings.contrast in ("auto", sign))
    prober = _Prober(alone, fixed, device, plan, contrasts)
    for path in paths:
        if prober.has_enough:
            break
        try:
            prober.score(path)
        except MicrographError:
            continue
    return prober.summarize()


@dataclass(frozen=True)
class _Peaks:
    """Peaks of one micrograph at one size, as in `Probe`."""

    area_ang2: float
    scored_px: int
    logits: dict[FixedContrast, Float[np.ndarray, " peaks"]] = field(default_factory=dict)
    regions_ang: dict[FixedContrast, Float[np.ndarray, "regions 3"]] = field(default_factory=dict)
    along: dict[tuple[FixedContrast, float], ScoresAlong] = field(default_factory=dict)


@dataclass
class _Prober:
    """The model and its settings, with what was scored so far."""

    model: Model
    settings: PickSettings
    device: AnyDevice
    plan: ProbePlan
    contrasts: Sequence[FixedContrast]
    micrographs: int = 0
    scored_px: int = 0
    area_ang2: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    peaks: dict[float, list[_Peaks]] = field(default_factory=lambda: defaultdict(list))

    @cached_property
    def picker(self) -> Picker:
        """The picker; its network may still be being compiled while a micrograph is read."""
        return Picker.create(self.model, self.settings, self.device)

    @property
    def sizes_ang(self) -> list[float]:
        """The sizes, ascending."""
        return sorted(self.plan.sizes_ang)

    @property
    def has_enough(self) -> bool:
        """True if no more micrographs need to be scored."""
        if self.micrographs >= self.plan.max_micrographs or self.scored_px > _MAX_SCORED_PX:
            return True
        if self.micrographs < _MIN_MICROGRAPHS or self.scored_px <= _ENOUGH_SCORED_PX:
            return False
        return any(
            sum(int((peaks.logits[contrast] > _CLEAR_LOGIT).sum()) for peaks in peaks_list)
            >= _MIN_CLEAR_PEAKS
            for peaks_list in self.peaks.values()
            for contrast in self.contrasts
        )

    def score(self, path: Path) -> None:
        """Score a micrograph at all sizes that fit it.

        Raises:
            MicrographError: The file cannot be used, or no size fits it.
        """
        base, base_px_ang = self._rescale(path)
        diameter_px = self.model.diameter_px
        factors = {size_ang: size_ang / diameter_px / base_px_ang for size_ang in self.sizes_ang}
        fitting = [
            size_ang
            for size_ang, factor in factors.items()
            if factor >= 1 - 1e-9 and min(base.image.shape) / factor >= _MIN_DIAMETERS * diameter_px
        ]
        self.picker  # noqa: B018  # before threads use it
        measured = map_in_order(
            lambda size_ang: self._measure(base, max(1.0, factors[size_ang]), size_ang), fitting
        )
        for size_ang, peaks in zip(fitting, list(measured), strict=True):
            self.area_ang2[size_ang] += peaks.area_ang2
            self.scored_px += peaks.scored_px
            self.peaks[size_ang].append(peaks)
        self.micrographs += 1

    def summarize(self) -> Probe:
        """Join the peaks of all micrographs."""
        logits, regions, along = {}, {}, {}
        for size_ang, peaks_list in self.peaks.items():
            for contrast in self.contrasts:
                key = contrast, size_ang
                logits[key] = np.concatenate([peaks.logits[contrast] for peaks in peaks_list])
                for length_ang in self.plan.lengths_ang:
                    parts = [peaks.along[contrast, length_ang] for peaks in peaks_list]
                    along[*key, length_ang] = ScoresAlong(
                        np.concatenate([part.directionality for part in parts]),
                        np.concatenate([part.heights for part in parts]),
                    )
                if self.plan.lengths_ang:
                    regions[key] = np.concatenate(
                        [peaks.regions_ang[contrast] for peaks in peaks_list]
                    )
        return Probe(logits, regions, dict(self.area_ang2), self.micrographs, along)

    def _rescale(self, path: Path) -> tuple[RescaledMicrograph, float]:
        """Resample a micrograph at the finest scale that fits it; return its pixel size as well."""
        settings, model = self.settings, self.model
        micrograph = read_micrograph(path, pixel_size_ang=settings.pixel_size_ang)
        pixel_size_ang = raw_pixel_size(path, micrograph.pixel_size_ang)
        for size_ang in self.sizes_ang:
            factor = model.factor(pixel_size_ang, size_ang)
            try:
                rescaled = rescale_micrograph(
                    micrograph.pixels, factor, span=micrograph.value_range
                )
            except MicrographError:
                if size_ang == self.sizes_ang[-1]:
                    raise
                continue
            return rescaled, pixel_size_ang * factor
        raise ValueError("there are no sizes")

    def _prepare(self, base: RescaledMicrograph, factor: float) -> PreparedMicrograph:
        """Prepare the centre of a micrograph at a coarser scale."""
        side_px = round(_MAX_SIDE_PX * min(2.0, factor))
        window = tuple(central_slice(length, side_px) for length in base.image.shape)
        normalization = self.picker.model.normalization
        return prepare_micrograph(np.ascontiguousarray(base.image[window]), factor, normalization)

    def _measure(self, base: RescaledMicrograph, factor: float, size_ang: float) -> "_Peaks":
        """Score a micrograph at one size."""
        prepared = self._prepare(base, factor)
        diameter_px = self.picker.model.diameter_px
        usable = erode_mask(prepared.usable, diameter_px / 2)
        px_ang = size_ang / diameter_px
        # A given contrast leaves the number of scored micrographs as it is.
        peaks = _Peaks(float(usable.sum()) * px_ang**2, len(_SIGNS) * prepared.image.size)
        for contrast in self.contrasts:
            image = np.ascontiguousarray(_SIGNS[contrast] * prepared.image)
            scores = self.picker.compute_scores(image)
            _, logits = find_peaks(scores, usable, radius=diameter_px / 2, threshold=MIN_SCORE)
            peaks.logits[contrast] = logits
            if self.plan.lengths_ang:
                to_ang = np.array([px_ang, px_ang, 1.0])
                peaks.regions_ang[contrast] = measure_regions(scores, usable) * to_ang
            for length_ang in self.plan.lengths_ang:
                peaks.along[contrast, length_ang] = measure_along(
                    scores, usable, length_px=length_ang / px_ang
                )
        return peaks


def central_slice(length: int, side_px: int) -> slice:
    """Return the slice of the central `side_px` elements of an axis, or of all if it is shorter."""
    start = max(0, length - side_px) // 2
    return slice(start, start + min(length, side_px))
