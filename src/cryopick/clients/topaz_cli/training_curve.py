"""Training curve in the form that clients read: TSV, with "-" for missing values.

- `Curve`: the file.
- `CurveSplit`: rows of the training or test micrographs.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.evaluate.precision_recall import average_precision
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.runs.atomic_write import atomic_write
from cryopick.train.curves import CurveRow
from cryopick.train.validation import ValidationResult

__all__ = ["Curve", "CurveSplit"]

_COLUMNS = ["epoch", "iter", "split", "loss", "ge_penalty", "precision", "adjusted_precision"]
_COLUMNS += ["tpr", "fpr", "auprc"]
_NONE = "-"


class Curve:
    """Curve with a row for each iteration, written to a file after each epoch, or to stdout."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: list[str] = []
        self.add("\t".join(_COLUMNS))
        self.write()

    def add(self, row: str) -> None:
        """Add a row."""
        self.rows.append(row)
        if self.path is None:
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()

    def write(self) -> None:
        """Write the rows up to now, if the curve goes to a file."""
        if self.path is not None:
            with atomic_write(self.path, overwrite=True) as temporary:
                temporary.write_text("\n".join([*self.rows, ""]), encoding="utf-8")


@dataclass(frozen=True)
class CurveSplit:
    """Training or test micrographs.

    Attributes:
        name: train or test.
        surplus: Expected particles per labelled particle, by which a precision that counts
            unlabelled particles as false is corrected.
    """

    name: str
    surplus: float

    @classmethod
    def create(cls, name: str, store: PreparedStore, expected: float | None) -> "CurveSplit":
        """Create a split.

        Args:
            name: train or test.
            store: Its micrographs and labels.
            expected: Expected particles per micrograph; None counts the labelled ones only.
        """
        return cls(name, 1.0 if expected is None else expected * len(store) / store.label_count)

    def format_training_row(self, epoch: int, row: CurveRow) -> str:
        """Format the metrics of the minibatches of an epoch.

        Their precision already counts all expected particles, labelled or not.
        """
        precision = row.expected_precision
        numbers = [row.loss, row.penalty, precision / self.surplus, precision]
        numbers += [row.true_positive_rate, row.false_positive_rate]
        return _row(epoch, row.step, self.name, [*map(_format_number, numbers), _NONE])

    def format_test_row(self, epoch: int, step: int, result: ValidationResult) -> tuple[str, float]:
        """Format the metrics on test micrographs, and compute the area under the curve.

        All regions away from a label count as negative.
        """
        logits, positive = result.logits.astype(np.float64), result.is_positive
        probability = 1 / (1 + np.exp(-logits))
        signed = np.where(positive, -logits, logits)
        loss = float(np.logaddexp(0.0, signed).mean())
        true_sum, total = float(probability[positive].sum()), float(probability.sum())
        precision = true_sum / total if total else 0.0
        area = average_precision(result.logits.astype(np.float64), positive)
        rates = [float(probability[positive].mean()), float(probability[~positive].mean())]
        values = [
            _format_number(loss),
            _NONE,
            *map(_format_number, [precision, precision * self.surplus, *rates]),
        ]
        return _row(epoch, step, self.name, [*values, _format_number(area)]), area


def _row(epoch: int, step: int, split: str, values: list[str]) -> str:
    return "\t".join([str(epoch), str(step), split, *values])


def _format_number(number: float) -> str:
    return repr(float(number))
