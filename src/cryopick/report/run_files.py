"""A run of `cryopick pick` or `cryopick train`, found again from the files that it left.

- `Wanted`: what the reader of a report asks for beyond the run itself.
- `Run`, `open_run`: the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryopick.errors import InputError, SettingsError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, choose_evenly, concatenate
from cryopick.report.training import read_curves
from cryopick.runs.metadata import RunMetadata, read_run_metadata

if TYPE_CHECKING:
    from cryopick.model.model_file import Model
    from cryopick.pick.picker import Picker
    from cryopick.train.curves import CurveRow

__all__ = ["Run", "Wanted", "open_run"]

_MOST = 12  # micrographs that a report on a training picks by itself


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the reader asks for beyond the run itself; None is found out.

    Attributes:
        micrographs: Where the micrographs are now.
        model: Where the model is now.
        truth: Known particles to judge by.
        diameter_ang: Particle diameter.
        pixel_size_ang: Ångströms per raw pixel.
        device: Where to compute, as torch calls it.
    """

    micrographs: Sequence[Path] = ()
    model: Path | None = None
    truth: Path | None = None
    diameter_ang: float | None = None
    pixel_size_ang: float | None = None
    device: str = "cpu"


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """What a run did, with picks to look at.

    Attributes:
        name: What the run made.
        is_training: Whether a model was learnt; its picks are then those of the model on
            held-out micrographs, or on some that it learnt from.
        picks: Picks with scores, on micrographs named by their paths.
        truth: Known particles on the same micrographs, if any are known.
        labels: What a training was told, on micrographs named by their paths.
        model: The model.
        picker: The model made ready; None if its file is not at hand.
        rows: The course of a training.
        diameter_ang: Particle diameter.
        pixel_size_ang: Ångströms per raw pixel of the first micrograph.
        record: The record of the run; empty if there is none.
        settings: Settings by title, as they were written.
        unmatched: Micrographs of the table that are not at hand.
    """

    name: str
    is_training: bool = False
    picks: Picks
    truth: Picks | None = None
    labels: Picks | None = None
    model: "Model | None" = None
    picker: "Picker | None" = None
    rows: "Sequence[CurveRow]" = ()
    diameter_ang: float
    pixel_size_ang: float
    record: RunMetadata = field(default_factory=RunMetadata)
    settings: Mapping[str, str] = field(default_factory=dict)
    unmatched: Sequence[str] = ()

    @property
    def diameter_px(self) -> float:
        """Particle diameter in raw pixels."""
        return self.diameter_ang / self.pixel_size_ang


def open_run(path: Path, settings: Path, record: Path, wanted: Wanted) -> Run:
    """Find a run again.

    Args:
        path: A table of picks or a folder of tables; or a model or the folder of its training.
        settings: Settings that lie beside a table; they may be missing.
        record: The record that lies beside a table; it may be missing.
        wanted: What the reader asks for.

    Raises:
        InputError: There is no such run, its micrographs are not at hand, or its model finds
            nothing on them.
        SettingsError: The picks have no scores, or the diameter is not known.
    """
    if not path.exists():
        raise InputError(f"{path}: no such table, model or folder; name what a run has made")
    if path.suffix in (".safetensors", ".run"):
        return _training(path, wanted)
    return _picking(path, settings, _record(record), wanted)


def _record(path: Path) -> RunMetadata:
    return read_run_metadata(path) if path.is_file() else RunMetadata()


def _picking(path: Path, settings_file: Path, record: RunMetadata, wanted: Wanted) -> Run:
    """The run that made a table of picks."""
    from cryopick.config import load_toml
    from cryopick.pick.settings import PickSettings

    table = read_picks(path)
    if not table.is_scored or not len(table):
        raise SettingsError(
            f"{path}: a report needs picks with scores, and these have none; give the table that "
            "`cryopick pick` wrote"
        )
    known = settings_file.is_file()
    settings = load_toml(PickSettings, settings_file) if known else PickSettings()
    paths = _at_hand(record, table.micrographs, wanted)
    matched = match_names(table, paths)
    if not len(matched.picks):
        raise _not_at_hand(path, table.micrographs)
    model, picker = _ready(_model_file(record, wanted), settings, wanted)
    diameter_ang = wanted.diameter_ang or settings.diameter_ang
    diameter_ang = diameter_ang or (model.diameter_ang if model else None)
    if diameter_ang is None:
        raise SettingsError(f"{path}: nothing tells the particle's diameter; add --diameter-ang")
    picks = matched.picks.restrict([str(own) for own in paths])
    return Run(
        name=path.name,
        picks=picks,
        truth=_truth(wanted.truth, picks),
        model=model,
        picker=picker,
        diameter_ang=diameter_ang,
        pixel_size_ang=_pixel_size(paths[0], wanted.pixel_size_ang or settings.pixel_size_ang),
        record=record,
        settings={"Settings of the picking": settings_file.read_text("utf-8")} if known else {},
        unmatched=matched.unmatched,
    )


def _training(path: Path, wanted: Wanted) -> Run:
    """The run that made a model."""
    from cryopick.config import load_toml
    from cryopick.pick.settings import PickSettings
    from cryopick.train.settings import TrainSettings

    folder = path if path.suffix == ".run" else path.with_suffix(".run")
    if not (folder / "curves.tsv").is_file():
        raise InputError(
            f"{folder}: holds no finished training; give the folder that `cryopick train` wrote "
            "beside its model"
        )
    record = _record(folder / "run.json")
    settings = load_toml(TrainSettings, folder / "settings.toml")
    pixel_size_ang = wanted.pixel_size_ang or settings.pixel_size_ang
    model_file = wanted.model or folder.with_suffix(".safetensors")
    model, picker = _ready(model_file, PickSettings(pixel_size_ang=pixel_size_ang), wanted)
    if picker is None:
        raise InputError(f"{model_file}: no such model; say where it is now with --model")
    paths = _at_hand(record, (), wanted)
    labels = _table_on(record, "labels", paths)
    held_out = [record.resolve_path(name) for name in record.held_out]
    held_out = [own for own in held_out if own.is_file()]
    shown = held_out or _some(paths)
    if not shown:
        raise _not_at_hand(path, record.micrographs)
    picks = concatenate([picker.pick(own) for own in shown])
    if not len(picks):
        raise InputError(
            f"{model_file}: finds nothing on {len(shown)} micrographs, so that there is nothing to "
            "tell; train it for more steps"
        )
    truth = _truth(wanted.truth, picks)
    if truth is None and held_out:
        truth = _table_on(record, "held-out labels", held_out)
    return Run(
        name=model_file.name,
        is_training=True,
        picks=picks,
        truth=truth.restrict(picks.micrographs) if truth else None,
        labels=labels,
        model=model,
        picker=picker,
        rows=read_curves(folder / "curves.tsv"),
        diameter_ang=settings.diameter_ang,
        pixel_size_ang=_pixel_size(shown[0], pixel_size_ang),
        record=record,
        settings={"Settings of the training": (folder / "settings.toml").read_text("utf-8")},
    )


def _at_hand(record: RunMetadata, names: Sequence[str], wanted: Wanted) -> list[Path]:
    """The micrographs that are there, from what says best where they are."""
    if wanted.micrographs:
        return list(wanted.micrographs)
    listed = [record.resolve_path(name) for name in record.micrographs] or [
        Path(name) for name in names
    ]
    return [path for path in listed if path.is_file()]


def _some(paths: Sequence[Path]) -> list[Path]:
    """A few of many, evenly drawn."""
    return [paths[i] for i in choose_evenly(len(paths), _MOST).tolist()]


def _not_at_hand(path: Path, names: Sequence[str]) -> InputError:
    first = f", such as {names[0]}," if names else ""
    return InputError(
        f"{path}: its micrographs{first} are not at hand; say where they are now with -m"
    )


def _model_file(record: RunMetadata, wanted: Wanted) -> Path | None:
    if wanted.model or "model" not in record.files:
        return wanted.model
    file = record.resolve_path(record.files["model"])
    return file if file.is_file() else None


def _ready(
    file: Path | None,
    settings: Any,  # noqa: ANN401  # PickSettings, which would load torch
    wanted: Wanted,
) -> "tuple[Model | None, Picker | None]":
    """The model, and the same made ready to pick; None where the file is not there."""
    import torch

    from cryopick.model.model_file import load_model
    from cryopick.pick.picker import Picker

    if file is None or not (file.is_file() or wanted.model):
        return None, None
    model = load_model(file)
    return model, Picker.create(model, settings, torch.device(wanted.device))


def _truth(file: Path | None, picks: Picks) -> Picks | None:
    """Known particles on the micrographs of the picks."""
    if file is None:
        return None
    known = match_names(read_picks(file), [Path(name) for name in picks.micrographs]).picks
    if not len(known):
        raise InputError(f"{file}: no known particle lies on a micrograph of the run")
    return known.restrict(picks.micrographs)


def _table_on(record: RunMetadata, what: str, paths: Sequence[Path]) -> Picks | None:
    """A table that the run was given, on the micrographs at hand; None if it is gone."""
    file = record.resolve_path(record.files[what]) if what in record.files else None
    if file is None or not file.exists() or not paths:
        return None
    found = match_names(read_picks(file), paths).picks
    return found if len(found) else None


def _pixel_size(path: Path, given_ang: float | None) -> float:
    from cryopick.preprocess.dataset import raw_pixel_size

    return given_ang or raw_pixel_size(path, read_micrograph(path).pixel_size_ang)
