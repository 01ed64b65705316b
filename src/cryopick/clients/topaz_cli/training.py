"""Train a detector on micrographs that a client has downsampled.

Training is that of cryopick. From random weights, one step uses about ten thousand regions instead
of 256 and replaces 33 minibatches of Topaz; the general model is fine-tuned in fewer steps, by the
number of labels. The learning rate is scaled by the ratio of the default rates.

- `run`: run `train`.
- `describe`: describe the network.
"""

import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.detectors import choose_numbered_device, choose_torch_device
from cryopick.clients.topaz_cli.micrographs import (
    LabelledImages,
    read_labelled_images,
    report_failures,
    split_for_testing,
)
from cryopick.clients.topaz_cli.training_epochs import Epochs
from cryopick.clients.topaz_cli.training_start import TrainingStart, choose_training_start
from cryopick.errors import CryopickError, InputError
from cryopick.model.networks import Scorer
from cryopick.preprocess.dataset import Dataset, Preparation, prepare_dataset
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.train.initialization import choose_training_settings, load_initialization
from cryopick.train.loop import train
from cryopick.train.prior import compute_disc_area
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import GENERAL, TrainSettings

__all__ = ["describe", "run"]

_MINIBATCHES_PER_STEP = 1000 / 30  # so that the default 10 epochs of 1000 are 300 steps
_TOPAZ_LEARNING_RATE = 0.0002  # default of Topaz; corresponds to our default
_MIN_RADIUS_PX = 0.5  # RELION's formula gives 0 for small particles
_MIN_EXPECTED_RATIO = 1.05  # expected particles per labelled particle, at least


def run(values: Namespace) -> int:
    """Train, and write the curve and a detector after each epoch.

    Returns:
        The exit status.

    Raises:
        CryopickError: Files are missing or invalid, or settings contradict them.
    """
    data, held_out = split_for_testing(
        values, read_labelled_images(values.train_images, values.train_targets, values)
    )
    device = choose_torch_device(values.device)
    start = choose_training_start(values, data, lambda: device)
    output_folder = Path(values.save_prefix).parent if values.save_prefix else None
    if output_folder:
        output_folder.mkdir(parents=True, exist_ok=True)
    failures: list[Exception] = []
    with tempfile.TemporaryDirectory(prefix=".cryopick-", dir=output_folder) as scratch:
        training = _prepare(data, Path(scratch) / "training", start, failures)
        testing = _prepare(held_out, Path(scratch) / "test", start, failures) if held_out else None
        settings = _settings(values, start, training.store)
        report(
            f"# {start.network.name}, {start.network.width} units: {training.store.label_count} "
            f"particles on {len(training.paths)} micrographs, "
            f"{settings.particles_per_micrograph:g} expected per micrograph; {settings.steps} "
            f"steps in {values.num_epochs} epochs on {device.type}"
        )
        epochs = Epochs(values, settings, start, training, testing)
        initial = start.scorer
        if start.init == GENERAL:
            initial = load_initialization(settings, training.store).scorer
        train(
            training.store,
            settings,
            Path(scratch) / "checkpoint.safetensors",
            device=device,
            start=initial,
            held_out=epochs.judge,
            on_row=epochs.finish,
            on_step=epochs.record,
        )
    if testing:
        report(
            f"# best on the test micrographs: epoch {epochs.best[1]}, auprc {epochs.best[0]:.4f}"
        )
    report("# Done!")
    return report_failures(len(data.paths) + (len(held_out.paths) if held_out else 0), failures)


def describe(values: Namespace) -> str:
    """Describe the network that the options name, layer by layer."""
    start = choose_training_start(values, None, lambda: choose_numbered_device(values.device))
    scorer = Scorer(start.network)
    count = sum(parameter.numel() for parameter in scorer.parameters())
    return f"{scorer}\nreceptive field {scorer.receptive_field_px} px, {count} parameters\n"


def _prepare(
    data: LabelledImages, folder: Path, start: TrainingStart, failures: list[Exception]
) -> Dataset:
    """Rescale and normalize micrographs for the network."""

    def on_done(_: Path, error: CryopickError | None) -> None:
        if error:
            failures.append(error)

    preparation = Preparation(
        working_size_ang=start.working_px,
        pixel_size_ang=1.0,
        normalization=start.normalization,
        clearance_px=start.diameter_px / start.working_px / 2 if start.init == GENERAL else 0.0,
    )
    dataset = prepare_dataset(
        list(data.paths.values()), data.name_by_path(), preparation, folder, on_done=on_done
    )
    if not dataset.store.label_count:
        raise InputError("no label lies on a usable micrograph; see the errors above")
    return dataset


def _settings(values: Namespace, start: TrainingStart, store: PreparedStore) -> TrainSettings:
    """Convert the options to training settings."""
    radius_px = max(values.radius / start.working_px, _MIN_RADIUS_PX)
    common: dict[str, Any] = {
        "init": start.init,
        "diameter_ang": start.diameter_px,
        "particles_per_micrograph": _expect_particles(values, store, radius_px),
        "pixel_size_ang": 1.0,
        "working_pixel_size_ang": start.working_px,
        "normalization": start.normalization.kind,
        "network": start.network,
    }
    rate = values.learning_rate / _TOPAZ_LEARNING_RATE
    if start.init == GENERAL:
        chosen = choose_training_settings(GENERAL, start.diameter_px, labels=store.label_count)
        per_epoch = max(1, round(chosen["steps"] / values.num_epochs))
        chosen["learning_rate"] *= rate
    else:
        per_epoch = max(1, round(values.epoch_size / _MINIBATCHES_PER_STEP))
        chosen = _choose_objective(values)
        chosen["learning_rate"] = TrainSettings.learning_rate * rate
        chosen["sampling"] = SamplingSettings(label_radius_px=radius_px)
    steps = {"steps": per_epoch * values.num_epochs, "checkpoint_every": per_epoch}
    return TrainSettings(**{**chosen, **common, **steps})


def _choose_objective(values: Namespace) -> dict[str, Any]:
    """Convert the options of the objective to training settings."""
    objective = values.method.lower()
    has_penalty = objective.startswith("ge-")
    return {
        "objective": objective,
        "penalty_weight": values.slack if has_penalty and values.slack >= 0 else None,
        "autoencoder": f"{values.autoencoder:g}",
        "l2": values.l2,
    }


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
