"""Train and pick several kinds of particles: one task of each workflow for each class.

- `train_classes`: train a model of several classes.
- `pick_classes`: pick with such a model.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryopick.config import to_toml
from cryopick.errors import OutputExistsError, format_count
from cryopick.evaluate.class_merge import merge_classes
from cryopick.io.images.sizes import read_pixel_size
from cryopick.model.class_models import extract_class_models, save_class_models
from cryopick.model.model_file import load_model
from cryopick.picks import concatenate
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.metadata import write_run_metadata
from cryopick.train.labels import LabelledMicrographs
from cryopick.workflows.events import Events, Finished
from cryopick.workflows.picking import PickJob, PickResult, pick_micrographs
from cryopick.workflows.table_output import TableOutput, metadata_file, settings_file
from cryopick.workflows.training import TrainJob, train_model

__all__ = ["pick_classes", "train_classes"]

_SAME_PARTICLE_FRAC = 0.5  # of the diameter of the smallest class


def train_classes(
    job: TrainJob, labels: Mapping[str, LabelledMicrographs], events: Events
) -> tuple[Path, ...]:
    """Train a model for each class, and join them in the model file of the job.

    Labels of the other classes are negative labels of a class. The model and the run folder of
    each class stay in the folder `<model>.classes`.

    Args:
        job: Settings and output of the training; its labels are not used.
        labels: Micrographs and labels of each class.
        events: Receiver of progress.

    Returns:
        Micrographs that could not be used.

    Raises:
        OutputExistsError: The model exists and must not be overwritten.
        CryopickError: As `train_model`.
    """
    if job.model.exists() and not job.overwrite:
        raise OutputExistsError(f"{job.model}: already exists; overwrite it with --force")
    folder = job.model.with_suffix(".classes")
    models: dict[str, Path] = {}
    skipped: dict[Path, None] = {}
    for name, labelled in labels.items():
        others = [other.labels for key, other in labels.items() if key != name]
        own_negatives = [] if labelled.negatives is None else [labelled.negatives]
        training = replace(labelled, negatives=concatenate([*others, *own_negatives]))
        models[name] = folder / f"{name}.safetensors"
        trained = train_model(
            replace(job, model=models[name], training=training, overwrite=True), events
        )
        skipped |= dict.fromkeys(trained.skipped)
    save_class_models(models, job.model, overwrite=job.overwrite)
    events.emit(Finished(message=f"model of {len(models)} classes written to {job.model}"))
    return tuple(skipped)


def pick_classes(job: PickJob, output: TableOutput, events: Events) -> PickResult:
    """Pick with each class's model, and merge the picks to one table.

    Models and tables of the classes stay in the folder `<table>.classes`.

    Raises:
        OutputExistsError: The table exists and is that of another task.
        CryopickError: As `pick_micrographs`.
    """
    assert isinstance(job.model, Path), "classes are listed in a file"
    folder = Path(f"{output.out.rstrip('/')}.classes")
    if Path(output.out).is_file() and not (folder.exists() or job.overwrite):
        raise OutputExistsError(f"{output.out}: already exists; overwrite it with --force")
    results, diameters_ang = [], []
    for name, model in extract_class_models(job.model, folder).items():
        table = TableOutput.plan(
            output.micrographs, str(folder / f"{model.stem}.star"), table_format="star"
        )
        results.append(pick_micrographs(replace(job, model=model, output=table), events))
        diameters_ang.append(job.settings.diameter_ang or load_model(model).diameter_ang)
        events.emit(Finished(message=f"class {len(results)} is {name}"))
    tables = [result.picks for result in results]
    radius_ang = _SAME_PARTICLE_FRAC * min(diameters_ang)
    radius_px = {
        str(path): radius_ang / _find_pixel_size(job, path)
        for path in output.micrographs
        if any(str(path) in table.micrographs for table in tables)
    }
    picks = merge_classes(tables, radius_px)
    skipped = tuple(dict.fromkeys(path for result in results for path in result.skipped))
    metadata = job.stopwatch.collect_metadata(
        micrographs=job.micrographs,
        files={"model": job.model, **job.files},
        device=job.device,
        skipped=[str(path) for path in skipped],
    )
    with atomic_write(settings_file(output.out), overwrite=True) as temporary:
        temporary.write_text(to_toml(job.settings), encoding="utf-8")
    summary = output.write(picks)
    write_run_metadata(metadata, metadata_file(output.out))
    number = format_count(len(picks), "particle", grouped=True)
    events.emit(Finished(message=f"{number} of {len(tables)} classes; {summary}"))
    return PickResult(picks=picks, skipped=skipped)


def _find_pixel_size(job: PickJob, path: Path) -> float:
    return raw_pixel_size(path, job.settings.pixel_size_ang or read_pixel_size(path))
