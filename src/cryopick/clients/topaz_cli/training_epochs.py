"""Output of each epoch of a training: a detector, and rows of the curve.

- `Epochs`: what the training calls.
"""

import math
from argparse import Namespace
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.detectors import IN_PIXELS
from cryopick.clients.topaz_cli.training_curve import Curve, CurveSplit
from cryopick.clients.topaz_cli.training_start import TrainingStart
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model, save_model
from cryopick.model.networks import Scorer, extract_network
from cryopick.preprocess.dataset import Dataset
from cryopick.train.curves import CurveRow
from cryopick.train.initialization import load_centre_offset
from cryopick.train.settings import GENERAL, TrainSettings
from cryopick.train.validation import HeldOutValidator, ValidationResult

__all__ = ["Epochs"]

_MIN_EVALUATION_RADIUS_PX = 2.0  # the spacing of the evaluated regions


class Epochs:
    """Output after each epoch: a detector, and rows of the curve."""

    def __init__(
        self,
        values: Namespace,
        settings: TrainSettings,
        start: TrainingStart,
        training: Dataset,
        testing: Dataset | None,
    ) -> None:
        self.settings, self.start = settings, start
        self.prefix = Path(values.save_prefix) if values.save_prefix else None
        self.normalization = training.normalization
        self.steps = settings.steps // values.num_epochs
        self.digits = math.ceil(math.log10(values.num_epochs)) if values.num_epochs > 1 else 1
        expected = settings.particles_per_micrograph if values.method != "PN" else None
        self.curve = Curve(Path(values.output) if values.output else None)
        self.training = CurveSplit.create("train", training.store, expected)
        self.testing = CurveSplit.create("test", testing.store, expected) if testing else None
        self.held_out: HeldOutValidator | None = None
        if testing:
            radius_px = max(values.radius / start.working_px, _MIN_EVALUATION_RADIUS_PX)
            diameter_px = start.diameter_px / start.working_px
            self.held_out = HeldOutValidator(testing.store, diameter_px, radius_px)
        self.epoch = 0
        self.test_row = ""
        self.best = (-1.0, 0)  # area under the curve on the test micrographs, and its epoch
        self._untrained: tuple[Scorer, ValidationResult] | None = None

    def judge(self, scorer: Scorer) -> tuple[float, float]:
        """Write the detector of this epoch, and evaluate it if there is a test set."""
        self.epoch += 1
        result = None
        if self.held_out:
            scorer, result = self._choose(scorer, self.held_out)
        if self.prefix:
            name = f"{self.prefix.name}_epoch{self.epoch:0{self.digits}d}.sav"
            save_model(self._model(scorer), self.prefix.with_name(name), overwrite=True)
        if not (result and self.testing):
            return 0.0, 0.0
        step = self.epoch * self.steps + 1  # the iteration after those of the epoch, as in Topaz
        self.test_row, area = self.testing.format_test_row(self.epoch, step, result)
        self.best = max(self.best, (area, self.epoch))
        return area, result.particle_average_precision

    def _choose(
        self, scorer: Scorer, held_out: HeldOutValidator
    ) -> tuple[Scorer, ValidationResult]:
        """Evaluate the network; return the general model instead if that is the better one."""
        result = held_out.evaluate(scorer)
        if self.start.init != GENERAL:
            return scorer, result
        if self._untrained is None:
            untrained = load_model(GENERAL_MODEL).scorer.to(next(scorer.parameters()).device)
            self._untrained = untrained, held_out.evaluate(untrained)
        untrained, before = self._untrained
        if result.particle_average_precision >= before.particle_average_precision:
            return scorer, result
        report(
            f"# epoch {self.epoch}: average precision on the test micrographs is "
            f"{result.particle_average_precision:.4f}, and {before.particle_average_precision:.4f} "
            "with the general model, which is written instead"
        )
        return untrained, before

    def record(self, row: CurveRow) -> None:
        """Add an iteration to the curve."""
        self.curve.add(self.training.format_training_row(self.epoch + 1, row))

    def finish(self, row: CurveRow) -> None:
        """Add the results of an epoch to the curve, and write it."""
        if self.test_row:
            self.curve.add(self.test_row)
        self.curve.write()
        report(f"# epoch {self.epoch}: loss {row.loss:.4f}, precision {row.expected_precision:.3f}")

    def _model(self, scorer: Scorer) -> Model:
        """Return the model of this epoch; lengths in Å stand for pixels of the images."""
        is_general = self.start.init == GENERAL
        return Model(
            network=extract_network(scorer),
            diameter_ang=self.start.diameter_px,
            working_pixel_size_ang=self.start.working_px,
            normalization=self.normalization,
            label_radius_px=self.settings.sampling.label_radius_px,
            centre_offset_px=load_centre_offset(GENERAL) if is_general else (0.0, 0.0),
            summary={
                "lengths": IN_PIXELS,
                "version": version("cryopick"),
                "settings": asdict(self.settings),
                "epoch": self.epoch,
            },
        )
