"""Pick particles on a raw micrograph, with coordinates in raw pixels.

- `Picker`: a model on a device, with the settings of picking.
- `ScoredMicrograph`: a prepared micrograph with its score map.
- `find_peaks`: find the particles in a score map.
- `start_compiling`, `start_loading`: compile networks in the background.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.evaluate.spacing import is_inside_margin
from cryopick.inference.engine import DenseEnsemble, optimize_ensemble, resolve_precision
from cryopick.inference.prefetch import Prefetcher
from cryopick.inference.score_map import ScoreMap, compute_ensemble_score_map
from cryopick.io.images.micrograph import Micrograph, read_micrograph
from cryopick.model.device import AnyDevice, choose_device
from cryopick.model.model_file import Model, load_kept_model
from cryopick.pick.elongated import SPACING_FRAC, filter_if_elongated
from cryopick.pick.settings import PickSettings, is_elongated
from cryopick.pick.suppression import (
    keep_distance,
    refine_peaks,
    suppress_non_maxima,
    upsample_twofold,
)
from cryopick.picks import Picks
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.preprocess.mask import erode_mask
from cryopick.preprocess.pipeline import PreparedMicrograph, prepare_micrograph
from cryopick.preprocess.working_size import check_pick_count
from cryopick.regions import Regions
from cryopick.runs.parallel import available_cores

__all__ = [
    "Picker",
    "ScoredMicrograph",
    "default_step_px",
    "find_peaks",
    "start_compiling",
    "start_loading",
]

_SPACING_FRAC = 0.6  # default distance between compact particles, in diameters (decision 0021)
_MAX_WORKERS = 4  # micrographs in memory, about 150 MB each; further cores share the work on each


def default_step_px(stride_px: int) -> int:
    """Return the default scoring step: 2 pixels, or the stride of the network if smaller.

    Decision 0005 compares other steps.
    """
    return min(2, stride_px)


def find_peaks(
    scores: ScoreMap,
    usable: Bool[np.ndarray, "height width"],
    *,
    radius: float,
    threshold: float,
    scale_yx: tuple[float, float] = (1.0, 1.0),
) -> tuple[Float[np.ndarray, "picks 2"], Float[np.ndarray, " picks"]]:
    """Find the particles in a score map.

    A map with an even step is interpolated first. Otherwise a particle halfway between two
    scored positions would get a lower score than one at a scored position.

    Args:
        scores: Logits on a grid over the prepared image.
        usable: Pixels of that image on which a particle may be centred.
        radius: Minimum distance between picks, in the unit of `scale_yx`.
        threshold: Minimum score.
        scale_yx: Size of a pixel of the image along y and x; the result is in its unit.

    Returns:
        Centres (x, y) and their scores, in order of descending score.
    """
    step, logits = scores.step_px, scores.logits
    while step % 2 == 0:
        step, logits = step // 2, upsample_twofold(logits)
    rows, columns = logits.shape
    allowed = np.where(usable[::step, ::step][:rows, :columns], logits, -np.inf)
    spacing = (step * scale_yx[0], step * scale_yx[1])
    peaks = suppress_non_maxima(allowed, radius=radius, threshold=threshold, spacing_yx=spacing)
    refined = refine_peaks(logits, peaks)
    xy = (keep_distance(refined, peaks, radius=radius, spacing_yx=spacing) * spacing)[:, ::-1]
    return xy, logits[tuple(peaks.T)].astype(np.float64)


@dataclass(frozen=True)
class ScoredMicrograph:
    """A prepared micrograph with its score map.

    Attributes:
        prepared: Input of the network.
        scores: Output of the network.
        pixel_size_ang: Ångströms per raw pixel.
    """

    prepared: PreparedMicrograph
    scores: ScoreMap
    pixel_size_ang: float


@dataclass(frozen=True)
class Picker:
    """A model on a device, optimized once to pick any number of micrographs.

    Attributes:
        model: The model, with its network as trained.
        ensemble: Its networks, optimized for dense scoring at the step of the settings.
        settings: Settings of picking.
        device: Device that computes the scores.
        order: Micrographs in the expected order of the calls, if known. The next ones are then
            processed in the background, one thread per micrograph, so that cores need not wait
            for each other.
        ignore: Exclusion regions, on micrographs named by their paths.
    """

    model: Model
    ensemble: DenseEnsemble
    settings: PickSettings
    device: AnyDevice
    order: Sequence[Path] = ()
    ignore: Regions = field(default_factory=lambda: Regions({}))
    _score_prefetcher: "Prefetcher[Path, ScoredMicrograph]" = field(init=False, repr=False)
    _pick_prefetcher: "Prefetcher[Path, Picks]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        workers = min(available_cores(), _MAX_WORKERS)
        for name, function in (
            ("_score_prefetcher", self._score),
            ("_pick_prefetcher", self._pick),
        ):
            object.__setattr__(self, name, Prefetcher(function, self.order, workers))

    @classmethod
    def create(
        cls,
        model: Model,
        settings: PickSettings,
        device: AnyDevice,
        order: Sequence[Path] = (),
        ignore: Regions | None = None,
    ) -> "Picker":
        """Optimize the networks for the step of the settings and move them to a device.

        Args:
            model: Model to pick with.
            settings: Settings of picking.
            device: Device to compute on.
            order: Micrographs in the expected order of the calls.
            ignore: Exclusion regions, on micrographs named by their paths.

        Raises:
            SettingsError: The step does not divide the stride of the network.
        """
        number_format = resolve_precision(settings.precision, device)
        step = settings.step_px or default_step_px(model.network.stride_px)
        ensemble = optimize_ensemble(
            model.network, model.partner, number_format, device, step_px=step
        )
        normalization = model.normalization
        if settings.contrast != "auto":
            normalization = replace(normalization, inverted=settings.contrast == "bright")
        model = replace(model, normalization=normalization)
        return cls(model, ensemble, settings, device, order, ignore or Regions({}))

    @property
    def diameter_ang(self) -> float:
        """Diameter of the particles to pick."""
        return self.settings.diameter_ang or self.model.diameter_ang

    @property
    def width_ang(self) -> float | None:
        """Short side of the particles to pick, if it is known."""
        if self.settings.width_ang is not None or self.model.width_ang is None:
            return self.settings.width_ang
        return self.model.width_ang * self.diameter_ang / self.model.diameter_ang

    @property
    def is_filtered(self) -> bool:
        """True if the scores are filtered along particles, as they are elongated."""
        return is_elongated(self.diameter_ang, self.width_ang)

    @property
    def scale_ang(self) -> float:
        """Size that sets the scale of the network's input."""
        return self.settings.scale_ang or self.model.scale_for(self.diameter_ang)

    @property
    def radius_ang(self) -> float:
        """Minimum distance between picks."""
        if self.settings.radius_ang:
            return self.settings.radius_ang
        width_ang = self.width_ang
        if self.is_filtered:
            return SPACING_FRAC * self.diameter_ang
        if width_ang:
            return max(width_ang / 2, self.diameter_ang / 4)
        return _SPACING_FRAC * min(self.scale_ang, self.diameter_ang)

    def prepare(self, path: Path) -> tuple[PreparedMicrograph, float]:
        """Read a micrograph and preprocess it for the model.

        Returns:
            The input of the network, and the raw pixel size in ångströms.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown.
        """
        micrograph: Micrograph = read_micrograph(path, pixel_size_ang=self.settings.pixel_size_ang)
        pixel_size_ang = raw_pixel_size(path, micrograph.pixel_size_ang)
        check_pick_count(micrograph.pixels.shape, self.radius_ang / pixel_size_ang)
        factor = self.model.factor(pixel_size_ang, self.scale_ang)
        prepared = prepare_micrograph(
            micrograph.pixels, factor, self.model.normalization, span=micrograph.value_range
        )
        return prepared, pixel_size_ang

    def compute_scores(self, image: Float32[np.ndarray, "height width"]) -> ScoreMap:
        """Compute the calibrated score map of a prepared image, without the filter for rods."""
        return self._calibrate(self._compute_logits(image))

    def _compute_logits(self, image: Float32[np.ndarray, "height width"]) -> ScoreMap:
        return compute_ensemble_score_map(self.ensemble, image)

    def _calibrate(self, scores: ScoreMap) -> ScoreMap:
        if self.model.calibration is None:
            return scores
        return replace(scores, logits=self.model.calibration.apply_to_map(scores.logits))

    def score(self, path: Path) -> ScoredMicrograph:
        """Compute the score map of a raw micrograph.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown.
        """
        return self._score_prefetcher(path)

    def pick(self, path: Path) -> Picks:
        """Pick the particles of a raw micrograph; the table names it `str(path)`.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown.
        """
        return self._pick_prefetcher(path)

    def _score(self, path: Path) -> ScoredMicrograph:
        prepared, pixel_size_ang = self.prepare(path)
        sides_px, width_ang = None, self.width_ang
        if width_ang is not None and self.is_filtered:
            working_px_ang = pixel_size_ang * sum(prepared.scale_yx) / 2
            sides_px = self.diameter_ang / working_px_ang, width_ang / working_px_ang
        logits = filter_if_elongated(self._compute_logits(prepared.image), sides_px)
        return ScoredMicrograph(prepared, self._calibrate(logits), pixel_size_ang)

    def _pick(self, path: Path) -> Picks:
        scored = self._score(path)
        prepared, pixel_size_ang = scored.prepared, scored.pixel_size_ang
        ignored = self.ignore.mask(str(path), prepared.image.shape, prepared.scale_yx)
        xy_px, score = find_peaks(
            scored.scores,
            erode_mask(prepared.usable, self.model.diameter_px / 2) & ~ignored,
            radius=self.radius_ang / pixel_size_ang,
            threshold=self.settings.threshold,
            scale_yx=prepared.scale_yx,
        )
        offset_px = self.settings.centre_offset_px or self.model.centre_offset_px
        xy_px = xy_px - np.multiply(offset_px, prepared.scale_yx[::-1])
        margin_px = self.settings.margin_ang / pixel_size_ang
        is_inside = is_inside_margin(xy_px, prepared.raw_shape, margin_px)
        return Picks.for_micrograph(str(path), xy_px, score).select(np.flatnonzero(is_inside))


def start_compiling(model: Model, settings: PickSettings, device: AnyDevice) -> None:
    """Compile the networks of a model in the background, for pickers that are created later.

    The first network is compiled first, as the choice of size and contrast needs it alone. Errors
    are left to those pickers.
    """
    Thread(target=_compile_networks, args=(model, settings, device)).start()


def start_loading(model_file: Path, settings: PickSettings, device_name: str) -> None:
    """Load a model and compile its networks in the background, while a command reads its inputs.

    Errors are left to `load_kept_model` and to the pickers.
    """

    def load() -> None:
        with suppress(Exception):
            device = choose_device(device_name)
            _compile_networks(load_kept_model(model_file), settings, device)

    Thread(target=load).start()


def _compile_networks(model: Model, settings: PickSettings, device: AnyDevice) -> None:
    if device.type == "cpu":
        with suppress(Exception):
            Picker.create(replace(model, partner=None), settings, device)
            Picker.create(model, settings, device)
