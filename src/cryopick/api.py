"""Train, pick and judge from Python: what the commands do, in a call each.

All names are there as `cryopick.NAME`; each loads what it needs when it is first used.

- `train_settings`, `train_model`: a model from labelled particles.
- `pick_particles`: particles on raw micrographs.
- `skipped`: what happens to micrographs that cannot serve.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError, InputError
from cryopick.model.device import ready_device
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate
from cryopick.regions import Regions
from cryopick.train.curves import Row
from cryopick.train.initialization import usual_training
from cryopick.train.labels import Labelled
from cryopick.train.particle_count import Known, calibrated, gather, sample, settled
from cryopick.train.settings import GENERAL, TrainSettings
from cryopick.train.training_run import Run
from cryopick.train.validation import HeldOutMicrographs

__all__ = ["pick_particles", "skipped", "train_model", "train_settings"]

_IN_MEMORY = Path("labels")  # stands for the file of a table that was never in one


def skipped(_: Path, error: CryopickError | None) -> None:
    """Warn of a micrograph that cannot serve, and go on."""
    if error:
        warnings.warn(f"skipped {error}", stacklevel=2)


def train_settings(
    diameter_ang: float,
    particles_per_micrograph: float | None = None,
    *,
    init: str = GENERAL,
    **others: Any,  # noqa: ANN401  # fields of TrainSettings
) -> TrainSettings:
    """The settings that `cryopick train` would use.

    Args:
        diameter_ang: Longest extent of the particle in ångströms.
        particles_per_micrograph: Particles expected on a micrograph, labelled or not; None
            lets `train_model` estimate it.
        init: What to start from: "general", "random", or a path of a model.
        others: Further fields of `TrainSettings`, such as `pixel_size_ang` or `steps`.

    Raises:
        SettingsError: A value lies outside its range.
        InputError: The model to start from is missing.
    """
    usual = usual_training(init, diameter_ang, steps=others.get("steps"))
    given = {"diameter_ang": float(diameter_ang)}
    if particles_per_micrograph is not None:
        given["particles_per_micrograph"] = float(particles_per_micrograph)
    return TrainSettings(**{**usual, **given, **others})


def train_model(  # noqa: PLR0913  # as the command has options
    micrographs: Sequence[Path],
    labels: Picks,
    model: Path | str,
    settings: TrainSettings,
    *,
    held_out: tuple[Sequence[Path], Picks] | None = None,
    negatives: Picks | None = None,
    ignore: Regions | None = None,
    device: str = "auto",
    on_micrograph: Callable[[Path, CryopickError | None], None] = skipped,
    on_row: Callable[[Row], None] = lambda _: None,
    overwrite: bool = False,
) -> Model:
    """Train a model on labelled particles, and write it.

    As with `cryopick train`, the folder `<model>.run` keeps settings, curves and checkpoints, and
    a run that was cut off goes on when it is asked for again.

    Args:
        micrographs: Raw micrographs, labelled or not.
        labels: Centres of some of their particles, (x, y) in raw pixels.
        model: File to write, `.safetensors`.
        settings: From `train_settings`.
        held_out: Micrographs to judge by, and all particles on them.
        negatives: Places that are no particles.
        ignore: Regions to leave out, on micrographs named by their paths.
        device: cpu, cuda, mps, or the best there is (auto).
        on_micrograph: Called for each prepared micrograph, with the error if it is left out.
        on_row: Called at each checkpoint with the figures so far.
        overwrite: Replace a model that exists.

    Returns:
        The model, as `load_model` reads it.

    Raises:
        InputError: No label lies on a micrograph that can be used.
        OutputExistsError: The model exists and is not to be replaced.
        SettingsError: Prior and labels contradict each other.
    """
    training = Labelled.of(micrographs, labels, _IN_MEMORY)
    if negatives is not None:
        training = training.against(negatives, Path("negatives"))
    judged_by = Labelled.of(*held_out, Path("held_out")) if held_out else None
    on, regions = ready_device(device), ignore or Regions({})
    chosen = sample(training.paths, training.labels)
    known = Known(
        evidence=gather(chosen, training.labels, settings, on, regions),
        complete=judged_by.labels if judged_by else None,
    )
    settings = settled(settings, known.estimate, len(training.labels), len(training.paths))
    run = Run(
        model=Path(model),
        settings=settings,
        training=training,
        held_out=judged_by,
        ignore=regions,
    )
    run.open(overwrite=overwrite, resume=False)
    prepared = run.prepare(on_micrograph)
    judge = partial(HeldOutMicrographs.of, settings)
    outcome = run.learn(prepared, judge, on, on_row)
    ended = calibrated(run.model_of(prepared, outcome), known, settings, on, regions)
    run.finish(ended, outcome)
    return load_model(run.model)


def pick_particles(
    micrographs: Sequence[Path],
    model: Model | Path | str | None = None,
    settings: PickSettings | None = None,
    *,
    ignore: Regions | None = None,
    device: str = "auto",
    on_micrograph: Callable[[Path, CryopickError | None], None] = skipped,
) -> Picks:
    """Find particles on raw micrographs.

    Args:
        micrographs: Raw micrographs.
        model: A model or its file; None takes the general one, which needs
            `PickSettings(diameter_ang=…)`.
        settings: How to pick; the usual way if None.
        ignore: Regions in which nothing is picked, on micrographs named by their paths.
        device: cpu, cuda, mps, or the best there is (auto).
        on_micrograph: Called for each micrograph, with the error if it is left out.

    Returns:
        Centres (x, y) in raw pixels with their scores (logits), micrograph by micrograph, by
        descending score; micrographs are named `str(path)`.

    Raises:
        InputError: None of the micrographs can be used, or the model is missing.
        SettingsError: A setting does not fit the model.
    """
    settings = settings or PickSettings()
    if model is None and settings.diameter_ang is None:
        raise InputError(
            "the general model needs the particle's diameter; add PickSettings(diameter_ang=…)"
        )
    own = model if isinstance(model, Model) else load_model(Path(model or GENERAL_MODEL))
    picker = Picker.ready(own, settings, ready_device(device), micrographs, ignore)
    found = []
    for path in micrographs:
        try:
            found.append(picker.pick(path))
            on_micrograph(path, None)
        except CryopickError as error:
            on_micrograph(path, error)
    if not found:
        raise InputError("none of the micrographs can be used; see what was skipped")
    return concatenate(found)
