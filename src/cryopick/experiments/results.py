"""Records of finished trials, each in one JSON file.

- `TrialRecord`: the settings and results of a trial.
- `record_name`, `digest_initial_model`: names that identify a trial and its initial weights.
- `matches_trial`: compares a record with a trial.
- `save_record`, `read_record`, `load_records`: writing and reading of files.
- `select_records`: filters records by the values of their fields.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.experiments.plan import Trial
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_text
from cryopick.train.initialization import find_initial_model
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import TrainSettings

__all__ = [
    "TrialRecord",
    "digest_initial_model",
    "load_records",
    "matches_trial",
    "read_record",
    "record_name",
    "save_record",
    "select_records",
]

_DEFAULTS = asdict(TrainSettings(diameter_ang=1.0, particles_per_micrograph=1.0))
_RENAMED = {**TrainSettings.FORMER_NAMES, **SamplingSettings.FORMER_NAMES}


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """Settings and results of a trial.

    Attributes:
        labels: Number of labels.
        repeat: Number of the draw of labels, from 0.
        label_seed: Seed of the draw.
        label_digest: Digest of the labels.
        prior_factor: Ratio of the expected to the true number of particles per micrograph.
        prior: Class prior π of the unlabelled regions.
        settings: Training settings, as nested tables.
        start: Digest of the initial model; empty for random weights.
        region_average_precision: Average precision of the regions of held-out micrographs.
        particle_average_precision: Average precision of the picks on held-out micrographs.
        seconds: Duration of training and evaluation.
        version: Version of cryopick.
        curve: Step, average precision of regions and that of picks, at each evaluation; empty if
            the network was evaluated only at the end.
    """

    labels: int
    repeat: int
    label_seed: int
    label_digest: str
    prior_factor: float
    prior: float
    settings: Mapping[str, Any]
    start: str
    region_average_precision: float
    particle_average_precision: float
    seconds: float
    version: str
    curve: Sequence[tuple[int, float, float]] = ()

    @property
    def steps(self) -> int:
        """Number of training steps."""
        return int(self.settings["steps"])

    def evaluations(self) -> list["TrialRecord"]:
        """Return one record per evaluation of the curve, as if training had ended there.

        The learning rate is that of the whole run, so this is exact only with a constant one.
        """
        return [
            replace(
                self,
                settings={**self.settings, "steps": step},
                region_average_precision=regions,
                particle_average_precision=particles,
            )
            for step, regions, particles in self.curve
        ]

    def fields(self) -> dict[str, Any]:
        """Return the fields that define the method: `prior_factor`, `start` and the settings.

        Fields of nested tables have names such as "network.width". The seed and values that
        follow from other fields are excluded.
        """
        values: dict[str, Any] = {"prior_factor": self.prior_factor}
        # Settings that did not exist when the record was written have their default.
        for name, value in (_DEFAULTS | dict(self.settings)).items():
            if isinstance(value, Mapping):
                table = _DEFAULTS[name] | dict(value)
                values |= {f"{name}.{key}": entry for key, entry in table.items()}
            else:
                values[name] = value
        for name in ("seed", "particles_per_micrograph", "checkpoint_every"):
            values.pop(name, None)
        return values | {"start": self.start}


def digest_initial_model(init: str) -> str:
    """Return 12 hexadecimal digits of the hash of the initial model; empty for random weights."""
    file = find_initial_model(init)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file else ""


def record_name(trial: Trial) -> str:
    """Return a name that differs between trials that may have different results.

    The name depends only on settings that differ from their default, so it does not change when a
    new setting is introduced. `matches_trial` detects defaults that have changed since.
    """
    parts = (
        json.dumps(
            _with_former_names(_without_defaults(asdict(trial.settings), _DEFAULTS)), sort_keys=True
        ),
        digest_initial_model(trial.settings.init),
        str(trial.label_seed),
        f"{trial.prior_factor:g}",
    )
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return f"{trial.labels:05d}-{trial.repeat:02d}-{digest}"


def _without_defaults(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, in nested tables too, that differ from their default."""
    return {
        name: _without_defaults(value, defaults[name]) if isinstance(value, Mapping) else value
        for name, value in settings.items()
        if value != defaults[name]
    }


def _with_former_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Restore the former names of renamed settings, on which the names of records depend."""
    former = {new: old for old, new in _RENAMED.items()}
    return {
        former.get(name, name): _with_former_names(value) if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }


def _with_current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the names of settings that were renamed after a record was written."""
    return {
        _RENAMED.get(name, name): _with_current_names(value)
        if isinstance(value, Mapping)
        else value
        for name, value in settings.items()
    }


def matches_trial(record: TrialRecord, trial: Trial) -> bool:
    """Return true if a record has the settings of a trial of the same name, and its curve."""
    if trial.evaluate_every and not record.curve:
        return False
    settings = json.loads(json.dumps(asdict(trial.settings)))
    return all(_is_equal(settings.get(name), value) for name, value in record.settings.items())


def _is_equal(present: object, recorded: object) -> bool:
    if isinstance(recorded, Mapping) and isinstance(present, Mapping):
        return all(_is_equal(present.get(name), value) for name, value in recorded.items())
    return present == recorded


def save_record(record: TrialRecord, path: Path) -> None:
    """Write a record atomically."""
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


def load_records(folder: Path) -> list[TrialRecord]:
    """Read the records of a folder of `cryopick benchmark`, by number of labels and repeat.

    Raises:
        InputError: The folder contains no record.
        FormatError: A record is invalid.
    """
    paths = sorted((folder / "runs").glob("*.json"))
    if not paths:
        raise InputError(f"{folder}: contains no finished trial; run cryopick benchmark first")
    return [read_record(path) for path in paths]


def read_record(path: Path) -> TrialRecord:
    """Read a record.

    Raises:
        FormatError: The record is invalid.
    """
    try:
        values = json.loads(read_text(path))
        values["settings"] = _with_current_names(values["settings"])
        values["curve"] = tuple(tuple(row) for row in values.get("curve", ()))
        return TrialRecord(**values)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(
            f"{path}: not a record of cryopick benchmark; remove it and repeat the benchmark"
        ) from error


def select_records(
    records: Iterable[TrialRecord], conditions: Mapping[str, str]
) -> list[TrialRecord]:
    """Return the records whose fields have the given values.

    Args:
        records: The records.
        conditions: Accepted values of each field, separated by commas; numbers are compared as
            numbers.

    Raises:
        SettingsError: A field does not exist, or no record meets the conditions.
    """
    records = list(records)
    selection = records
    for name, values in conditions.items():
        if records and name not in _all_fields(records[0]):
            raise SettingsError(
                f"trials have no field {name!r}; choose one of "
                f"{', '.join(sorted(_all_fields(records[0])))}"
            )
        choices = {_normalize_value(value) for value in values.split(",")}
        selection = [
            record for record in selection if _normalize_value(_all_fields(record)[name]) in choices
        ]
    if not selection:
        text = ", ".join(f"{name}={value}" for name, value in conditions.items())
        raise SettingsError(f"no trial has {text}; change --where")
    return selection


def _all_fields(record: TrialRecord) -> dict[str, Any]:
    return {**record.fields(), "labels": record.labels, "repeat": record.repeat}


def _normalize_value(value: object) -> str:
    """Convert a value to text that is equal for 1, 1.0 and "1"."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value).lower()
