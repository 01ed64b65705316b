"""Scores of labels that their model did not learn from, as a sample of the particles.

- `LabelSample`: the scores, and how well the labels stand for the particles on other micrographs.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.io.names import micrograph_stem
from cryopick.runs.metadata import RunMetadata

__all__ = ["LabelSample"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelSample:
    """Scores of left-out labels.

    Particles score higher or lower from micrograph to micrograph, with defocus and ice. Labels of
    a few micrographs therefore tell less about the others, and least if these are not picked.

    Attributes:
        score: Scores; minus infinity for a label without a pick.
        is_picked: All micrographs of the labels are among those that were picked, so that the
            labels are a sample of the particles there.
        labelled_frac: Fraction of the picked micrographs with labels.
    """

    score: Float[np.ndarray, " labels"]
    is_picked: bool
    labelled_frac: float

    @classmethod
    def create(
        cls, score: Sequence[float], labelled: Collection[str], picked: Collection[str]
    ) -> "LabelSample | None":
        """Compare the micrographs of labels with those that were picked; None without labels.

        Args:
            score: Scores of the labels.
            labelled: Names of their micrographs; empty if unknown.
            picked: Names of the micrographs that were picked.
        """
        values = np.array(score, np.float64)
        if not len(values) or np.isnan(values).any():
            return None
        stems = {micrograph_stem(name) for name in labelled}
        picked_stems = {micrograph_stem(name) for name in picked}
        return cls(
            score=values,
            is_picked=bool(stems) and stems <= picked_stems,
            labelled_frac=len(stems & picked_stems) / max(len(picked_stems), 1),
        )

    @classmethod
    def from_metadata(cls, metadata: RunMetadata) -> "LabelSample | None":
        """Compare the labels of the model with the micrographs of a run; None without labels."""
        return cls.create(metadata.label_scores, metadata.label_micrographs, metadata.micrographs)

    @classmethod
    def complete(cls, score: Float[np.ndarray, " labels"]) -> "LabelSample":
        """Create a random sample of the particles on all picked micrographs."""
        return cls(score=score, is_picked=True, labelled_frac=1.0)

    def compute_shift(self, deviation: float) -> float:
        """Compute the standard deviation of the shift of the labels' scores from the particles'.

        Args:
            deviation: That of labels on other micrographs.
        """
        return deviation * math.sqrt(1 - self.labelled_frac)
