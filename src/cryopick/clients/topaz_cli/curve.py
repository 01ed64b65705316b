"""The training curve as clients read it: TSV, with "-" where a split has no value.

- `Curve`: the file.
- `Split`: rows of the training or test micrographs.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.evaluate.precision_recall import average_precision
from cryopick.preprocess.store import Store
from cryopick.runs.atomic_write import whole
from cryopick.train.curves import Row
from cryopick.train.validation import Judged

__all__ = ["Curve", "Split"]

_COLUMNS = ["epoch", "iter", "split", "loss", "ge_penalty", "precision", "adjusted_precision"]
_COLUMNS += ["tpr", "fpr", "auprc"]
_NONE = "-"


class Curve:
    """Rows as they come; the file, or else stdout, is complete after each."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.text: str = ""
        self.add("\t".join(_COLUMNS))

    def add(self, row: str) -> None:
        """Add a row."""
        self.text += f"{row}\n"
        if self.path is None:
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
        else:
            with whole(self.path, overwrite=True) as temporary:
                temporary.write_text(self.text, encoding="utf-8")


@dataclass(frozen=True)
class Split:
    """Micrographs of which a curve has rows.

    Attributes:
        name: train or test.
        surplus: Particles expected on them for each that is labelled: as many times as good is
            a precision that counts all but the labelled as wrong.
    """

    name: str
    surplus: float

    @classmethod
    def of(cls, name: str, store: Store, expected: float | None) -> "Split":
        """The split that a store is.

        Args:
            name: train or test.
            store: Its micrographs and labels.
            expected: Particles on a micrograph; None where only the labelled count.
        """
        return cls(name, 1.0 if expected is None else expected * len(store) / store.labelled)

    def learnt_row(self, epoch: int, row: Row) -> str:
        """What the minibatches of an epoch gave.

        The precision there is an expectation over all particles already, labelled or not.
        """
        precision = row.expected_precision
        numbers = [row.loss, row.penalty, precision / self.surplus, precision]
        numbers += [row.true_positive_rate, row.false_positive_rate]
        return _row(epoch, row.step, self.name, [*map(_spelt, numbers), _NONE])

    def judged_row(self, epoch: int, step: int, judged: Judged) -> tuple[str, float]:
        """What held-out micrographs gave, and the area under their precision-recall curve.

        All regions away from a label count as negative.
        """
        logits, positive = judged.logits.astype(np.float64), judged.is_positive
        odds = 1 / (1 + np.exp(-logits))
        signed = np.where(positive, -logits, logits)
        loss = float(np.logaddexp(0.0, signed).mean())
        right, all_ = float(odds[positive].sum()), float(odds.sum())
        precision = right / all_ if all_ else 0.0
        area = average_precision(judged.logits.astype(np.float64), positive)
        rates = [float(odds[positive].mean()), float(odds[~positive].mean())]
        values = [_spelt(loss), _NONE, *map(_spelt, [precision, precision * self.surplus, *rates])]
        return _row(epoch, step, self.name, [*values, _spelt(area)]), area


def _row(epoch: int, step: int, split: str, values: list[str]) -> str:
    return "\t".join([str(epoch), str(step), split, *values])


def _spelt(number: float) -> str:
    return repr(float(number))
