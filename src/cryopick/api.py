"""Train and pick from Python, with the same workflows as the command line.

All names are available as `cryopick.NAME`.

- `train_settings`, `train_model`: train a model on labelled particles.
- `pick_particles`: pick particles on raw micrographs.
- `WarnSkipped`: the default receiver of events.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks
from cryopick.regions import Regions
from cryopick.train.initialization import choose_training_settings
from cryopick.train.labels import LabelledMicrographs
from cryopick.train.settings import GENERAL, TrainSettings
from cryopick.workflows import picking, training
from cryopick.workflows.events import Event, Events, FileSkipped

__all__ = ["WarnSkipped", "pick_particles", "train_model", "train_settings"]

_IN_MEMORY = Path("labels")  # stands for the file of a table in memory, in messages


class WarnSkipped:
    """A receiver of events that warns of skipped micrographs and ignores other events."""

    def emit(self, event: Event, /) -> None:
        """Warn of a skipped micrograph."""
        if isinstance(event, FileSkipped):
            warnings.warn(f"skipped {event.path}: {event.reason}", stacklevel=2)


def train_settings(
    diameter_ang: float,
    particles_per_micrograph: float | None = None,
    *,
    init: str = GENERAL,
    **others: Any,  # noqa: ANN401  # fields of TrainSettings
) -> TrainSettings:
    """Return the settings that `cryopick train` would use.

    Args:
        diameter_ang: Longest dimension of the particle in ångströms.
        particles_per_micrograph: Expected number of particles on a micrograph, labelled or not;
            None lets `train_model` estimate it.
        init: Initial weights: "general", "random", or the path of a model.
        others: Further fields of `TrainSettings`, such as `pixel_size_ang` or `steps`.

    Raises:
        SettingsError: A value lies outside its range.
        InputError: The model given as `init` is missing.
    """
    defaults = choose_training_settings(init, diameter_ang, steps=others.get("steps"))
    explicit = {"diameter_ang": float(diameter_ang)}
    if particles_per_micrograph is not None:
        explicit["particles_per_micrograph"] = float(particles_per_micrograph)
    return TrainSettings(**{**defaults, **explicit, **others})


def train_model(  # noqa: PLR0913  # options of the command
    micrographs: Sequence[Path],
    labels: Picks,
    model: Path | str,
    settings: TrainSettings,
    *,
    held_out: tuple[Sequence[Path], Picks] | None = None,
    negatives: Picks | None = None,
    trust_labels: bool = False,
    ignore: Regions | None = None,
    device: str = "auto",
    events: Events | None = None,
    overwrite: bool = False,
) -> Model:
    """Train a model on labelled particles, and write it.

    As with `cryopick train`, the folder `<model>.run` holds settings, curves, run metadata and
    checkpoints, and the same call resumes an interrupted run.

    Args:
        micrographs: Raw micrographs, labelled or not.
        labels: Centres of some of their particles, (x, y) in raw pixels.
        model: Model file to write, `.safetensors`.
        settings: Settings from `train_settings`.
        held_out: Micrographs to evaluate on, and all particles on them.
        negatives: Negative labels: positions without a particle.
        trust_labels: Train although the labels fit much better when mirrored, scaled or shifted.
        ignore: Regions to ignore, on micrographs named by their paths.
        device: cpu, cuda, mps, or the best of this machine (auto).
        events: Receiver of progress, curves and skipped micrographs; by default, each skipped
            micrograph gives a warning.
        overwrite: Replace a model that exists.

    Returns:
        The model, as `load_model` reads it.

    Raises:
        InputError: No label lies on a micrograph that can be used, or the labels fit much better
            when mirrored, scaled or shifted.
        OutputExistsError: The model exists and is not to be replaced.
        SettingsError: Prior and labels contradict each other.
    """
    labelled = LabelledMicrographs.from_table(micrographs, labels, _IN_MEMORY)
    if negatives is not None:
        labelled = labelled.with_negatives(negatives, Path("negatives"))
    evaluation = None
    if held_out is not None:
        evaluation = LabelledMicrographs.from_table(*held_out, Path("held_out"))
    job = training.TrainJob(
        model=Path(model),
        settings=settings,
        training=labelled,
        held_out=evaluation,
        held_out_is_complete=evaluation is not None,
        trust_labels=trust_labels,
        ignore=ignore or Regions({}),
        device=device,
        overwrite=overwrite,
    )
    training.train_model(job, events or WarnSkipped())
    return load_model(job.model)


def pick_particles(
    micrographs: Sequence[Path],
    model: Model | Path | str | None = None,
    settings: PickSettings | None = None,
    *,
    ignore: Regions | None = None,
    device: str = "auto",
    events: Events | None = None,
) -> Picks:
    """Pick particles on raw micrographs.

    Args:
        micrographs: Raw micrographs.
        model: A model or its file; None takes the general model. Without
            `PickSettings(diameter_ang=…)`, it estimates the particle size.
        settings: How to pick; the defaults if None.
        ignore: Regions in which nothing is picked, on micrographs named by their paths.
        device: cpu, cuda, mps, or the best of this machine (auto).
        events: Receiver of progress and skipped micrographs; by default, each skipped micrograph
            gives a warning.

    Returns:
        Centres (x, y) in raw pixels with their scores (logits), by micrograph and descending
        score; micrographs are named `str(path)`.

    Raises:
        InputError: None of the micrographs can be used, the model is missing, or no particles
            were found at any size and none was given.
        SettingsError: A setting does not fit the model.
    """
    job = picking.PickJob(
        micrographs=micrographs,
        model=model if isinstance(model, Model) else Path(model or GENERAL_MODEL),
        settings=settings or PickSettings(),
        ignore=ignore or Regions({}),
        device=device,
    )
    return picking.pick_micrographs(job, events or WarnSkipped()).picks
