"""Judge a network on micrographs that it does not learn from, while it learns.

- `HeldOutValidator`: average precision over regions and over particles.
- `ValidationResult`: what that is reckoned from.
"""

from dataclasses import dataclass

import numpy as np
import torch

from cryopick.array_types import Bool, Float32
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.precision_recall import average_precision
from cryopick.inference.score_map import optimize_ensemble_for_inference, compute_ensemble_score_map
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import Scorer
from cryopick.pick.picker import default_step_px, find_peaks
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.prepared_store import PreparedStore, load_micrograph
from cryopick.train.settings import TrainSettings

__all__ = ["HeldOutValidator", "ValidationResult"]


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """What a network says of held-out micrographs.

    Attributes:
        logits: Of all usable regions.
        is_positive: Which of them lie within the label radius of a label.
        particle_average_precision: Of the picks that it leads to.
    """

    logits: Float32[np.ndarray, " regions"]
    is_positive: Bool[np.ndarray, " regions"]
    particle_average_precision: float


@dataclass(frozen=True)
class HeldOutValidator:
    """Held-out micrographs with their labels, which count as all there is to find.

    Attributes:
        store: The micrographs.
        diameter_px: Particle diameter in working pixels: picks are at least half of it
            apart, and belong to a label within a third of it.
        label_radius_px: Distance within which a region counts as positive.
        partner: Network that the trained one will work beside, if any.
    """

    store: PreparedStore
    diameter_px: float
    label_radius_px: float
    partner: EnsemblePartner | None = None

    @classmethod
    def of(
        cls, settings: TrainSettings, store: PreparedStore, partner: EnsemblePartner | None
    ) -> "HeldOutValidator":
        """The judge that suits a training run."""
        diameter_px = settings.diameter_ang / settings.working_size_ang
        return cls(store, diameter_px, settings.sampling.label_radius_px, partner)

    def __call__(self, scorer: Scorer) -> tuple[float, float]:
        """Average precision over regions, and over particles.

        Source: Bepler et al. 2019, Methods, classifier evaluation.
        """
        judged = self.judge(scorer)
        regions = average_precision(judged.logits, judged.is_positive)
        return regions, judged.particle_average_precision

    def judge(self, scorer: Scorer) -> "ValidationResult":
        """What a network says of all regions, and how good its picks are."""
        device = next(scorer.parameters()).device
        step = default_step_px(scorer)
        ready, partner = optimize_ensemble_for_inference(
            scorer, self.partner, torch.float32, device, step_px=step
        )
        regions, tables, truths = [], [], []
        for number in range(len(self.store)):
            micrograph = load_micrograph(self.store.folder, number)
            scores = compute_ensemble_score_map(ready, partner, micrograph.image, step_px=step)
            usable = micrograph.usable[::step, ::step]
            labels = self.store.labels_px[number]
            positive = _within(scores.logits.shape, step, labels, self.label_radius_px)
            regions.append((scores.logits[usable], positive[usable]))
            found = find_peaks(
                scores, micrograph.usable, radius=self.diameter_px / 2, threshold=-np.inf
            )
            tables.append(Picks.for_micrograph(str(number), *found))
            truths.append(Picks.for_micrograph(str(number), labels))
        judged = evaluate_picks(concatenate(tables), concatenate(truths), self.diameter_px / 3)
        logits, is_positive = (np.concatenate(column) for column in zip(*regions, strict=True))
        return ValidationResult(logits, is_positive, judged.average_precision or 0.0)


def _within(
    shape: tuple[int, int], step: int, labels_px: np.ndarray, radius_px: float
) -> Bool[np.ndarray, "rows columns"]:
    """Which places of a grid lie within the radius of a label."""
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
