"""Train a detector on micrographs that a client has downsampled, in their own pixels.

Training is that of cryopick: one step uses about ten thousand regions instead of 256 and replaces
33 minibatches of Topaz. The learning rate is scaled by the ratio of the default rates.

- `run`: run `train`.
- `describe`: describe the network.
"""

import math
import tempfile
from argparse import Namespace
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.detectors import IN_PIXELS, choose_torch_device, is_cryopick_model
from cryopick.clients.topaz_cli.micrographs import (
    LabelledImages,
    read_labelled_images,
    report_failures,
    split_for_testing,
)
from cryopick.clients.topaz_cli.training_curve import Curve, CurveSplit
from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import CryopickError, InputError, NotFoundError
from cryopick.model.architectures import NetworkSettings
from cryopick.model.model_file import Model, load_model, save_model
from cryopick.model.networks import Scorer
from cryopick.preprocess.dataset import Dataset, Preparation, prepare_dataset
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.train.curves import CurveRow
from cryopick.train.loop import train
from cryopick.train.prior import compute_disc_area
from cryopick.train.settings import RANDOM, SamplingSettings, TrainSettings
from cryopick.train.validation import HeldOutValidator

__all__ = ["describe", "run"]

# Our name for each network of Topaz.
NETWORKS = {
    "resnet8": "resnet71",
    "resnet16": "resnet91",
    "conv31": "conv31",
    "conv63": "strided63",
    "conv127": "strided127",
}

_MINIBATCHES_PER_STEP = 1000 / 30  # so that the default 10 epochs of 1000 are 300 steps
_TOPAZ_LEARNING_RATE = 0.0002  # default of Topaz; corresponds to our default
_MIN_RADIUS_PX = 0.5  # RELION's formula gives 0 for small particles
_MIN_EVALUATION_RADIUS_PX = 2.0  # the spacing of the evaluated regions
_MIN_EXPECTED_RATIO = 1.05  # expected particles per labelled particle, at least


def run(values: Namespace) -> int:
    """Train, and write the curve and a detector after each epoch.

    Returns:
        The exit status.

    Raises:
        CryopickError: Files are missing or invalid, or settings contradict them.
    """
    start = _start(values.model)
    network = start.settings if start else _network(values)
    data, held_out = split_for_testing(
        values, read_labelled_images(values.train_images, values.train_targets, values)
    )
    device = choose_torch_device(values.device)
    prefix = Path(values.save_prefix) if values.save_prefix else None
    output_folder = prefix.parent if prefix else None
    if output_folder:
        output_folder.mkdir(parents=True, exist_ok=True)
    failures: list[Exception] = []
    with tempfile.TemporaryDirectory(prefix=".cryopick-", dir=output_folder) as scratch:
        training = _prepare(data, Path(scratch) / "training", failures)
        testing = _prepare(held_out, Path(scratch) / "test", failures) if held_out else None
        settings = _settings(values, network, training.store)
        report(
            f"# {network.name}, {network.width} units: {training.store.label_count} particles on "
            f"{len(training.paths)} micrographs, {settings.particles_per_micrograph:g} expected "
            f"per micrograph; {settings.steps} steps in {values.num_epochs} epochs on {device.type}"
        )
        epochs = _Epochs(values, settings, prefix, training, testing)
        train(
            training.store,
            settings,
            Path(scratch) / "checkpoint.safetensors",
            device=device,
            start=start,
            held_out=epochs.judge,
            on_row=epochs.record,
        )
    if testing:
        report(
            f"# best on the test micrographs: epoch {epochs.best[1]}, auprc {epochs.best[0]:.4f}"
        )
    report("# Done!")
    return report_failures(len(data.paths) + (len(held_out.paths) if held_out else 0), failures)


def describe(values: Namespace) -> str:
    """Describe the network that the options name, layer by layer."""
    scorer = Scorer(_network(values))
    count = sum(parameter.numel() for parameter in scorer.parameters())
    return f"{scorer}\nreceptive field {scorer.receptive_field_px} px, {count} parameters\n"


class _Epochs:
    """Output after each epoch: a detector, and rows of the curve."""

    def __init__(
        self,
        values: Namespace,
        settings: TrainSettings,
        prefix: Path | None,
        training: Dataset,
        testing: Dataset | None,
    ) -> None:
        self.settings, self.prefix = settings, prefix
        self.steps = settings.checkpoint_every
        self.digits = math.ceil(math.log10(values.num_epochs)) if values.num_epochs > 1 else 1
        expected = settings.particles_per_micrograph if values.method != "PN" else None
        self.curve = Curve(Path(values.output) if values.output else None)
        self.training = CurveSplit.create("train", training.store, expected)
        self.testing = CurveSplit.create("test", testing.store, expected) if testing else None
        self.held_out: HeldOutValidator | None = None
        if testing:
            radius_px = max(settings.sampling.label_radius_px, _MIN_EVALUATION_RADIUS_PX)
            self.held_out = HeldOutValidator(testing.store, settings.diameter_ang, radius_px)
        self.epoch = 0
        self.test_row = ""
        self.best = (-1.0, 0)  # area under the curve on the test micrographs, and its epoch

    def judge(self, scorer: Scorer) -> tuple[float, float]:
        """Write the detector of this epoch, and evaluate it if there is a test set."""
        self.epoch += 1
        if self.prefix:
            name = f"{self.prefix.name}_epoch{self.epoch:0{self.digits}d}.sav"
            save_model(self._model(scorer), self.prefix.with_name(name), overwrite=True)
        if not (self.held_out and self.testing):
            return 0.0, 0.0
        result = self.held_out.evaluate(scorer)
        step = self.epoch * self.steps
        self.test_row, area = self.testing.format_test_row(self.epoch, step, result)
        self.best = max(self.best, (area, self.epoch))
        return area, result.particle_average_precision

    def record(self, row: CurveRow) -> None:
        """Add the epoch to the curve."""
        self.curve.add(self.training.format_training_row(self.epoch, row))
        if self.test_row:
            self.curve.add(self.test_row)
        report(f"# epoch {self.epoch}: loss {row.loss:.4f}, precision {row.expected_precision:.3f}")

    def _model(self, scorer: Scorer) -> Model:
        return Model(
            scorer=scorer,
            diameter_ang=self.settings.diameter_ang,
            working_pixel_size_ang=1.0,
            normalization=Normalization("affine"),
            label_radius_px=self.settings.sampling.label_radius_px,
            summary={
                "lengths": IN_PIXELS,
                "version": version("cryopick"),
                "settings": asdict(self.settings),
                "epoch": self.epoch,
            },
        )


def _start(model: str) -> Scorer | None:
    """Load the network to fine-tune, if `--model` is a file.

    Raises:
        NotFoundError: The value is neither a file nor a known network.
    """
    path = Path(model)
    if path.is_file():
        return load_model(path).scorer if is_cryopick_model(path) else read_topaz_model(path)
    if model not in NETWORKS:
        raise NotFoundError(f"{model}: no such model file; networks are {', '.join(NETWORKS)}")
    return None


def _network(values: Namespace) -> NetworkSettings:
    start = _start(values.model)
    if start is not None:
        return start.settings
    return NetworkSettings(name=NETWORKS[values.model], width=values.units, dropout=values.dropout)


def _prepare(data: LabelledImages, folder: Path, failures: list[Exception]) -> Dataset:
    """Normalize micrographs in their own pixels."""

    def on_done(_: Path, error: CryopickError | None) -> None:
        if error:
            failures.append(error)

    preparation = Preparation(working_size_ang=1.0, pixel_size_ang=1.0, normalization="affine")
    dataset = prepare_dataset(
        list(data.paths.values()), data.name_by_path(), preparation, folder, on_done=on_done
    )
    if not dataset.store.label_count:
        raise InputError("no label lies on a usable micrograph; see the errors above")
    return dataset


def _settings(values: Namespace, network: NetworkSettings, store: PreparedStore) -> TrainSettings:
    """Convert the options to training settings."""
    radius_px = max(values.radius, _MIN_RADIUS_PX)
    per_epoch = max(1, round(values.epoch_size / _MINIBATCHES_PER_STEP))
    objective = values.method.lower()
    has_penalty = objective.startswith("ge-")
    return TrainSettings(
        diameter_ang=Scorer(network).receptive_field_px
        / 2,  # clients downsample to about this size
        particles_per_micrograph=_expect_particles(values, store, radius_px),
        pixel_size_ang=1.0,
        working_pixel_size_ang=1.0,
        normalization="affine",
        objective=objective,
        penalty_weight=values.slack if has_penalty and values.slack >= 0 else None,
        autoencoder=f"{values.autoencoder:g}",
        steps=per_epoch * values.num_epochs,
        checkpoint_every=per_epoch,
        learning_rate=TrainSettings.learning_rate * values.learning_rate / _TOPAZ_LEARNING_RATE,
        l2=values.l2,
        init=values.model if Path(values.model).is_file() else RANDOM,
        network=network,
        sampling=SamplingSettings(label_radius_px=radius_px),
    )


def _expect_particles(values: Namespace, store: PreparedStore, radius_px: float) -> float:
    """Return the expected particles per micrograph, at least slightly more than the labels."""
    labelled = store.label_count / len(store)
    if values.num_particles is not None:
        expected = values.num_particles
    elif values.pi is not None:
        expected = values.pi * sum(store.usable_px) / len(store) / compute_disc_area(radius_px)
    else:
        expected = 0.0
    minimum = _MIN_EXPECTED_RATIO * labelled
    if expected < minimum and values.method != "PN":
        report(
            f"# {expected:g} particles expected per micrograph, but {labelled:g} are labelled; "
            f"using {minimum:g}"
        )
    return max(expected, minimum)
