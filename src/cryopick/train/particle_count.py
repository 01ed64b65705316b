"""Estimate the number of particles per micrograph before training.

The distribution of the general model's scores separates particles from background; how the
particles of a data set score follows from the labels, which that model did not learn from. Both
together give the number of particles, which sets the class prior of the training, and later the
calibration of the trained model. No micrograph needs complete labels, but the labels must be a
random sample of the particles.
docs/explanation/scores.md explains the method, docs/results/scores.md its accuracy.

- `choose_sample`, `pick_sample`: picks of the general model on some of the micrographs.
- `GeneralModelSample`: those picks, and the estimate that follows from them.
- `ParticleCountEstimate`: particles per micrograph, with an interval.
- `count_complete_labels`: the estimate from micrographs with complete labels.
- `ParticleStatistics`: knowledge about the particle count before training.
- `resolve_particle_count`: complete the settings with the estimate.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from cryopick.array_types import Bool, Float
from cryopick.errors import CryopickError, SettingsError
from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.score_distribution import ScoreDistribution, fit_score_distribution
from cryopick.io.images.micrograph import read_micrograph
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, choose_evenly, concatenate
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.regions import Regions
from cryopick.runs.file_errors import translate_file_errors
from cryopick.train.settings import TrainSettings

__all__ = [
    "LABEL_RADIUS_DIAMETERS",
    "MIN_PARTICLES",
    "GeneralModelSample",
    "ParticleCountEstimate",
    "ParticleStatistics",
    "choose_sample",
    "count_complete_labels",
    "pick_sample",
    "pick_usable",
    "resolve_particle_count",
]

MIN_PARTICLES = 8  # with fewer, nothing is estimated or calibrated
LABEL_RADIUS_DIAMETERS = 1 / 3  # between a pick and the label that it matches
_MAX_MICROGRAPHS = 8  # sampled with labels, and as many without
_FLOOR = -8.0  # minimum score of the general model's picks
_MICROGRAPH_DEVIATION = 0.3  # between micrographs, if only one is complete
_Z = 1.96  # standard deviations of a Gaussian that contain 95 %
_LABEL_FACTOR = 1.1  # minimum ratio of particles to labels


@dataclass(frozen=True)
class ParticleCountEstimate:
    """Particles per micrograph.

    Attributes:
        number: Estimate, rounded to three figures.
        low, high: Ends of the 95 % interval.
    """

    number: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.number:g} particles per micrograph (95 %: {self.low:.0f} to {self.high:.0f})"

    def objection(self, number: float) -> str:
        """Describe why a number given by the user is wrong; empty if it may be right.

        The interval is extended to twice its width on both sides, on a logarithmic scale.
        """
        if self.low * self.low / self.number <= number <= self.high * self.high / self.number:
            return ""
        side = "above" if number > self.high else "below"
        return (
            f"{number:g} particles per micrograph is {side} the estimate from micrographs and "
            f"labels, {self}"
        )

    @classmethod
    def from_log_deviation(cls, number: float, log_deviation: float) -> "ParticleCountEstimate":
        """Create an estimate from a number and the standard deviation of its logarithm."""
        factor = math.exp(_Z * log_deviation)
        return cls(float(f"{number:.3g}"), number / factor, number * factor)


@dataclass(frozen=True, eq=False)
class GeneralModelSample:
    """Picks of the general model, and labels, on some of the training micrographs.

    Attributes:
        picks: The picks, by micrograph.
        labels: The labels on these micrographs.
        diameter_px: Particle diameter in raw pixels.
    """

    picks: Picks
    labels: Picks
    diameter_px: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the micrographs."""
        return self.picks.micrographs

    @cached_property
    def is_label(self) -> Bool[np.ndarray, " picks"]:
        """Picks that match a label."""
        return match_picks(self.picks, self.labels, LABEL_RADIUS_DIAMETERS * self.diameter_px) >= 0

    def select_unlabelled(self, picks: Picks) -> Picks:
        """Select the picks of another model, on the same micrographs, that match no label."""
        within_px = LABEL_RADIUS_DIAMETERS * self.diameter_px
        return picks.select(match_picks(picks, self.labels, within_px) < 0)

    @cached_property
    def label_scores(self) -> Float[np.ndarray, " labels"]:
        """Score of the pick that matches each label; minus infinity if there is none."""
        radius_px = LABEL_RADIUS_DIAMETERS * self.diameter_px
        partner = match_picks(self.picks, self.labels, radius_px)
        scores = np.full(len(self.labels), -np.inf)
        scores[partner[self.is_label]] = self.picks.score[self.is_label]
        return scores

    @cached_property
    def distribution(self) -> ScoreDistribution:
        """Distribution of the scores of particles and background."""
        return fit_score_distribution(self.picks.score, LabelSample.complete(self.label_scores))

    @cached_property
    def particles(self) -> float:
        """Estimated number of particles on all these micrographs."""
        return self.distribution.count.value

    @cached_property
    def probability(self) -> Float[np.ndarray, " picks"]:
        """Probability that each pick is a particle."""
        return self.distribution.compute_probability(self.picks.score)

    @property
    def floor_probability(self) -> float:
        """Probability that a position without a pick is a particle."""
        return float(self.distribution.compute_probability(np.array([_FLOOR]))[0])

    def estimate(self) -> ParticleCountEstimate | None:
        """Estimate the particles per micrograph; None with too few particles.

        The interval combines that of the distribution with the variation between micrographs.
        """
        if self.particles < MIN_PARTICLES:
            return None
        count, number = self.distribution.count, len(self.names)
        by_micrograph = np.bincount(self.picks.index, self.probability, minlength=number)
        between = float(by_micrograph.std()) / max(float(by_micrograph.mean()), 1e-9)
        deviation = _Z * between / math.sqrt(number)
        below = math.hypot(math.log(count.value / count.low), deviation)
        above = math.hypot(math.log(count.high / count.value), deviation)
        mean = count.value / number
        return ParticleCountEstimate(
            float(f"{mean:.3g}"), mean * math.exp(-below), mean * math.exp(above)
        )


def choose_sample(paths: Sequence[Path], labels: Picks) -> list[Path]:
    """Choose some micrographs with labels and some without, spread evenly over the list."""
    labelled = {name for name, rows in labels.rows_by_micrograph().items() if len(rows)}
    chosen: list[Path] = []
    for is_labelled in (True, False):
        group = [path for path in paths if (str(path) in labelled) is is_labelled]
        chosen += [group[index] for index in choose_evenly(len(group), _MAX_MICROGRAPHS)]
    return chosen


def pick_sample(
    paths: Sequence[Path],
    labels: Picks,
    settings: TrainSettings,
    device: torch.device,
    ignore: Regions,
    *,
    on_done: Callable[[], object] = lambda: None,
) -> GeneralModelSample | None:
    """Pick a sample of the training micrographs with the general model.

    Args:
        paths: The micrographs, from `choose_sample`.
        labels: The labels on them, named by `str(path)`.
        settings: Settings of the training; the particle count is not used.
        device: Device to compute on.
        ignore: Regions to ignore.
        on_done: Called after each micrograph.

    Returns:
        None if no micrograph can be used.
    """
    pick_settings = PickSettings(
        diameter_ang=settings.diameter_ang,
        width_ang=settings.width_ang,
        scale_ang=settings.scale_ang,
        contrast=settings.contrast,
        pixel_size_ang=settings.pixel_size_ang,
        threshold=_FLOOR,
    )
    picker = Picker.create(load_model(GENERAL_MODEL), pick_settings, device, paths, ignore)
    picks = pick_usable(picker, paths, on_done)
    if not picks.micrographs:
        return None
    usable_labels = ignore.select_outside(labels.restrict(picks.micrographs))
    first = next(path for path in paths if str(path) == picks.micrographs[0])
    pixel_size_ang = settings.pixel_size_ang or raw_pixel_size(
        first, read_micrograph(first).pixel_size_ang
    )
    return GeneralModelSample(picks, usable_labels, settings.diameter_ang / pixel_size_ang)


def pick_usable(
    picker: Picker, paths: Sequence[Path], on_done: Callable[[], object] = lambda: None
) -> Picks:
    """Pick the micrographs that can be used; the reasons for others show when preparing them."""
    tables = []
    for path in paths:
        with suppress(CryopickError), translate_file_errors(path):
            tables.append(picker.pick(path))
        on_done()
    return concatenate(tables)


def count_complete_labels(complete: Picks) -> ParticleCountEstimate | None:
    """Estimate the particles per micrograph from micrographs with complete labels."""
    counts = np.bincount(complete.index, minlength=len(complete.micrographs))
    mean = float(counts.mean())
    if not mean:
        return None
    between = float(counts.std(ddof=1)) / mean if len(counts) > 1 else _MICROGRAPH_DEVIATION
    poisson = 1 / math.sqrt(mean)
    deviation = max(between, poisson) / math.sqrt(len(counts))
    return ParticleCountEstimate.from_log_deviation(mean, deviation)


@dataclass(frozen=True, eq=False, kw_only=True)
class ParticleStatistics:
    """Knowledge about the particles before training.

    Attributes:
        sample: Picks of the general model on training micrographs, if any could be used.
        complete: All particles on held-out micrographs, named by their paths, if these have
            complete labels; they replace the estimate from the sample.
    """

    sample: GeneralModelSample | None
    complete: Picks | None = None

    @cached_property
    def estimate(self) -> ParticleCountEstimate | None:
        """Estimate of the particles per micrograph, if there is one."""
        if self.complete is not None:
            return count_complete_labels(self.complete)
        return self.sample.estimate() if self.sample else None


def resolve_particle_count(
    settings: TrainSettings, estimate: ParticleCountEstimate | None, labels: int, micrographs: int
) -> TrainSettings:
    """Return settings with the given particle count or, if none is given, the estimate.

    Args:
        settings: Settings of a training.
        estimate: Estimate for its micrographs.
        labels: Labels on all micrographs; the count is at least 10 % above them.
        micrographs: Number of micrographs.

    Raises:
        SettingsError: The count is neither given nor estimated.
    """
    if settings.particles_per_micrograph is not None:
        return settings
    if estimate is None:
        raise SettingsError(
            "too few particles were found on the micrographs to estimate their number; "
            "give --particles-per-micrograph"
        )
    minimum = float(f"{_LABEL_FACTOR * labels / max(micrographs, 1):.3g}")
    return replace(settings, particles_per_micrograph=max(estimate.number, minimum))
