"""What a run gave, as a small file that appears whole.

- `Record`: one run and what it gave.
- `key_of`, `start_digest`: the name of the file of a run, and of the model it starts from.
- `is_of`: whether a record is of a run.
- `save_record`, `read_record`, `load_records`: the files.
- `selected`: the records that have some values.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.experiments.plan import Trial
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_text
from cryopick.train.initialization import find_initial_model
from cryopick.train.settings import SamplingSettings, TrainSettings

__all__ = [
    "Record",
    "is_of",
    "key_of",
    "load_records",
    "read_record",
    "save_record",
    "selected",
    "start_digest",
]

_USUAL = asdict(TrainSettings(diameter_ang=1.0, particles_per_micrograph=1.0))
_RENAMED = {**TrainSettings.FORMER_NAMES, **SamplingSettings.FORMER_NAMES}


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run and what it gave.

    Attributes:
        labels: How many particles were labelled.
        repeat: Which draw of so many labels.
        label_seed: Seed of the draw.
        label_digest: Differs for other labels.
        prior_factor: The particles per micrograph that were told over those that there are.
        prior: π of the unlabelled regions, as it was told.
        settings: Those of the training, as a table of tables.
        start: Digest of the model that it started from; empty for random weights.
        region_average_precision: Over the regions of held-out micrographs.
        particle_average_precision: Over picks on them.
        seconds: What training and judging took.
        version: Of cryopick.
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

    def fields(self) -> dict[str, Any]:
        """What may differ between runs, by name: `prior_factor`, `start` and the settings.

        Fields of tables go by "network.width"; the seed and what follows from other fields
        are left out.
        """
        values: dict[str, Any] = {"prior_factor": self.prior_factor}
        # A setting younger than the record had what is now its default.
        for name, value in (_USUAL | dict(self.settings)).items():
            if isinstance(value, Mapping):
                whole_table = _USUAL[name] | dict(value)
                values |= {f"{name}.{below}": own for below, own in whole_table.items()}
            else:
                values[name] = value
        for name in ("seed", "particles_per_micrograph", "checkpoint_every"):
            values.pop(name, None)
        return values | {"start": self.start}


def start_digest(init: str) -> str:
    """Twelve digits that differ for other models to start from; empty for random weights."""
    file = find_initial_model(init)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file else ""


def key_of(trial: Trial) -> str:
    """A name that differs for runs that may give another result.

    Settings that have their default are left out, so that the name outlives the birth of a
    setting; `is_of` tells whether defaults have changed since.
    """
    parts = (
        json.dumps(_with_former_names(_unusual(asdict(trial.settings), _USUAL)), sort_keys=True),
        start_digest(trial.settings.init),
        str(trial.label_seed),
        f"{trial.prior_factor:g}",
    )
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return f"{trial.labels:05d}-{trial.repeat:02d}-{digest}"


def _unusual(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, and those within their tables, that do not have their default."""
    return {
        name: _unusual(own, usual[name]) if isinstance(own, Mapping) else own
        for name, own in settings.items()
        if own != usual[name]
    }


def _with_former_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Restore names that settings had before they were renamed: file names depend on them."""
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


def is_of(record: Record, trial: Trial) -> bool:
    """Whether a record of that name is of this run, all settings that it knows being equal."""
    now = json.loads(json.dumps(asdict(trial.settings)))
    return all(_agrees(now.get(name), value) for name, value in record.settings.items())


def _agrees(now: object, then: object) -> bool:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        return all(_agrees(now.get(name), value) for name, value in then.items())
    return now == then


def save_record(record: Record, path: Path) -> None:
    """Write a record, whole or not at all."""
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


def load_records(folder: Path) -> list[Record]:
    """Read what a folder of `cryopick benchmark` holds so far, by labels and repeats.

    Raises:
        InputError: It holds no record.
        FormatError: A record is damaged.
    """
    found = sorted((folder / "runs").glob("*.json"))
    if not found:
        raise InputError(f"{folder}: holds no finished run; start some with cryopick benchmark")
    return [read_record(path) for path in found]


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        FormatError: It is damaged.
    """
    try:
        values = json.loads(read_text(path))
        return Record(**values | {"settings": _with_current_names(values["settings"])})
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path}: is no record of a run of cryopick benchmark; remove it, and the run is "
            "done again"
        ) from error


def selected(records: Iterable[Record], wanted: Mapping[str, str]) -> list[Record]:
    """The records whose fields have the values that are wanted, as text.

    Several values are parted by commas. Numbers are compared as numbers.

    Raises:
        SettingsError: A field is unknown, or no record is left.
    """
    records = list(records)
    left = records
    for name, values in wanted.items():
        if records and name not in _all_fields(records[0]):
            raise SettingsError(
                f"runs have no field {name!r}; choose one of "
                f"{', '.join(sorted(_all_fields(records[0])))}"
            )
        choices = {_spelt(value) for value in values.split(",")}
        left = [record for record in left if _spelt(_all_fields(record)[name]) in choices]
    if not left:
        known = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise SettingsError(f"no run has {known}")
    return left


def _all_fields(record: Record) -> dict[str, Any]:
    return {**record.fields(), "labels": record.labels, "repeat": record.repeat}


def _spelt(value: object) -> str:
    """A value as text that is the same for 1, 1.0 and "1"."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value).lower()
