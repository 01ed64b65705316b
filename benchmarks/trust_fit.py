"""Fit the constants of the distribution of scores to many sets, each excluded once.

- `Trial`: factors that are searched.
- `leave_out`: the prior for each set, fitted to the others.
- `search`: the trial whose automatic thresholds lose least F1, and the deviations between sets.
- `measure_loss`: loss of F1 by the automatic threshold on one set.
- `draw_labels`: scores of a random sample of the particles of a set.
- `true_rates`: precision and recall of a set at a threshold.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from trust_peaks import Peaks

from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.precision_recall import compute_precision_recall
from cryopick.evaluate.score_distribution import Interval, ScoreDistribution, fit_score_distribution
from cryopick.evaluate.score_prior import ScorePrior

__all__ = ["Trial", "draw_labels", "leave_out", "measure_loss", "search", "true_rates"]

FLOOR = -4.0
SCORES = np.arange(-8.0, 8.01, 0.5)  # of the template
MIN_PARTICLES = 20  # of a set, for the moments of widths
TOLERATED_LOSS = 0.06  # of F1; more counts threefold
FEW = 10  # particles of a sparse set
CLEAR_F1, CLEAR_FEW_F1 = 0.9, 0.75  # best F1 of a set, and of a few of its particles
SPARSE_WEIGHT, COUNT_WEIGHT = 0.2, 0.1  # relative to the mean loss of F1
MAX_COUNT_ERROR = 0.7  # of the logarithm; more counts no more
# Of models that were trained on labels of other micrographs. With shifts from 0.75 to 2, thresholds
# and intervals of these are the same on 14 families of sets (decision 0020).
LABEL_SHIFT, ELSEWHERE_DEVIATION = 1.0, 0.2
DEVIATIONS = ("precision_deviation", "recall_deviation", "count_deviation", "labelled_deviation")
COVERED = 0.96  # fraction of the sets that the fitted deviations cover
Z = 1.96


@dataclass(frozen=True)
class Trial:
    """Factors that the moments do not give.

    Attributes:
        bins: Relative deviation of the number of picks in a bin from the best fit.
        temper: Factor of the log-likelihood.
        shift, shift_std, stretch, stretch_std: Of the background's scores.
        mean, width, ratio, midpoint, steepness: Factors of the standard deviations between sets.
    """

    bins: float = 0.4
    temper: float = 0.5
    shift: float = -0.2
    shift_std: float = 0.25
    stretch: float = -0.06
    stretch_std: float = 0.12
    mean: float = 1.8
    width: float = 1.3
    ratio: float = 2.2
    midpoint: float = 1.3
    steepness: float = 2.3

    def vary(self, rng: np.random.Generator, amount: float) -> "Trial":
        """Change all factors at random."""
        values = asdict(self)
        for name in values:
            if name in ("shift", "stretch"):
                values[name] += float(rng.normal(0, 0.3 * amount))
            else:
                values[name] *= float(np.exp(rng.normal(0, amount)))
        values["stretch_std"] = min(values["stretch_std"], 0.25)
        values["temper"] = min(values["temper"], 1.0)
        return Trial(**values)


def moments(peaks: Peaks) -> tuple[float, ...]:
    """Mean and log-width of particles, log-ratio, midpoint and log-steepness of one set."""
    rows = peaks.score >= FLOOR
    score, is_particle = peaks.score[rows], peaks.is_particle[rows]

    def loss(line: np.ndarray) -> float:
        z = np.exp(line[1]) * (score - line[0])
        cost = np.logaddexp(0, np.where(is_particle, -z, z)).sum()
        return float(cost + 0.5 * ((line[1] - 0.8) / 0.3) ** 2)

    midpoint, log_steepness = minimize(loss, [0.0, 0.8], method="Nelder-Mead").x
    particles = np.maximum(peaks.particle_score, FLOOR)
    ratio = np.log(len(particles) / max(int((~is_particle).sum()), 1))
    median, high = np.quantile(particles, (0.5, 0.84))
    width = np.log(max(float(high - median), 0.3))
    return float(median), width, ratio, float(midpoint), float(log_steepness)


def background_density(peaks: Peaks) -> np.ndarray:
    """Density of the picks of one set that match no particle, relative to those above the floor."""
    edges = np.append(SCORES - 0.25, SCORES[-1] + 0.25)
    counts = np.histogram(peaks.score[~peaks.is_particle], edges)[0]
    return counts / max(counts[SCORES >= FLOOR].sum(), 1)


def fit_background(densities: np.ndarray) -> np.ndarray:
    """Logarithm of the mean density over sets, with a straight tail where peaks are too few."""
    density = densities.mean(axis=0)
    log_density = np.log(np.maximum(density, 1e-7))
    last = int(np.flatnonzero(density > 2e-4)[-1])
    slope = (log_density[last] - log_density[last - 4]) / 4
    steps = np.arange(len(SCORES) - last)
    log_density[last:] = np.maximum(log_density[last] + slope * steps, -14.0)
    return log_density


class Moments:
    """Moments of all sets, computed once."""

    def __init__(self, sets: Sequence[Peaks]) -> None:
        self.sets = [peaks for peaks in sets if peaks.is_complete and peaks.family != "t20s"]
        self.table = np.array([moments(peaks) for peaks in self.sets])
        self.densities = np.array([background_density(peaks) for peaks in self.sets])
        self.rich = np.array([p.n_particles >= MIN_PARTICLES for p in self.sets])
        # With labels of all particles, so that the other picks are background.
        self.has_background = np.array([peaks.is_simulated for peaks in self.sets])

    def fit_prior(self, trial: Trial, without: str = "") -> ScorePrior:
        """Fit the prior to all sets but those of a family."""
        rows = np.array([peaks.family != without for peaks in self.sets])
        mean, width, ratio, midpoint, steepness = self.table[rows].T
        rich = self.rich[rows]
        columns = np.column_stack([np.ones(len(ratio)), ratio])
        line = np.linalg.lstsq(columns[rich], midpoint[rich], rcond=None)[0]
        residual = midpoint - columns @ line
        background = fit_background(self.densities[rows & self.has_background])

        def gaussian(values: np.ndarray, factor: float, least: float) -> tuple[float, float]:
            return float(values.mean()), factor * max(float(values.std()), least)

        return ScorePrior(
            floor=FLOOR,
            background_scores=tuple(SCORES.tolist()),
            background_log_density=tuple(background.round(4).tolist()),
            shift=(trial.shift, trial.shift_std),
            log_stretch=(trial.stretch, trial.stretch_std),
            mean=gaussian(mean, trial.mean, 0.5),
            log_width=gaussian(width[rich], trial.width, 0.2),
            log_ratio=gaussian(ratio, trial.ratio, 0.5),
            midpoint=(float(line[0]), trial.midpoint * float(residual.std())),
            midpoint_by_ratio=float(line[1]),
            log_steepness=gaussian(steepness, trial.steepness, 0.2),
            bin_deviation=trial.bins,
            temper=trial.temper,
            effective_labels=60.0,
            precision_deviation=0.0,
            recall_deviation=0.0,
            count_deviation=0.0,
            labelled_deviation=0.0,
            elsewhere_deviation=ELSEWHERE_DEVIATION,
            label_shift=LABEL_SHIFT,
        )


@cache
def _cached_moments(sets: tuple[Peaks, ...]) -> Moments:
    return Moments(sets)


def _moments(sets: Sequence[Peaks]) -> Moments:
    return _cached_moments(tuple(sets))


def leave_out(sets: Sequence[Peaks], trial: Trial) -> dict[str, ScorePrior]:
    """Fit the prior for each set to the others, without variants of it."""
    known = _moments(sets)
    families = dict.fromkeys(peaks.family for peaks in sets)
    return {family: known.fit_prior(trial, family) for family in families}


def measure_loss(peaks: Peaks, threshold: float) -> float:
    """Best F1 minus F1 at a threshold."""
    curve = compute_precision_recall(peaks.score, peaks.is_particle, peaks.n_particles)
    f1 = curve.at_threshold(threshold).f1
    return curve.f1.max() - (f1 if f1 == f1 else 0.0)


def draw_labels(peaks: Peaks, number: int, draw: int) -> LabelSample | None:
    """Scores of a random sample of the particles; None without labels."""
    if not number:
        return None
    rng = np.random.default_rng([draw, peaks.n_particles])
    number = min(number, peaks.n_particles)
    return LabelSample.complete(rng.choice(peaks.particle_score, number, replace=False))


def thin(peaks: Peaks, number: int = FEW, seed: int = 0) -> Peaks | None:
    """Leave a few random particles of a set among its background; None for a set with as few."""
    if peaks.n_particles <= 2 * number:
        return None
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(peaks.n_particles, number, replace=False))
    renumbered = np.full(peaks.n_particles, -2)
    renumbered[kept] = np.arange(number)
    particle = np.where(peaks.is_particle, renumbered[peaks.particle], -1)
    rows = particle > -2
    return replace(
        peaks,
        name=f"{peaks.name}:few",
        score=peaks.score[rows],
        micrograph=peaks.micrograph[rows],
        xy_px=peaks.xy_px[rows],
        particle=particle[rows],
        particle_xy_px=peaks.particle_xy_px[kept],
        particle_micrograph=peaks.particle_micrograph[kept],
        ice_frac=peaks.ice_frac[kept],
    )


def list_sparse(sets: Sequence[Peaks]) -> list[Peaks]:
    """List sets with a few clear particles among the background of simulated sets."""
    simulated = [peaks for peaks in sets if peaks.is_simulated and best_f1(peaks) > CLEAR_F1]
    thinned = [few for peaks in simulated if (few := thin(peaks)) is not None]
    return [few for few in thinned if best_f1(few) > CLEAR_FEW_F1]


def best_f1(peaks: Peaks) -> float:
    """Best F1 of a set at any threshold."""
    curve = compute_precision_recall(peaks.score, peaks.is_particle, peaks.n_particles)
    return float(curve.f1.max())


@dataclass(frozen=True)
class Outcome:
    """Losses of F1 and errors of the count of each set, with priors of the others."""

    loss: np.ndarray
    sparse_loss: np.ndarray
    count_error: np.ndarray

    @property
    def cost(self) -> float:
        """Weighted sum, which the search minimizes."""
        excess = np.maximum(self.loss - TOLERATED_LOSS, 0).mean()
        sparse = self.sparse_loss.mean() if len(self.sparse_loss) else 0.0
        error = np.minimum(np.abs(self.count_error), MAX_COUNT_ERROR).mean()
        return float(self.loss.mean() + 2 * excess + SPARSE_WEIGHT * sparse + COUNT_WEIGHT * error)

    def __str__(self) -> str:
        return (
            f"loss of F1 {self.loss.mean():.4f}, at most {self.loss.max():.3f}, "
            f"{(self.loss > 0.08).sum()} of {len(self.loss)} above 0.08; of sparse sets "
            f"{self.sparse_loss.mean():.4f}; deviation of the count "
            f"{np.sqrt(np.square(self.count_error).mean()):.3f}"
        )


def evaluate_trial(judged: Sequence[Peaks], sparse: Sequence[Peaks], trial: Trial) -> Outcome:
    """Measure a trial on each set, with the prior that was fitted without it."""
    priors = leave_out(judged, trial)

    def fit(peaks: Peaks) -> ScoreDistribution:
        return fit_score_distribution(peaks.score, prior=priors[peaks.family])

    fits = [fit(peaks) for peaks in judged]
    pairs = list(zip(judged, fits, strict=True))
    return Outcome(
        loss=np.array([measure_loss(p, one.best_threshold) for p, one in pairs]),
        sparse_loss=np.array([measure_loss(p, fit(p).best_threshold) for p in sparse]),
        count_error=np.array(
            [np.log(one.count.value / p.n_particles) for p, one in pairs if p.is_simulated]
        ),
    )


def search(
    sets: Sequence[Peaks], trials: int, start: Trial, path: Path, seed: int = 0
) -> tuple[ScorePrior, Trial]:
    """Search the factors, then fit the deviations that make 95 % intervals cover.

    Args:
        sets: All sets.
        trials: Number of trials.
        start: Factors to begin with.
        path: File for the best factors so far.
        seed: Seed of the trials.

    Returns:
        The prior, fitted to all sets, and the factors.
    """
    judged = [peaks for peaks in sets if peaks.n_particles]
    sparse = list_sparse(judged)
    rng = np.random.default_rng(seed)
    best, lowest = start, np.inf
    for number in range(trials):
        amount = 0.0 if not number else float(rng.choice([0.1, 0.25, 0.5]))
        trial = best.vary(rng, amount) if number else best
        outcome = evaluate_trial(judged, sparse, trial)
        if outcome.cost < lowest:
            best, lowest = trial, outcome.cost
            path.write_text(json.dumps(asdict(best), indent=1) + "\n")
            print(f"trial {number}: {outcome}", flush=True)
    print(best)
    deviations = fit_deviations(judged, leave_out(judged, best))
    return replace(_moments(judged).fit_prior(best), **deviations), best


def fit_deviations(
    evaluated: Sequence[Peaks], priors: dict[str, ScorePrior], without: str = ""
) -> dict[str, float]:
    """Fit the deviations between sets to the errors of each set when it was excluded.

    Args:
        evaluated: Sets with particles.
        priors: Prior for each set, fitted to the others.
        without: Family of sets that is skipped.
    """
    errors: dict[str, list[float]] = {name: [] for name in DEVIATIONS}
    for peaks in evaluated:
        if peaks.is_complete and peaks.family != without:
            for name, error in measure_errors(peaks, priors[peaks.family]):
                errors[name].append(error)
    return {name: round(float(np.quantile(values, COVERED)), 3) for name, values in errors.items()}


@cache
def measure_errors(peaks: Peaks, prior: ScorePrior) -> list[tuple[str, float]]:
    """Deviations that make the intervals of one set cover the truth, with and without labels."""
    errors = []
    for n_labels, draw in ((0, 0), (15, 0), (25, 1)):
        if n_labels and peaks.n_particles < MIN_PARTICLES:
            continue
        fit = fit_score_distribution(peaks.score, draw_labels(peaks, n_labels, draw), prior)
        at = fit.best_threshold
        precision, recall = true_rates(peaks, at)
        kind = "labelled_deviation" if n_labels else "count_deviation"
        errors.append((kind, required(np.log, fit.count, peaks.n_particles)))
        promised = fit.estimate_precision(at)
        errors.append(("precision_deviation", required(logit, promised, precision)))
        if not n_labels:
            error = required(logit, fit.estimate_recall(at), recall)
            errors.append(("recall_deviation", error))
    return errors


def true_rates(peaks: Peaks, threshold: float) -> tuple[float, float]:
    """Precision and recall of a set at a threshold."""
    curve = compute_precision_recall(peaks.score, peaks.is_particle, peaks.n_particles)
    point = curve.at_threshold(threshold)
    return point.precision, point.recall


def logit(fraction: float) -> float:
    """Logit of a fraction, finite for 0 and 1."""
    fraction = min(max(fraction, 0.005), 0.995)
    return float(np.log(fraction / (1 - fraction)))


def required(scale: Callable[[float], float], interval: Interval, truth: float) -> float:
    """Smallest deviation that makes an interval cover the truth."""
    ends = (interval.value, interval.low, interval.high, truth)
    value, low, high, true = (scale(number) for number in ends)
    gap = value - low if true < value else high - value
    return float(np.sqrt(max((true - value) ** 2 - gap**2, 0.0)) / Z)
