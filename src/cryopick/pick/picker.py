"""From a raw micrograph to picks in raw pixels, in one go.

- `Picker`: a model made ready for a device, with the settings of picking.
- `Scored`: a micrograph with its scores.
- `locate`: picks from a score map.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cryopick.array_types import Bool, Float
from cryopick.inference.prefetch import Ahead
from cryopick.inference.score_map import ScoreMap, folded_both, guided_map, number_format
from cryopick.io.images.micrograph import Micrograph, read_micrograph
from cryopick.model.ensemble import Guide
from cryopick.model.model_file import Model
from cryopick.model.networks import Scorer
from cryopick.pick.settings import PickSettings
from cryopick.pick.suppression import halved, refine, suppress
from cryopick.picks import Picks
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.preprocess.mask import inset
from cryopick.preprocess.pipeline import Prepared, prepare
from cryopick.regions import Regions
from cryopick.runs.parallel import cores

__all__ = ["Picker", "Scored", "default_step", "locate"]

_AT_ONCE = 4  # micrographs; each takes some 150 MB, and more cores share in each


def default_step(scorer: Scorer) -> int:
    """Two pixels, or the network's stride if that is less: decision 0005 says why not more."""
    return min(2, scorer.stride_px)


def locate(
    scores: ScoreMap,
    usable: Bool[np.ndarray, "height width"],
    *,
    radius: float,
    threshold: float,
    scale_yx: tuple[float, float] = (1.0, 1.0),
) -> tuple[Float[np.ndarray, "picks 2"], Float[np.ndarray, " picks"]]:
    """Find the particles of a score map.

    Between places further apart than a pixel the scores are interpolated: a particle that lies
    between two would come out lower than one on a place, and in the wrong order.

    Args:
        scores: Logits on a grid over the prepared image.
        usable: Pixels of that image on which a particle may be centred.
        radius: Least distance between picks, in the unit of `scale_yx`.
        threshold: Least score.
        scale_yx: Size of a pixel of the image along y and x; the result is in its unit.

    Returns:
        Centres (x, y) and their scores, by descending score.
    """
    step, logits = scores.step_px, scores.logits
    while step % 2 == 0:
        step, logits = step // 2, halved(logits)
    rows, columns = logits.shape
    allowed = np.where(usable[::step, ::step][:rows, :columns], logits, -np.inf)
    spacing = (step * scale_yx[0], step * scale_yx[1])
    peaks = suppress(allowed, radius=radius, threshold=threshold, spacing_yx=spacing)
    xy = (refine(logits, peaks) * spacing)[:, ::-1]
    return xy, logits[tuple(peaks.T)].astype(np.float64)


@dataclass(frozen=True)
class Scored:
    """A micrograph with its scores.

    Attributes:
        prepared: What the network saw.
        scores: What it said.
        pixel_size_ang: Ångströms per raw pixel.
    """

    prepared: Prepared
    scores: ScoreMap
    pixel_size_ang: float


@dataclass(frozen=True)
class Picker:
    """A model made ready to pick, once for any number of micrographs.

    Attributes:
        model: The model, as single places are shown to it.
        scorer: Its network, made ready for whole micrographs and the step between places.
        guide: Its guide, if it has one, likewise.
        settings: How to pick.
        order: Micrographs in the order in which they will be asked for, if it is known. The
            next ones are then worked on in the background, each by a thread of its own: a
            core that does all of one micrograph never waits for another core.
        ignore: Regions in which nothing is picked, on micrographs named by their paths.
    """

    model: Model
    scorer: Scorer
    guide: Guide | None
    settings: PickSettings
    order: Sequence[Path] = ()
    ignore: Regions = field(default_factory=lambda: Regions({}))
    _scored: "Ahead[Path, Scored]" = field(init=False, repr=False)
    _picked: "Ahead[Path, Picks]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        workers = min(cores(), _AT_ONCE)
        share = partial(torch.set_num_threads, max(1, cores() // workers))
        for name, work in (("_scored", self._score), ("_picked", self._pick)):
            object.__setattr__(self, name, Ahead(work, self.order, workers, share))

    @classmethod
    def ready(
        cls,
        model: Model,
        settings: PickSettings,
        device: torch.device,
        order: Sequence[Path] = (),
        ignore: Regions | None = None,
    ) -> "Picker":
        """Make the networks ready for the step between places, and put them on a device.

        Raises:
            SettingsError: The step does not divide the network's stride.
        """
        precision = number_format(settings.precision, device)
        step = settings.step_px or default_step(model.scorer)
        scorer, guide = folded_both(model.scorer, model.guide, precision, device, step_px=step)
        placed = replace(model, scorer=deepcopy(model.scorer).to(device))
        return cls(placed, scorer, guide, settings, order, ignore or Regions({}))

    @property
    def diameter_ang(self) -> float:
        """Diameter of the particles looked for."""
        return self.settings.diameter_ang or self.model.diameter_ang

    def prepare(self, path: Path) -> tuple[Prepared, float]:
        """Read a micrograph and bring it to the model's scale.

        Returns:
            What the network sees, and the raw pixel size in ångströms.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown.
        """
        micrograph: Micrograph = read_micrograph(path, pixel_size_ang=self.settings.pixel_size_ang)
        pixel_size_ang = raw_pixel_size(path, micrograph.pixel_size_ang)
        factor = self.model.factor(pixel_size_ang, self.settings.diameter_ang)
        prepared = prepare(
            micrograph.pixels, factor, self.model.normalization, span=micrograph.span
        )
        return prepared, pixel_size_ang

    def score(self, path: Path) -> Scored:
        """Score the places of a raw micrograph.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown.
        """
        return self._scored(path)

    def pick(self, path: Path) -> Picks:
        """Find the particles of a raw micrograph; the table names it `str(path)`.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown.
        """
        return self._picked(path)

    def _score(self, path: Path) -> Scored:
        prepared, pixel_size_ang = self.prepare(path)
        step = self.scorer.stride_px
        scores = guided_map(self.scorer, self.guide, prepared.image, step_px=step)
        if self.model.odds is not None:
            scores = replace(scores, logits=self.model.odds.of_map(scores.logits))
        return Scored(prepared, scores, pixel_size_ang)

    def _pick(self, path: Path) -> Picks:
        scored = self._score(path)
        prepared, pixel_size_ang = scored.prepared, scored.pixel_size_ang
        radius_ang = self.settings.radius_ang or self.diameter_ang / 2
        ignored = self.ignore.mask(str(path), prepared.image.shape, prepared.scale_yx)
        xy_px, score = locate(
            scored.scores,
            inset(prepared.usable, self.model.diameter_px / 2) & ~ignored,
            radius=radius_ang / pixel_size_ang,
            threshold=self.settings.threshold,
            scale_yx=prepared.scale_yx,
        )
        margin_px = self.settings.margin_ang / pixel_size_ang
        height, width = prepared.raw_shape
        inside = (xy_px >= margin_px) & (xy_px <= np.array([width, height]) - 1 - margin_px)
        return Picks.on(str(path), xy_px, score).select(np.flatnonzero(inside.all(axis=1)))
