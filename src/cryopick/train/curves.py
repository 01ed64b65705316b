"""What a run records on the way: one row for each checkpoint.

- `Step`: what a minibatch gave, as tensors, so that no step waits for the device.
- `Row`, `Curves`: means between checkpoints, and the table of them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields

import torch
from torch import Tensor

__all__ = ["Curves", "Row", "Step"]


@dataclass(frozen=True)
class Step:
    """What one minibatch gave.

    Attributes:
        loss: The whole objective.
        penalty: Its term for unlabelled regions, unweighted.
        positive_rate: Mean prediction over labelled regions.
        unlabelled_rate: Mean prediction over unlabelled regions.
        prior: π, the share of positives among unlabelled regions.
    """

    loss: Tensor
    penalty: Tensor
    positive_rate: Tensor
    unlabelled_rate: Tensor
    prior: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """Means over the minibatches since the row before, and the held-out results.

    The rates are expectations under the classifier's own predictions g, with the labelled
    regions standing for all positives: the true positive rate is E_P[g]; the false positive
    rate f solves E_U[g] = π E_P[g] + (1 - π) f, floored at 0; the precision is
    π E_P[g] / (π E_P[g] + (1 - π) f).

    Attributes:
        step: Minibatches learnt from so far.
        loss: The objective.
        penalty: Its term for unlabelled regions, unweighted.
        expected_precision: See above; likewise the two rates.
        true_positive_rate: Of labelled regions.
        false_positive_rate: Of unlabelled regions that are not positive.
        region_average_precision: On held-out micrographs; None without any.
        particle_average_precision: On held-out micrographs; None without any.
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
    def of(cls, step: int, steps: Sequence[Step], scores: tuple[float, float] | None) -> "Row":
        """Summarise minibatches, the last of which is number `step`."""
        prior = steps[0].prior
        columns = ("loss", "penalty", "positive_rate", "unlabelled_rate")
        table = torch.stack([torch.stack([getattr(s, c).float() for c in columns]) for s in steps])
        loss, penalty, positive, unlabelled = table.double().mean(dim=0).tolist()
        false = max(0.0, (unlabelled - prior * positive) / (1 - prior))
        kept = prior * positive + (1 - prior) * false
        region, particle = scores if scores else (None, None)
        return cls(
            step=step,
            loss=loss,
            penalty=penalty,
            expected_precision=prior * positive / kept if kept else 0.0,
            true_positive_rate=positive,
            false_positive_rate=false,
            region_average_precision=region,
            particle_average_precision=particle,
        )


@dataclass
class Curves:
    """Rows in the order of their steps."""

    rows: list[Row] = field(default_factory=list)

    def to_tsv(self) -> str:
        """The table as tab-separated text with a header; "-" stands for no value.

        >>> print(Curves().to_tsv().split()[:2])
        ['step', 'loss']
        """
        names = [column.name for column in fields(Row)]
        lines = ["\t".join(names)]
        for row in self.rows:
            values = asdict(row).values()
            lines.append("\t".join(_spelt(value) for value in values))
        return "\n".join(lines) + "\n"


def _spelt(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"
