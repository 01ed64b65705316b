"""Evaluate a network on held-out micrographs during training.

- `HeldOutValidator`: average precision of regions and of particles.
- `ValidationResult`: the scores behind them.
- `mark_positive_regions`: regions near a label.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float32
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.precision_recall import average_precision
from cryopick.inference.engine import optimize_ensemble
from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import Scorer, extract_network
from cryopick.pick.elongated import filter_if_elongated
from cryopick.pick.picker import default_step_px, find_peaks
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.prepared_store import PreparedStore, load_micrograph
from cryopick.train.settings import TrainSettings

__all__ = ["HeldOutValidator", "ValidationResult", "mark_positive_regions"]


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """Scores of a network on held-out micrographs.

    Attributes:
        logits: Scores of all usable regions.
        is_positive: Regions within the label radius of a label.
        particle_average_precision: Average precision of the picks.
    """

    logits: Float32[np.ndarray, " regions"]
    is_positive: Bool[np.ndarray, " regions"]
    particle_average_precision: float


@dataclass(frozen=True)
class HeldOutValidator:
    """Held-out micrographs whose labels count as complete.

    Attributes:
        store: The prepared micrographs.
        diameter_px: Particle diameter in working pixels. Picks are at least half of it apart, and
            match a label within a third of it.
        label_radius_px: Distance from a label within which a region counts as positive.
        partner: Ensemble partner of the network, if any.
        sides_px: Length and width of particles that are elongated.
    """

    store: PreparedStore
    diameter_px: float
    label_radius_px: float
    partner: EnsemblePartner | None = None
    sides_px: tuple[float, float] | None = None

    @classmethod
    def for_training(
        cls, settings: TrainSettings, store: PreparedStore, partner: EnsemblePartner | None
    ) -> "HeldOutValidator":
        """Create a validator with the scale and label radius of a training."""
        diameter_px = settings.diameter_ang / settings.working_size_ang
        label_radius_px = settings.sampling.label_radius_px
        return cls(store, diameter_px, label_radius_px, partner, settings.sides_px)

    def __call__(self, scorer: Scorer) -> tuple[float, float]:
        """Return the average precision of regions and that of particles.

        Source: Bepler et al. 2019, Methods, classifier evaluation.
        """
        result = self.evaluate(scorer)
        regions = average_precision(result.logits, result.is_positive)
        return regions, result.particle_average_precision

    def evaluate(self, scorer: Scorer) -> "ValidationResult":
        """Score all regions of the held-out micrographs, and evaluate the picks."""
        device = next(scorer.parameters()).device
        network = extract_network(scorer)
        step = default_step_px(network.stride_px)
        ensemble = optimize_ensemble(network, self.partner, "float32", device, step_px=step)
        regions, pick_tables, label_tables = [], [], []
        for number in range(len(self.store)):
            micrograph = load_micrograph(self.store.folder, number)
            scores = compute_ensemble_score_map(ensemble, micrograph.image)
            scores = filter_if_elongated(scores, self.sides_px)
            usable = micrograph.usable[::step, ::step]
            labels_px = self.store.labels_px[number]
            is_positive = mark_positive_regions(
                scores.logits.shape, step, labels_px, self.label_radius_px
            )
            regions.append((scores.logits[usable], is_positive[usable]))
            peaks = find_peaks(
                scores, micrograph.usable, radius=self.diameter_px / 2, threshold=-np.inf
            )
            pick_tables.append(Picks.for_micrograph(str(number), *peaks))
            label_tables.append(Picks.for_micrograph(str(number), labels_px))
        evaluation = evaluate_picks(
            concatenate(pick_tables), concatenate(label_tables), self.diameter_px / 3
        )
        logits, is_positive = (np.concatenate(column) for column in zip(*regions, strict=True))
        return ValidationResult(logits, is_positive, evaluation.average_precision or 0.0)


def mark_positive_regions(
    shape: tuple[int, int], step: int, labels_px: np.ndarray, radius_px: float
) -> Bool[np.ndarray, "rows columns"]:
    """Mark the points of a grid within the radius of a label."""
    positive = np.zeros(shape, bool)
    for x, y in labels_px:
        rows, columns = (
            slice(max(0, int((c - radius_px) // step)), max(0, int((c + radius_px) // step) + 2))
            for c in (y, x)
        )
        grid_y, grid_x = np.mgrid[rows, columns] * step
        near = np.square(grid_y - y) + np.square(grid_x - x) <= radius_px**2
        part = positive[rows, columns]
        part |= near[: part.shape[0], : part.shape[1]]
    return positive
