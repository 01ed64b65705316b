"""Choose the expected number of particles by cross-validation on labelled micrographs.

The labelled micrographs are divided into folds. For each candidate number, and so each prior π, a
network is trained without each fold in turn and evaluated on the labels of that fold. Labels are
incomplete, so the average precision is a lower bound; it still ranks the candidates.

- `CrossValidation`: the folds and candidates, with results in a folder.
- `CandidateScore`: result of one candidate.
- `choose_candidate`: the candidate to use.

Source: Bepler et al. 2019, Nat. Methods 16:1153, Discussion (π by cross-validation).
"""

import hashlib
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cryopick.errors import CryopickError, SettingsError
from cryopick.model.torch_device import require_torch_device
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_text
from cryopick.train.ensemble_training import train_ensemble
from cryopick.train.initialization import load_initialization
from cryopick.train.labels import LabelledMicrographs
from cryopick.train.settings import TrainSettings
from cryopick.train.training_run import TrainingRun
from cryopick.train.validation import HeldOutValidator

__all__ = ["CandidateScore", "CrossValidation", "choose_candidate"]


@dataclass(frozen=True, kw_only=True)
class CandidateScore:
    """Result of one candidate.

    Attributes:
        particles_per_micrograph: The candidate.
        prior: Mean class prior π of its trainings.
        average_precisions: Average precision on the labels of each fold.
    """

    particles_per_micrograph: float
    prior: float
    average_precisions: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return statistics.mean(self.average_precisions)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for one fold."""
        count = len(self.average_precisions)
        if count < 2:
            return math.nan
        return statistics.stdev(self.average_precisions) / math.sqrt(count)


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Folds and candidates of a cross-validation.

    Attributes:
        folder: Folder of the results; finished trainings in it are not repeated.
        data: Micrographs with labels; those without labels are not used.
        settings: Settings of the trainings, except for the number of particles.
        candidates: Expected numbers of particles per micrograph.
        folds: Number of folds.
    """

    folder: Path
    data: LabelledMicrographs
    settings: TrainSettings
    candidates: Sequence[float]
    folds: int

    def run(
        self, on_micrograph: Callable[[Path, CryopickError | None], None]
    ) -> Iterator[tuple[float, int, float, float]]:
        """Train and evaluate, and yield candidate, fold, average precision and π of each training.

        Args:
            on_micrograph: Called for each prepared micrograph, with the error if it is skipped.

        Raises:
            SettingsError: There are fewer labelled micrographs than folds, or a candidate
                contradicts the labels.
        """
        model = self.folder / "fold.safetensors"  # is not written
        run = TrainingRun(model=model, settings=self.settings, training=self.data)
        store = run.prepare(on_micrograph).training.store
        labelled = [number for number, xy in enumerate(store.labels_px) if len(xy)]
        if len(labelled) < self.folds:
            raise SettingsError(
                f"{self.folds} folds need at least as many labelled micrographs; only "
                f"{len(labelled)} have labels; lower --folds or label others"
            )
        order = np.random.default_rng(self.settings.seed).permutation(labelled)
        for fold in range(self.folds):
            held_out, training = (
                order[fold :: self.folds],
                np.delete(order, np.s_[fold :: self.folds]),
            )
            for candidate in self.candidates:
                result = self._evaluate(store, candidate, training, held_out)
                yield (candidate, fold, *result)

    def _evaluate(
        self, store: PreparedStore, candidate: float, training: np.ndarray, held_out: np.ndarray
    ) -> tuple[float, float]:
        """Return average precision and π of one training, from its file if it is finished."""
        settings = replace(self.settings, particles_per_micrograph=candidate)
        key = json.dumps([asdict(settings), store.fingerprint, held_out.tolist()], sort_keys=True)
        path = self.folder / "runs" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        if path.exists():
            values = json.loads(read_text(path))
            return float(values["average_precision"]), float(values["prior"])
        with TemporaryDirectory(prefix="cryopick-") as temporary:
            result = _train_and_evaluate(
                _link_subset(store, training, Path(temporary) / "training"),
                _link_subset(store, held_out, Path(temporary) / "held-out"),
                replace(settings, checkpoint_every=settings.steps),
                Path(temporary) / "checkpoint.safetensors",
            )
        with atomic_write(path, overwrite=True) as temporary_file:
            values = {"average_precision": result[0], "prior": result[1]}
            temporary_file.write_text(json.dumps(values), encoding="utf-8")
        return result


def choose_candidate(scores: Sequence[CandidateScore]) -> CandidateScore:
    """Choose the candidate with the highest mean average precision, the smallest of equal ones."""
    return max(scores, key=lambda score: (score.mean, -score.particles_per_micrograph))


def _train_and_evaluate(
    training: PreparedStore, held_out: PreparedStore, settings: TrainSettings, checkpoint: Path
) -> tuple[float, float]:
    initialization = load_initialization(settings, training)
    outcome = train_ensemble(initialization, checkpoint, device=require_torch_device("cpu"))
    validate = HeldOutValidator.for_training(settings, held_out, outcome.partner)
    return validate(outcome.best)[1], outcome.prior


def _link_subset(store: PreparedStore, numbers: np.ndarray, folder: Path) -> PreparedStore:
    """Make a store of some micrographs of another one, with links to its files."""
    folder.mkdir(parents=True)
    for new, old in enumerate(numbers.tolist()):
        for path in store.folder.glob(f"{old:06d}.*"):
            (folder / f"{new:06d}{path.name[6:]}").symlink_to(path.resolve())
    return replace(
        store,
        folder=folder,
        labels_px=tuple(store.labels_px[n] for n in numbers),
        shapes=tuple(store.shapes[n] for n in numbers),
        usable_px=tuple(store.usable_px[n] for n in numbers),
        negatives_px=(),
    )
