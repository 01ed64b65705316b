"""Suggest candidates on many micrographs, with results kept for resuming.

- `CandidateBatch`: a model and the labels so far, for many micrographs.
- `compute_candidate_features`: the candidates of one micrograph.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cryopick.active.acquisition import (
    CandidateFeatures,
    rank_micrographs,
    suggest_candidates,
)
from cryopick.active.settings import SuggestSettings
from cryopick.active.uncertainty import (
    limit_candidates,
    preselect_candidates,
    solve_count_shift,
)
from cryopick.array_types import Float
from cryopick.config import to_toml
from cryopick.evaluate.matching import is_near
from cryopick.inference.test_time_views import score_test_time_views
from cryopick.pick.batch import PickBatch
from cryopick.pick.picker import Picker
from cryopick.picks import Picks, concatenate
from cryopick.runs.ledger import Ledger

__all__ = ["CandidateBatch", "compute_candidate_features"]


@dataclass(frozen=True, kw_only=True)
class CandidateBatch:
    """A model and the labels so far, for many micrographs.

    Attributes:
        picking: The model and the pick settings.
        settings: Number of candidates, and expected number of particles.
        labels: Labels so far, on micrographs named by `str(path)`.
        suggested: Earlier suggestions, named likewise; they may include labelled ones.
    """

    picking: PickBatch
    settings: SuggestSettings
    labels: Picks
    suggested: Picks

    def describe(self) -> str:
        """Return the settings of picking and suggesting as TOML, with the model in a comment."""
        return f"{self.picking.describe()}\n[suggest]\n{to_toml(self.settings)}"

    def open_ledger(self, output: Path) -> Ledger:
        """Return the ledger that keeps results until `output` is complete."""
        return self.picking.open_ledger(output, "suggest")

    def estimate_shift(self, picks: Sequence[Picks]) -> float:
        """Estimate the shift that calibrates the model's logits.

        Without an expected number of particles, the shift is 0.

        Args:
            picks: The picks of each micrograph.
        """
        trained = self.picking.picker.model.summary.get("settings", {})
        expected = self.settings.particles_per_micrograph or trained.get("particles_per_micrograph")
        scores = concatenate(picks).score
        return solve_count_shift(scores, float(expected) * len(picks)) if expected else 0.0

    def compute_features(
        self, path: Path, picks: Picks, shift: float, ledger: Ledger, micrographs: int
    ) -> CandidateFeatures:
        """Compute the candidates of a micrograph, or read them from the ledger.

        Args:
            path: The micrograph.
            picks: Picks on it alone, by descending score.
            shift: Shift of the logits, from `estimate_shift`.
            ledger: Ledger that keeps results.
            micrographs: Number of micrographs in all.
        """
        labelled = concatenate([self.labels, self.suggested]).restrict([str(path)]).xy_px
        number = limit_candidates(self.settings.count, micrographs)

        def compute() -> dict[str, np.ndarray]:
            candidates = asdict(
                compute_candidate_features(
                    self.picking.picker, path, picks, labelled, shift, number
                )
            )
            return {name: value for name, value in candidates.items() if name != "name"}

        key = f"candidates {shift} {number} {_digest(picks.xy_px)} {_digest(labelled)}"
        return CandidateFeatures(name=str(path), **ledger.compute_once(key, compute, reads=path))

    def choose(
        self, micrographs: Sequence[CandidateFeatures], shift: float
    ) -> tuple[list[str], Picks]:
        """Rank all micrographs, and choose candidates on the first ones.

        Returns:
            The names of the micrographs in the order in which to label them, and the candidates
            of `suggest_candidates`.
        """
        labels = len(self.labels)
        order = [
            micrographs[index]
            for index in rank_micrographs(micrographs, shift=shift, labels=labels)
        ]
        chosen_names = {m.name for m in order[: self.settings.micrographs]}
        chosen = [m for m in micrographs if m.name in chosen_names]
        candidates = suggest_candidates(chosen, self.settings.count, shift=shift, labels=labels)
        return [m.name for m in order], candidates


def compute_candidate_features(
    picker: Picker,
    path: Path,
    picks: Picks,
    labelled_xy_px: Float[np.ndarray, "labelled 2"],
    shift: float,
    number: int,
) -> CandidateFeatures:
    """Choose candidates on a micrograph, and compute scores and features there.

    Args:
        picker: Picker with the model.
        path: The micrograph.
        picks: Picks on it alone, by descending score.
        labelled_xy_px: Positions (x, y) labelled or suggested before. Picks within the minimum
            distance of one are no candidates. Positions outside the micrograph are moved to its
            border.
        shift: Shift of the logits, from `solve_count_shift`.
        number: Maximum number of candidates.

    Raises:
        MicrographError: The file cannot be used, or its pixel size is unknown.
    """
    prepared, pixel_size_ang = picker.prepare(path)
    radius_ang = picker.settings.radius_ang or picker.diameter_ang / 2
    new = picks.select(~is_near(picks.xy_px, labelled_xy_px, radius_ang / pixel_size_ang))
    candidates = new.select(preselect_candidates(new.score + shift, number))
    last = np.array(prepared.image.shape[::-1]) - 1
    xy = prepared.from_raw(np.concatenate([candidates.xy_px, labelled_xy_px]))
    scorer = picker.model.scorer.to(str(picker.device))
    logits, features = score_test_time_views(scorer, prepared.image, np.clip(xy, 0, last))
    count = len(candidates)
    return CandidateFeatures(
        name=str(path),
        xy_px=candidates.xy_px,
        score=candidates.score,
        logits=logits[:count],
        features=features[:count],
        labelled=features[count:],
    )


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
