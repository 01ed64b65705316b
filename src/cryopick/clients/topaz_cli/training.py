"""Learn a detector from micrographs that a client has shrunk, in their own pixels.

Our engine does the work, so an epoch is not one of Topaz's: one of our steps learns from some ten
thousand regions instead of 256, and replaces 33 of Topaz's minibatches. The learning rate is
understood in relation to Topaz's default.

- `run`: the work of `train`.
- `describe`: the network in words.
"""

import math
import tempfile
from argparse import Namespace
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cryopick.clients.topaz_cli.curve import Curve, Split
from cryopick.clients.topaz_cli.detectors import IN_PIXELS, device_of, is_ours
from cryopick.clients.topaz_cli.given import done_with
from cryopick.clients.topaz_cli.labelled import LabelledImages, labelled_images, part_for_testing
from cryopick.clients.topaz_cli.manners import say
from cryopick.clients.topaz_cli.train import NETWORKS
from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import CryopickError, InputError
from cryopick.model.model_file import Model, load_model, save_model
from cryopick.model.networks import NetworkSettings, Scorer
from cryopick.preprocess.dataset import Dataset, Preparation, prepare_dataset
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.store import Store
from cryopick.train.curves import Row
from cryopick.train.loop import train
from cryopick.train.prior import disc_pixels
from cryopick.train.sampling import SamplingSettings
from cryopick.train.settings import RANDOM, TrainSettings
from cryopick.train.validation import HeldOutMicrographs

__all__ = ["describe", "run"]

_MINIBATCHES_PER_STEP = 1000 / 30  # so that the usual 10 epochs of 1000 are 300 steps
_USUAL_RATE = 0.0002  # Topaz's, which stands for ours
_LEAST_RADIUS_PX = 0.5  # RELION's formula gives 0 for small particles
_LEAST_JUDGED_PX = 2.0  # the distance between places that are judged
_ROOM_FOR_UNLABELLED = 1.05  # particles expected for each that is labelled, at least


def run(values: Namespace) -> int:
    """Learn, and write curve and detectors as they come.

    Returns:
        The exit status.

    Raises:
        CryopickError: Files are missing or broken, or settings contradict them.
    """
    start = _start(values.model)
    network = start.settings if start else _network(values)
    data, held_out = part_for_testing(
        values, labelled_images(values.train_images, values.train_targets, values)
    )
    device = device_of(values.device)
    prefix = Path(values.save_prefix) if values.save_prefix else None
    home = prefix.parent if prefix else None
    if home:
        home.mkdir(parents=True, exist_ok=True)
    failures: list[Exception] = []
    with tempfile.TemporaryDirectory(prefix=".cryopick-", dir=home) as scratch:
        training = _prepared(data, Path(scratch) / "training", failures)
        testing = _prepared(held_out, Path(scratch) / "test", failures) if held_out else None
        settings = _settings(values, network, training.store)
        say(
            f"# {network.name}, {network.width} units: {training.store.labelled} particles on "
            f"{len(training.paths)} micrographs, {settings.particles_per_micrograph:g} expected "
            f"on each; {settings.steps} steps in {values.num_epochs} epochs on {device.type}"
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
        say(f"# best on the test micrographs: epoch {epochs.best[1]}, auprc {epochs.best[0]:.4f}")
    say("# Done!")
    return done_with(len(data.paths) + (len(held_out.paths) if held_out else 0), failures)


def describe(values: Namespace) -> str:
    """The network that the options name, layer by layer."""
    scorer = Scorer(_network(values))
    count = sum(parameter.numel() for parameter in scorer.parameters())
    return f"{scorer}\nreceptive field {scorer.receptive_field_px} px, {count} parameters\n"


class _Epochs:
    """What is written after each epoch: a detector, and rows of the curve."""

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
        self.training = Split.of("train", training.store, expected)
        self.testing = Split.of("test", testing.store, expected) if testing else None
        self.held_out: HeldOutMicrographs | None = None
        if testing:
            radius_px = max(settings.sampling.label_radius_px, _LEAST_JUDGED_PX)
            self.held_out = HeldOutMicrographs(testing.store, settings.diameter_ang, radius_px)
        self.epoch = 0
        self.test_row = ""
        self.best = (-1.0, 0)  # area under the curve on the test micrographs, and its epoch

    def judge(self, scorer: Scorer) -> tuple[float, float]:
        """Write the network as this epoch's detector, and judge it if there is something to."""
        self.epoch += 1
        if self.prefix:
            name = f"{self.prefix.name}_epoch{self.epoch:0{self.digits}d}.sav"
            save_model(self._model(scorer), self.prefix.with_name(name), overwrite=True)
        if not (self.held_out and self.testing):
            return 0.0, 0.0
        judged = self.held_out.judge(scorer)
        step = self.epoch * self.steps
        self.test_row, area = self.testing.judged_row(self.epoch, step, judged)
        self.best = max(self.best, (area, self.epoch))
        return area, judged.particle_average_precision

    def record(self, row: Row) -> None:
        """Add the epoch to the curve."""
        self.curve.add(self.training.learnt_row(self.epoch, row))
        if self.test_row:
            self.curve.add(self.test_row)
        say(f"# epoch {self.epoch}: loss {row.loss:.4f}, precision {row.expected_precision:.3f}")

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
    """The network that learns on, where `--model` is a file.

    Raises:
        InputError: It is neither a file nor a network that we know.
    """
    path = Path(model)
    if path.is_file():
        return load_model(path).scorer if is_ours(path) else read_topaz_model(path)
    if model not in NETWORKS:
        raise InputError(f"{model}: no such model file, and no network of {', '.join(NETWORKS)}")
    return None


def _network(values: Namespace) -> NetworkSettings:
    start = _start(values.model)
    if start is not None:
        return start.settings
    return NetworkSettings(name=NETWORKS[values.model], width=values.units, dropout=values.dropout)


def _prepared(data: LabelledImages, folder: Path, failures: list[Exception]) -> Dataset:
    """Standardise micrographs as they are given, in their own pixels."""

    def on_done(_: Path, error: CryopickError | None) -> None:
        if error:
            failures.append(error)

    preparation = Preparation(working_size_ang=1.0, pixel_size_ang=1.0, normalization="affine")
    made = prepare_dataset(
        list(data.paths.values()), data.by_path(), preparation, folder, on_done=on_done
    )
    if not made.store.labelled:
        raise InputError("no label lies on a micrograph that can be used; see what was skipped")
    return made


def _settings(values: Namespace, network: NetworkSettings, store: Store) -> TrainSettings:
    """The settings of a run by what the options mean."""
    radius_px = max(values.radius, _LEAST_RADIUS_PX)
    per_epoch = max(1, round(values.epoch_size / _MINIBATCHES_PER_STEP))
    objective = values.method.lower()
    has_penalty = objective.startswith("ge-")
    return TrainSettings(
        diameter_ang=Scorer(network).receptive_field_px / 2,  # clients shrink to about this
        particles_per_micrograph=_expected(values, store, radius_px),
        pixel_size_ang=1.0,
        working_pixel_size_ang=1.0,
        normalization="affine",
        objective=objective,
        penalty_weight=values.slack if has_penalty and values.slack >= 0 else None,
        autoencoder=f"{values.autoencoder:g}",
        steps=per_epoch * values.num_epochs,
        checkpoint_every=per_epoch,
        learning_rate=TrainSettings.learning_rate * values.learning_rate / _USUAL_RATE,
        l2=values.l2,
        init=values.model if Path(values.model).is_file() else RANDOM,
        network=network,
        sampling=SamplingSettings(label_radius_px=radius_px),
    )


def _expected(values: Namespace, store: Store, radius_px: float) -> float:
    """Particles on a micrograph; at least those that are labelled, and a few more."""
    labelled = store.labelled / len(store)
    if values.num_particles is not None:
        asked = values.num_particles
    elif values.pi is not None:
        asked = values.pi * sum(store.usable_px) / len(store) / disc_pixels(radius_px)
    else:
        asked = 0.0
    least = _ROOM_FOR_UNLABELLED * labelled
    if asked < least and values.method != "PN":
        say(
            f"# {asked:g} particles expected on a micrograph, but {labelled:g} are labelled; "
            f"taking {least:g}"
        )
    return max(asked, least)
