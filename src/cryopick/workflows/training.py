"""Train a model from labelled micrographs, from files to a model file.

- `TrainJob`: everything that a training needs.
- `train_model`: the whole training, with its run folder.
- `TrainedModel`: the model, and the micrographs that were skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from cryopick.config import to_toml
from cryopick.errors import CryopickError, InputError, format_count
from cryopick.io.images.micrograph import summarize_findings
from cryopick.io.images.sizes import read_micrograph_shape
from cryopick.model.model_file import Model
from cryopick.model.torch_device import require_torch_device
from cryopick.regions import Regions
from cryopick.report import training as training_report
from cryopick.runs.metadata import Stopwatch, write_run_metadata
from cryopick.train.fabric import check_device_count
from cryopick.train.label_checks import check_labels
from cryopick.train.label_extent import find_corner_factor
from cryopick.train.labels import LabelledMicrographs
from cryopick.train.loop import TrainingResult
from cryopick.train.model_calibration import calibrate_model, pick_for_calibration
from cryopick.train.particle_count import (
    ParticleStatistics,
    choose_sample,
    pick_sample,
    resolve_particle_count,
)
from cryopick.train.settings import TrainSettings
from cryopick.train.training_run import PreparedDatasets, TrainingRun
from cryopick.workflows.events import (
    CurvePoint,
    EventGroup,
    Events,
    FileSkipped,
    Finished,
    Notice,
    NoticeCode,
    ParticlesEstimated,
    Resumed,
    Started,
    notify_findings,
    track_progress,
)
from cryopick.workflows.left_out_labels import (
    compare_with_general_model,
    score_left_out_labels,
)
from cryopick.workflows.progress_file import PROGRESS_FILE, ProgressFile
from cryopick.workflows.scale_choice import choose_scale, correct_centres

__all__ = ["TrainJob", "TrainedModel", "train_model"]


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """A training.

    Attributes:
        model: Model file to write.
        settings: What to train and how.
        training: Micrographs and labels to train on.
        held_out: Micrographs and labels to evaluate on.
        held_out_is_complete: The held-out labels are all particles on those micrographs.
        trust_labels: Train although the labels fit picks of the general model much better when
            mirrored, scaled or shifted.
        ignore: Regions to ignore on all of them, on micrographs named by their paths.
        device: cpu, cuda, mps, or the best of this machine (auto).
        devices: Number of such devices that share each minibatch.
        overwrite: Replace the model, and discard an unfinished run unless it is resumed.
        resume: Resume an unfinished run, and do not start a new one.
        finish: Make the model of an unfinished run without training further.
        files: Input files for the run metadata, by purpose.
        stopwatch: Start of the task and command line, for the run metadata.
    """

    model: Path
    settings: TrainSettings
    training: LabelledMicrographs
    held_out: LabelledMicrographs | None = None
    held_out_is_complete: bool = False
    trust_labels: bool = False
    ignore: Regions = field(default_factory=lambda: Regions({}))
    device: str = "auto"
    devices: int = 1
    overwrite: bool = False
    resume: bool = False
    finish: bool = False
    files: Mapping[str, Path | None] = field(default_factory=dict)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """Result of a training.

    Attributes:
        model: The model, as written to its file.
        skipped: Micrographs that could not be used.
    """

    model: Model
    skipped: tuple[Path, ...]


def train_model(job: TrainJob, events: Events) -> TrainedModel:
    """Estimate the particle count, prepare micrographs, train, calibrate, and write the model.

    The folder `<model>.run` gets settings, checkpoints, curves (table and figure), run metadata
    and `progress.jsonl`. An interrupted training is resumed by the same job.

    Raises:
        InputError: No label lies on a micrograph that can be used, the labels fit much better when
            mirrored, scaled or shifted, or there is no run to resume.
        OutputExistsError: The model exists and is not to be replaced.
        SettingsError: Prior and labels contradict each other, a device is missing, or an
            unfinished run has other settings.
    """
    with ProgressFile() as progress_file:
        events = EventGroup(events, progress_file)
        events.emit(Started(workflow="train", micrographs=len(_all_micrographs(job))))
        _report_ignored_labels(job, events)
        device = require_torch_device(job.device)
        check_device_count(job.devices, device, job.settings.sampling)
        job = replace(job, settings=choose_scale(job.settings, job.training.paths, device, events))
        statistics = _estimate_particles(job, device, events)
        _check_labels(job, statistics, events)
        run = _create_run(job, statistics)
        steps_done = run.open(overwrite=job.overwrite, resume=job.resume or job.finish)
        progress_file.open(run.folder / PROGRESS_FILE, append=steps_done > 0)
        if steps_done:
            source = f"the unfinished run in {run.folder}"
            events.emit(Resumed(source=source, step=steps_done))
        prepared, skipped = _prepare(run, events)
        result = _train(job, run, prepared, steps_done, device, events)
        training_report.plot_training(result.curves.rows, run.folder / "curves.png")
        model = correct_centres(run.create_model(prepared, result), run, device)
        picks = pick_for_calibration(model, statistics, run.settings, device, run.ignore)
        model = calibrate_model(model, picks, statistics)
        left_out = score_left_out_labels(run, prepared, result, device, events)
        if left_out is not None:
            labelled, sample = prepared.training.labelled_names, statistics.sample
            model = compare_with_general_model(model, left_out, labelled, picks, sample, events)
        if model.calibration is None and not model.summary.get("is_general_model"):
            message = "scores are not calibrated: too few picks are clearly right or wrong"
            events.emit(Notice(code=NoticeCode.UNCALIBRATED_SCORES, message=message))
        run.finish(model, result)
        findings = summarize_findings(_all_micrographs(job), job.settings.pixel_size_ang)
        notify_findings(events, findings)
        _write_metadata(job, run, model, skipped, device, findings)
        events.emit(Finished(message=_summarize(run, prepared, result)))
    return TrainedModel(model=model, skipped=tuple(skipped))


def _all_micrographs(job: TrainJob) -> list[Path]:
    return [*job.training.paths, *(job.held_out.paths if job.held_out else ())]


def _report_ignored_labels(job: TrainJob, events: Events) -> None:
    for purpose, labelled in (("label", job.training), ("held-out label", job.held_out)):
        if labelled is None:
            continue
        file = job.files.get(f"{purpose}s")
        table = f" of {file}" if file else ""
        codes = (
            (
                NoticeCode.UNMATCHED_LABELS,
                labelled.unmatched_labels,
                f"ignored {{}}{table} on micrographs that were not given",
            ),
            (
                NoticeCode.DUPLICATE_LABELS,
                labelled.duplicate_labels,
                f"merged {{}}{table} with others at the same place",
            ),
            (
                NoticeCode.UNUSABLE_LABELS,
                labelled.outside_labels,
                f"ignored {{}}{table} outside their micrographs",
            ),
        )
        for code, count, message in codes:
            if count:
                noun = f"duplicate {purpose}" if code == NoticeCode.DUPLICATE_LABELS else purpose
                text = message.format(format_count(count, noun))
                events.emit(Notice(code=code, message=text))


def _estimate_particles(job: TrainJob, device: torch.device, events: Events) -> ParticleStatistics:
    """Pick a sample with the general model, and compare the estimate with a given number."""
    labels = job.training.labels
    paths = choose_sample(job.training.paths, labels)
    stage = "Estimating the number of particles"
    with track_progress(events, stage, len(paths)) as advance:
        sample = pick_sample(
            *(paths, labels, job.settings, device, job.ignore), on_done=lambda: advance(1)
        )
    complete = job.held_out.labels if job.held_out and job.held_out_is_complete else None
    statistics = ParticleStatistics(sample=sample, complete=complete)
    if statistics.estimate is None:
        return statistics
    number = job.settings.particles_per_micrograph
    if number is None:
        events.emit(ParticlesEstimated(estimate=statistics.estimate))
    elif objection := statistics.estimate.objection(number):
        message = (
            f"{objection}; check the labels and --diameter-ang, or omit --particles-per-micrograph"
        )
        events.emit(Notice(code=NoticeCode.DOUBTFUL_PARTICLE_COUNT, message=message))
    return statistics


def _check_labels(job: TrainJob, statistics: ParticleStatistics, events: Events) -> None:
    """Compare the labels with the picks of the general model.

    Raises:
        InputError: They fit much better when mirrored, scaled or shifted, or lie in one corner.
    """
    factor = find_corner_factor(job.training.labels, job.training.paths)
    if factor is not None and not job.trust_labels:
        raise InputError(
            f"all labels lie in the first {1 / factor:.3g} of the width and height of their "
            f"micrographs, as if these had been {factor:g} times smaller, of another binning; "
            f"convert the table with `cryopick convert --scale {factor:g}`, or add --trust-labels"
        )
    sample = statistics.sample
    if sample is None:
        return
    shapes = {name: read_micrograph_shape(Path(name)) for name in sample.names}
    pixel_size_ang = job.settings.diameter_ang / sample.diameter_px
    check = check_labels(sample.picks, sample.labels, shapes, sample.diameter_px, pixel_size_ang)
    if check.objection and not job.trust_labels:
        table = f"{job.files['labels']}: " if job.files.get("labels") else ""
        raise InputError(
            f"{table}{check.objection}; add --trust-labels to train on the labels as they are"
        )
    if check.objection or check.doubt:
        message = check.objection or check.doubt
        events.emit(Notice(code=NoticeCode.DOUBTFUL_LABELS, message=message))


def _create_run(job: TrainJob, statistics: ParticleStatistics) -> TrainingRun:
    training = job.training
    return TrainingRun(
        model=job.model,
        settings=resolve_particle_count(
            job.settings, statistics.estimate, len(training.labels), len(training.paths)
        ),
        training=training,
        held_out=job.held_out,
        ignore=job.ignore,
    )


def _prepare(run: TrainingRun, events: Events) -> tuple[PreparedDatasets, list[Path]]:
    """Prepare all micrographs; return the datasets, and the micrographs that were skipped."""
    skipped: list[Path] = []
    total = len(run.training.paths) + (len(run.held_out.paths) if run.held_out else 0)
    with track_progress(events, "Preparing micrographs", total) as advance:

        def on_micrograph(path: Path, error: CryopickError | None) -> None:
            if error:
                skipped.append(path)
                events.emit(FileSkipped.from_error(path, error))
            advance(1)

        prepared = run.prepare(on_micrograph)
    if prepared.training.ignored_labels:
        message = (
            f"ignored {format_count(prepared.training.ignored_labels, 'label')} on borders, "
            "flat patches or ignored regions"
        )
        events.emit(Notice(code=NoticeCode.UNUSABLE_LABELS, message=message))
    return prepared, skipped


def _train(
    job: TrainJob,
    run: TrainingRun,
    prepared: PreparedDatasets,
    steps_done: int,
    device: torch.device,
    events: Events,
) -> TrainingResult:
    """Train from the last checkpoint; emit rows of the curves, and progress at each step."""
    with track_progress(events, "Training", run.total_steps - steps_done) as advance:
        last_step = steps_done

        def on_progress(step: int) -> None:
            nonlocal last_step
            advance(step - last_step)
            last_step = step

        return run.train(
            prepared,
            device,
            lambda row, is_partner: events.emit(
                CurvePoint(row=row, steps=run.settings.steps, is_partner=is_partner)
            ),
            on_progress=on_progress,
            finish=job.finish,
            devices=job.devices,
        )


def _write_metadata(
    job: TrainJob,
    run: TrainingRun,
    model: Model,
    skipped: list[Path],
    device: torch.device,
    findings: Sequence[str],
) -> None:
    metadata = job.stopwatch.collect_metadata(
        micrographs=job.training.paths,
        files={**job.files, "model": job.model},
        held_out=job.held_out.paths if job.held_out else (),
        skipped=[str(path) for path in skipped],
        findings=findings,
        device=str(device),
    )
    metadata = replace(
        metadata,
        settings=to_toml(run.settings),
        pixel_sizes_ang=model.summary["pixel_sizes_ang"],
        polarity=model.summary["polarity"],
    )
    write_run_metadata(metadata, run.folder / "run.json")


def _summarize(run: TrainingRun, prepared: PreparedDatasets, result: TrainingResult) -> str:
    store = prepared.training.store
    n_labelled = store.labelled_micrograph_count
    part = "" if n_labelled == len(store) else f"{n_labelled} of "
    return (
        f"{run.model}: trained on {format_count(store.label_count, 'label')} on {part}"
        f"{format_count(len(store), 'micrograph')}, best at step {result.best_step}"
    )
