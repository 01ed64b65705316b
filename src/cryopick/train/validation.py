"""Judge a network on micrographs that it does not learn from, while it learns.

- `HeldOutMicrographs`: average precision over regions and over particles.
- `Judged`: what that is reckoned from.
"""

from dataclasses import dataclass

import numpy as np
import torch

from cryopick.array_types import Bool, Float32
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.precision_recall import average_precision
from cryopick.inference.score_map import folded_both, guided_map
from cryopick.model.ensemble import Guide
from cryopick.model.networks import Scorer
from cryopick.pick.picker import default_step, locate
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.store import Store, load_micrograph
from cryopick.train.settings import TrainSettings

__all__ = ["HeldOutMicrographs", "Judged"]


@dataclass(frozen=True, eq=False)
class Judged:
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
class HeldOutMicrographs:
    """Held-out micrographs with their labels, which count as all there is to find.

    Attributes:
        store: The micrographs.
        diameter_px: Particle diameter in working pixels: picks are at least half of it
            apart, and belong to a label within a third of it.
        label_radius_px: Distance within which a region counts as positive.
        guide: Network that the trained one will work beside, if any.
    """

    store: Store
    diameter_px: float
    label_radius_px: float
    guide: Guide | None = None

    @classmethod
    def of(cls, settings: TrainSettings, store: Store, guide: Guide | None) -> "HeldOutMicrographs":
        """The judge that suits a training run."""
        diameter_px = settings.diameter_ang / settings.working_size_ang
        return cls(store, diameter_px, settings.sampling.label_radius_px, guide)

    def __call__(self, scorer: Scorer) -> tuple[float, float]:
        """Average precision over regions, and over particles.

        Source: Bepler et al. 2019, Methods, classifier evaluation.
        """
        judged = self.judge(scorer)
        regions = average_precision(judged.logits, judged.is_positive)
        return regions, judged.particle_average_precision

    def judge(self, scorer: Scorer) -> "Judged":
        """What a network says of all regions, and how good its picks are."""
        device = next(scorer.parameters()).device
        step = default_step(scorer)
        ready, guide = folded_both(scorer, self.guide, torch.float32, device, step_px=step)
        regions, tables, truths = [], [], []
        for number in range(len(self.store)):
            micrograph = load_micrograph(self.store.folder, number)
            scores = guided_map(ready, guide, micrograph.image, step_px=step)
            usable = micrograph.usable[::step, ::step]
            labels = self.store.labels_px[number]
            positive = _within(scores.logits.shape, step, labels, self.label_radius_px)
            regions.append((scores.logits[usable], positive[usable]))
            found = locate(
                scores, micrograph.usable, radius=self.diameter_px / 2, threshold=-np.inf
            )
            tables.append(Picks.on(str(number), *found))
            truths.append(Picks.on(str(number), labels))
        judged = evaluate_picks(concatenate(tables), concatenate(truths), self.diameter_px / 3)
        logits, is_positive = (np.concatenate(column) for column in zip(*regions, strict=True))
        return Judged(logits, is_positive, judged.average_precision or 0.0)


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
