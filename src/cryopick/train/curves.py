"""Training curves: one row for each checkpoint.

- `StepMetrics`: metrics of a minibatch, as tensors, so that no step waits for the device.
- `CurveRow`: means between two checkpoints.
- `TrainingCurves`: the table of all rows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields

import torch
from torch import Tensor

__all__ = ["CurveRow", "StepMetrics", "TrainingCurves"]


@dataclass(frozen=True)
class StepMetrics:
    """Metrics of one minibatch.

    Attributes:
        loss: Value of the objective.
        penalty: Its term for unlabelled regions, without weight.
        positive_rate: Mean prediction over labelled regions.
        unlabelled_rate: Mean prediction over unlabelled regions.
        prior: π, the fraction of positives among unlabelled regions.
    """

    loss: Tensor
    penalty: Tensor
    positive_rate: Tensor
    unlabelled_rate: Tensor
    prior: float


@dataclass(frozen=True, kw_only=True)
class CurveRow:
    """Means over the minibatches since the previous row, and the held-out results.

    The rates are expectations under the classifier's own predictions g, with the labelled
    regions representing all positives: the true positive rate is E_P[g]; the false positive
    rate f solves E_U[g] = π E_P[g] + (1 - π) f, floored at 0; the precision is
    π E_P[g] / (π E_P[g] + (1 - π) f).

    Attributes:
        step: Number of completed steps.
        loss: Value of the objective.
        penalty: Its term for unlabelled regions, without weight.
        expected_precision: Expected precision, as above.
        true_positive_rate: Expected true positive rate.
        false_positive_rate: Expected false positive rate.
        region_average_precision: Average precision of held-out regions; None without any.
        particle_average_precision: Average precision of held-out particles; None without any.
    """

    step: int
    loss: float
    penalty: float
    expected_precision: float
    true_positive_rate: float
    false_positive_rate: float
    region_average_precision: float | None = None
    particle_average_precision: float | None = None

    @classmethod
    def from_steps(
        cls, step: int, metrics: Sequence[StepMetrics], scores: tuple[float, float] | None
    ) -> "CurveRow":
        """Average the metrics of minibatches.

        Args:
            step: Number of the last minibatch.
            metrics: Metrics of each minibatch.
            scores: Average precision of held-out regions and of held-out particles, if any.
        """
        prior = metrics[0].prior
        columns = ("loss", "penalty", "positive_rate", "unlabelled_rate")
        table = torch.stack(
            [torch.stack([getattr(s, c).float() for c in columns]) for s in metrics]
        )
        loss, penalty, positive, unlabelled = table.double().mean(dim=0).tolist()
        false = max(0.0, (unlabelled - prior * positive) / (1 - prior))
        predicted = prior * positive + (1 - prior) * false
        region, particle = scores if scores else (None, None)
        return cls(
            step=step,
            loss=loss,
            penalty=penalty,
            expected_precision=prior * positive / predicted if predicted else 0.0,
            true_positive_rate=positive,
            false_positive_rate=false,
            region_average_precision=region,
            particle_average_precision=particle,
        )


@dataclass
class TrainingCurves:
    """Rows of the training curves, in the order of their steps."""

    rows: list[CurveRow] = field(default_factory=list)

    def to_tsv(self) -> str:
        """Write the table as tab-separated text with a header; "-" means no value.

        >>> print(TrainingCurves().to_tsv().split()[:2])
        ['step', 'loss']
        """
        names = [column.name for column in fields(CurveRow)]
        lines = ["\t".join(names)]
        for row in self.rows:
            values = asdict(row).values()
            lines.append("\t".join(_format_value(value) for value in values))
        return "\n".join(lines) + "\n"


def _format_value(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"
