"""What the general model and the labels tell of the training micrographs together.

The general model knows roughly how likely each pick is a particle; how particles of this kind
score with it, the labels tell. From both follow how many particles there are, which training
needs beforehand, and how likely the picks of the trained model are right, which its scores are
calibrated by. No micrograph need be labelled completely, but the labels must be a fair sample of
the particles. docs/explanation/scores.md explains it, docs/results/scores.md says how well it
works.

- `Evidence`, `sample`, `gather`: the general model's picks on some of the micrographs.
- `Estimate`: particles on a micrograph, with an interval.
- `counted`: the same from micrographs of which all particles are known.
- `settled`: settings whose number of particles is known.
- `Known`: all that is known before a run begins.
- `calibrated`: a model with its scores made log-odds.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from cryopick.array_types import Bool, Float
from cryopick.errors import CryopickError, SettingsError
from cryopick.evaluate.matching import match_picks
from cryopick.io.images.micrograph import read_micrograph
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate, evenly
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.regions import Regions
from cryopick.train.calibration_fit import fit_odds, fit_to_chances
from cryopick.train.score_mixture import expected_number, shift_to
from cryopick.train.settings import TrainSettings

__all__ = ["Estimate", "Evidence", "Known", "calibrated", "counted", "gather", "sample", "settled"]

_MOST = 8  # micrographs with labels that are looked at, and as many without
_FLOOR = -8.0  # picks of the general model below this are left out
_SLOPE = 1.3  # of log-odds in its logits, on micrographs that it was not calibrated on
_RESAMPLES = 40
# Standard deviation of the logarithm of what is estimated over what is true, from one kind of
# particle to another: docs/results/scores.md.
_BETWEEN_KINDS = 0.12
_Z = 1.96  # standard deviations of a Gaussian that hold 95 %
_BETWEEN_MICROGRAPHS = 0.3  # the same from one micrograph to another, where only one is known
_LEFT = 1.1  # times the labels: the fewest particles that are taken to be there
_FEW = 8  # particles: with fewer nothing is calibrated
_NEAR = 0.25  # diameters between picks of two models on one particle
_WITHIN = 1 / 3  # diameters between a pick and the label that it found


@dataclass(frozen=True)
class Estimate:
    """Particles on a micrograph.

    Attributes:
        number: As estimated, to three figures.
        low, high: Ends of the interval of 95 %.
    """

    number: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.number:g} particles per micrograph (95 %: {self.low:.0f} to {self.high:.0f})"

    def objection(self, number: float) -> str:
        """What is to be said of a number given by hand; nothing where it may be right."""
        if self.low <= number <= self.high:
            return ""
        side = "above" if number > self.high else "below"
        return (
            f"{number:g} particles per micrograph is {side} what micrographs and labels suggest, "
            f"{self}"
        )

    @classmethod
    def of(cls, number: float, spread: float) -> "Estimate":
        """From a number and the standard deviation of its logarithm."""
        reach = math.exp(_Z * spread)
        return cls(float(f"{number:.3g}"), number / reach, number * reach)


@dataclass(frozen=True, eq=False)
class Evidence:
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
        """The micrographs."""
        return self.picks.micrographs

    @cached_property
    def is_label(self) -> Bool[np.ndarray, " picks"]:
        """Which picks found a label."""
        return match_picks(self.picks, self.labels, _WITHIN * self.diameter_px) >= 0

    @cached_property
    def particles(self) -> float:
        """Particles on all these micrographs, as estimated."""
        return expected_number(self.picks.score, self.is_label)

    @cached_property
    def chance(self) -> Float[np.ndarray, " picks"]:
        """How likely each pick is a particle; the sum is `particles`."""
        return expit(_SLOPE * self.picks.score + self._shift)

    @cached_property
    def _shift(self) -> float:
        return shift_to(_SLOPE * self.picks.score, self.particles)

    @property
    def floor_chance(self) -> float:
        """How likely a place is a particle that the general model did not pick."""
        return float(expit(_SLOPE * _FLOOR + self._shift))

    def estimate(self) -> Estimate | None:
        """Particles on a micrograph; None where there is too little to tell.

        The interval comes of drawing the micrographs anew, and of what the estimate has been
        off by on particles of different kinds.
        """
        if self.particles < _FEW:
            return None
        rng, rows = np.random.default_rng(0), list(self.picks.rows().values())
        logs = []
        for _ in range(_RESAMPLES):
            drawn = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
            number = expected_number(self.picks.score[drawn], self.is_label[drawn])
            logs.append(math.log(max(number, 1.0)))
        spread = math.hypot(float(np.std(logs)), _BETWEEN_KINDS)
        return Estimate.of(self.particles / len(self.names), spread)


def gather(  # what is looked at, how, and where
    paths: Sequence[Path],
    labels: Picks,
    settings: TrainSettings,
    device: torch.device,
    ignore: Regions,
    *,
    on_done: Callable[[], object] = lambda: None,
) -> Evidence | None:
    """Let the general model pick on some of the micrographs.

    Args:
        paths: Some of the training micrographs, as `sample` chooses.
        labels: The labels on them, named by `str(path)`.
        settings: Of the run; the number of particles is not looked at.
        device: Where to compute.
        ignore: Regions to leave out.
        on_done: Called after each micrograph.

    Returns:
        None where no micrograph can be used.
    """
    looking = PickSettings(
        diameter_ang=settings.diameter_ang,
        pixel_size_ang=settings.pixel_size_ang,
        threshold=_FLOOR,
    )
    picker = Picker.ready(load_model(GENERAL_MODEL), looking, device, paths, ignore)
    picks = _picked(picker, paths, on_done)
    if not picks.micrographs:
        return None
    own = ignore.outside(labels.restrict(picks.micrographs))
    first = Path(picks.micrographs[0])
    size_ang = settings.pixel_size_ang or raw_pixel_size(
        first, read_micrograph(first).pixel_size_ang
    )
    return Evidence(picks, own, settings.diameter_ang / size_ang)


def _picked(picker: Picker, paths: Sequence[Path], on_done: Callable[[], object]) -> Picks:
    """The picks on those micrographs that can be used; preparing the others says why not."""
    found = []
    for path in paths:
        with suppress(CryopickError):
            found.append(picker.pick(path))
        on_done()
    return concatenate(found)


def sample(paths: Sequence[Path], labels: Picks) -> list[Path]:
    """A few of the micrographs with labels and a few of the others, spread over all."""
    labelled = {name for name, rows in labels.rows().items() if len(rows)}
    chosen: list[Path] = []
    for is_labelled in (True, False):
        own = [path for path in paths if (str(path) in labelled) is is_labelled]
        chosen += [own[place] for place in evenly(len(own), _MOST)]
    return chosen


def counted(complete: Picks) -> Estimate | None:
    """Particles on a micrograph, from some of which all particles are known."""
    counts = np.bincount(complete.index, minlength=len(complete.micrographs))
    mean = float(counts.mean())
    if not mean:
        return None
    between = float(counts.std(ddof=1)) / mean if len(counts) > 1 else _BETWEEN_MICROGRAPHS
    chance = 1 / math.sqrt(mean)
    return Estimate.of(mean, max(between, chance) / math.sqrt(len(counts)))


def settled(
    settings: TrainSettings, estimate: Estimate | None, labels: int, micrographs: int
) -> TrainSettings:
    """The settings with the number of particles as given or, if it is not, as estimated.

    Args:
        settings: Of a training run.
        estimate: From evidence.
        labels: On all micrographs; a few particles more are taken to be left to find.
        micrographs: How many these are.

    Raises:
        SettingsError: The number is neither given nor estimated.
    """
    if settings.particles_per_micrograph is not None:
        return settings
    if estimate is None:
        raise SettingsError(
            "too few particles are seen on the micrographs to tell how many there are; "
            "give --particles-per-micrograph"
        )
    number = max(estimate.number, float(f"{_LEFT * labels / max(micrographs, 1):.3g}"))
    return replace(settings, particles_per_micrograph=number)


@dataclass(frozen=True, eq=False, kw_only=True)
class Known:
    """All that is known of the particles of a training run before it begins.

    Attributes:
        evidence: Of its training micrographs, if any could be used.
        complete: All particles on some micrographs that it will not learn from, named by their
            paths, where somebody has labelled them: then these tell what there is to tell.
    """

    evidence: Evidence | None
    complete: Picks | None = None

    @cached_property
    def estimate(self) -> Estimate | None:
        """Particles on a micrograph."""
        if self.complete is not None:
            return counted(self.complete)
        return self.evidence.estimate() if self.evidence else None


def calibrated(
    model: Model, known: Known, settings: TrainSettings, device: torch.device, ignore: Regions
) -> Model:
    """Make log-odds of a model's scores, without changing their order.

    Args:
        model: As training left it.
        known: Of its micrographs.
        settings: Of its training.
        device: Where to compute.
        ignore: Regions to leave out.

    Returns:
        The model with its odds, or without where there is too little to tell; the summary says
        what is known of the number of particles.
    """
    estimate = known.estimate
    expected = None if estimate is None else asdict(estimate)
    model = replace(model, summary={**model.summary, "estimated_particles": expected})
    evidence, complete = known.evidence, known.complete
    if evidence is None or (complete is None and evidence.particles < _FEW):
        return model
    names = evidence.names if complete is None else complete.micrographs
    looking = PickSettings(pixel_size_ang=settings.pixel_size_ang, threshold=-np.inf)
    order = [Path(name) for name in names]
    picker = Picker.ready(replace(model, odds=None), looking, device, order, ignore)
    picks = _picked(picker, order, lambda: None)
    within_px = _WITHIN * evidence.diameter_px
    try:
        if complete is not None:
            right = match_picks(picks, complete, within_px) >= 0
            return replace(model, odds=fit_odds(picks.score, right))
        others = match_picks(picks, evidence.labels, within_px) < 0
        line = fit_to_chances(picks.score[others], _chances(picks, evidence)[others])
        offset = shift_to(line.slope * picks.score, evidence.particles)
        return replace(model, odds=replace(line, offset=offset))
    except (SettingsError, ValueError):  # nothing that tells right from wrong
        return model


def _chances(picks: Picks, evidence: Evidence) -> Float[np.ndarray, " picks"]:
    """How likely picks of another model are particles: as the general model's nearest pick."""
    from scipy.spatial import cKDTree

    chance = np.full(len(picks), evidence.floor_chance)
    known = evidence.picks.rows()
    for name, rows in picks.rows().items():
        own = known[name]
        if len(own) and len(rows):
            gap, nearest = cKDTree(evidence.picks.xy_px[own]).query(picks.xy_px[rows])
            near = gap < _NEAR * evidence.diameter_px
            chance[rows[near]] = evidence.chance[own[nearest[near]]]
    return chance
