"""A run of `cryopick pick` or `cryopick train`, read from the files that it wrote.

- `ReportRequest`: where the files are now, and what to compare with.
- `ReportedRun`, `open_run`: the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryopick.errors import CryopickError, InputError, SettingsError
from cryopick.evaluate.label_sample import LabelSample
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.sizes import read_micrograph_shape
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, choose_evenly, concatenate
from cryopick.report.training import read_curves
from cryopick.runs.file_errors import translate_file_errors
from cryopick.runs.metadata import RunMetadata, read_run_metadata

if TYPE_CHECKING:
    from cryopick.model.model_file import Model
    from cryopick.pick.picker import Picker
    from cryopick.train.curves import CurveRow

__all__ = ["ReportRequest", "ReportedRun", "open_run"]

_MAX_TRAINING_MICROGRAPHS = 12  # that a report picks if no micrograph was held out
_OTHER_TABLES = ("filaments", "suggest")  # of a settings file; not settings of picking


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Options of a report; None for the value in the run's own files.

    Attributes:
        micrographs: Present location of the micrographs.
        model: Present location of the model.
        truth: True particles to compare with.
        diameter_ang: Particle diameter.
        pixel_size_ang: Ångströms per raw pixel.
        device: Torch device.
    """

    micrographs: Sequence[Path] = ()
    model: Path | None = None
    truth: Path | None = None
    diameter_ang: float | None = None
    pixel_size_ang: float | None = None
    device: str = "cpu"


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportedRun:
    """A run with its picks.

    Attributes:
        name: Name of the run's output file.
        is_training: The run trained a model. Its picks are those of the model on held-out
            micrographs, or else on some of the training micrographs.
        picks: Picks with scores, on micrographs named by their paths.
        truth: True particles on the same micrographs, if available.
        labels: Labels of a training run, on micrographs named by their paths.
        model: The model.
        picker: Picker with this model; None if the model file was not found.
        label_sample: Scores of labels that the model did not learn from, if there are any.
        rows: Training curves.
        diameter_ang: Particle diameter.
        pixel_size_ang: Ångströms per raw pixel of the first micrograph.
        metadata: Metadata of the run; empty if there is no metadata file.
        settings: Contents of the settings files, by title.
        unmatched: Micrographs of the table that were not found or cannot be read.
    """

    name: str
    is_training: bool = False
    picks: Picks
    truth: Picks | None = None
    labels: Picks | None = None
    model: "Model | None" = None
    picker: "Picker | None" = None
    label_sample: LabelSample | None = None
    rows: "Sequence[CurveRow]" = ()
    diameter_ang: float
    pixel_size_ang: float
    metadata: RunMetadata = field(default_factory=RunMetadata)
    settings: Mapping[str, str] = field(default_factory=dict)
    unmatched: Sequence[str] = ()

    @property
    def diameter_px(self) -> float:
        """Particle diameter in raw pixels."""
        return self.diameter_ang / self.pixel_size_ang

    @property
    def has_filtered_scores(self) -> bool:
        """True if the scores are filtered along elongated particles."""
        return self.picker is not None and self.picker.is_filtered


def open_run(
    path: Path, settings_file: Path, metadata_file: Path, request: ReportRequest
) -> ReportedRun:
    """Read a run from its files.

    Args:
        path: A table of picks, a folder of tables, a model, or the folder of a training run.
        settings_file: Settings beside a table; may be missing.
        metadata_file: Metadata beside a table; may be missing.
        request: Options of the report.

    Raises:
        InputError: The run or its micrographs do not exist, or its model finds no particles.
        SettingsError: The picks have no scores, or the particle diameter is unknown.
    """
    if not path.exists():
        raise InputError(
            f"{path}: no such table, model or folder; give the output of `cryopick pick` or "
            "`cryopick train`"
        )
    if path.suffix in (".safetensors", ".run"):
        return _open_training_run(path, request)
    return _open_pick_run(path, settings_file, _read_metadata(metadata_file), request)


def _read_metadata(path: Path) -> RunMetadata:
    return read_run_metadata(path) if path.is_file() else RunMetadata()


def _open_pick_run(
    path: Path, settings_file: Path, metadata: RunMetadata, request: ReportRequest
) -> ReportedRun:
    """Read the run that wrote a table of picks."""
    from cryopick.config import load_toml
    from cryopick.pick.settings import PickSettings

    table = read_picks(path)
    if not table.is_scored or not len(table):
        raise SettingsError(
            f"{path}: a report needs picks with scores, and this table has none; give a table "
            "written by `cryopick pick`"
        )
    if metadata.command and metadata.command[0] == "propose":
        raise SettingsError(
            f"{path}: a report needs scores of a model, and these are those of proposals; pick "
            "with `cryopick pick`"
        )
    has_settings = settings_file.is_file()
    settings = PickSettings()
    if has_settings:
        settings = load_toml(PickSettings, settings_file, other_tables=_OTHER_TABLES)
    paths = _find_run_micrographs(metadata, table.micrographs, request)
    matching = match_names(table, paths)
    if not len(matching.picks):
        raise _missing_micrographs_error(path, table.micrographs)
    model, picker = _load_picker(_find_model_file(metadata, request), settings, request)
    diameter_ang = request.diameter_ang or settings.diameter_ang
    diameter_ang = diameter_ang or (model.diameter_ang if model else None)
    if diameter_ang is None:
        raise SettingsError(f"{path}: the particle diameter is unknown; add --diameter-ang")
    picks = matching.picks.restrict([str(micrograph) for micrograph in paths])
    settings_text = settings_file.read_text("utf-8") if has_settings else ""
    return ReportedRun(
        name=path.name,
        picks=picks,
        truth=_read_truth(request.truth, picks),
        model=model,
        picker=picker,
        label_sample=LabelSample.from_metadata(metadata),
        diameter_ang=diameter_ang,
        pixel_size_ang=_pixel_size_ang(paths[0], request.pixel_size_ang or settings.pixel_size_ang),
        metadata=metadata,
        settings={"Pick settings": settings_text} if has_settings else {},
        unmatched=matching.unmatched,
    )


def _open_training_run(path: Path, request: ReportRequest) -> ReportedRun:
    """Read the run that trained a model."""
    from cryopick.config import load_toml
    from cryopick.model.label_scores import get_label_sample
    from cryopick.pick.settings import PickSettings
    from cryopick.train.settings import TrainSettings

    folder = path if path.suffix == ".run" else path.with_suffix(".run")
    if not (folder / "curves.tsv").is_file():
        raise InputError(
            f"{folder}: not the folder of a finished training run; give the folder that "
            "`cryopick train` wrote beside its model"
        )
    metadata = _read_metadata(folder / "run.json")
    settings = load_toml(TrainSettings, folder / "settings.toml")
    pixel_size_ang = request.pixel_size_ang or settings.pixel_size_ang
    model_file = request.model or folder.with_suffix(".safetensors")
    model, picker = _load_picker(model_file, PickSettings(pixel_size_ang=pixel_size_ang), request)
    if picker is None:
        raise InputError(f"{model_file}: no such model; give its location with --model")
    paths = _find_run_micrographs(metadata, (), request)
    labels = _read_input_table(metadata, "labels", paths)
    held_out = [metadata.resolve_path(name) for name in metadata.held_out]
    held_out = [micrograph for micrograph in held_out if micrograph.is_file()]
    picked_paths = held_out or _choose_micrographs(paths)
    if not picked_paths:
        raise _missing_micrographs_error(path, metadata.micrographs)
    picks = concatenate([picker.pick(micrograph) for micrograph in picked_paths])
    if not len(picks):
        raise InputError(
            f"{model_file}: the model finds no particles on {len(picked_paths)} micrographs, so "
            "there is nothing to report; train for more steps"
        )
    truth = _read_truth(request.truth, picks)
    if truth is None and held_out:
        truth = _read_input_table(metadata, "held-out labels", held_out)
    return ReportedRun(
        name=model_file.name,
        is_training=True,
        picks=picks,
        truth=truth.restrict(picks.micrographs) if truth else None,
        labels=labels,
        model=model,
        picker=picker,
        label_sample=get_label_sample(model, picks.micrographs) if model else None,
        rows=read_curves(folder / "curves.tsv"),
        diameter_ang=settings.diameter_ang,
        pixel_size_ang=_pixel_size_ang(picked_paths[0], pixel_size_ang),
        metadata=metadata,
        settings={"Training settings": (folder / "settings.toml").read_text("utf-8")},
    )


def _find_run_micrographs(
    metadata: RunMetadata, names: Sequence[str], request: ReportRequest
) -> list[Path]:
    """Return usable micrographs: as requested, else by the metadata, else by the table."""
    recorded = [metadata.resolve_path(name) for name in metadata.micrographs]
    paths = list(request.micrographs or recorded or map(Path, names))
    return [path for path in paths if _is_usable(path)]


def _is_usable(path: Path) -> bool:
    try:
        with translate_file_errors(path):
            read_micrograph_shape(path)
    except CryopickError:
        return False
    return True


def _choose_micrographs(paths: Sequence[Path]) -> list[Path]:
    """Choose some micrographs, evenly spaced in the list."""
    return [paths[i] for i in choose_evenly(len(paths), _MAX_TRAINING_MICROGRAPHS).tolist()]


def _missing_micrographs_error(path: Path, names: Sequence[str]) -> InputError:
    example = f", such as {names[0]}," if names else ""
    return InputError(
        f"{path}: its micrographs{example} were not found or cannot be read; give their location "
        "with -m"
    )


def _find_model_file(metadata: RunMetadata, request: ReportRequest) -> Path | None:
    if request.model or "model" not in metadata.files:
        return request.model
    file = metadata.resolve_path(metadata.files["model"])
    return file if file.is_file() else None


def _load_picker(
    file: Path | None,
    settings: Any,  # noqa: ANN401  # PickSettings, which would load torch
    request: ReportRequest,
) -> "tuple[Model | None, Picker | None]":
    """Load a model and create its picker; None if the file does not exist."""
    from cryopick.model.device import choose_device
    from cryopick.model.model_file import load_model
    from cryopick.pick.picker import Picker

    if file is None or not (file.is_file() or request.model):
        return None, None
    model = load_model(file)
    return model, Picker.create(model, settings, choose_device(request.device))


def _read_truth(file: Path | None, picks: Picks) -> Picks | None:
    """Read the true particles on the micrographs of the picks."""
    if file is None:
        return None
    truth = match_names(read_picks(file), [Path(name) for name in picks.micrographs]).picks
    if not len(truth):
        raise InputError(
            f"{file}: contains no particles on the micrographs of the run; give the table of these "
            "micrographs"
        )
    return truth.restrict(picks.micrographs)


def _read_input_table(metadata: RunMetadata, role: str, paths: Sequence[Path]) -> Picks | None:
    """Read an input table of the run, on the given micrographs; None if it no longer exists."""
    file = metadata.resolve_path(metadata.files[role]) if role in metadata.files else None
    if file is None or not file.exists() or not paths:
        return None
    table = match_names(read_picks(file), paths).picks
    return table if len(table) else None


def _pixel_size_ang(path: Path, pixel_size_ang: float | None) -> float:
    from cryopick.preprocess.dataset import raw_pixel_size

    return pixel_size_ang or raw_pixel_size(path, read_micrograph(path).pixel_size_ang)
