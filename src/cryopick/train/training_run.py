"""A training run on disk: its inputs, its folder and its model.

The folder `<model>.run/` beside the model holds settings.toml, the last checkpoint, the curves
and, until the model is written, the prepared micrographs. While a run is unfinished, the file
`unfinished` identifies its settings, micrographs and labels; only the same run resumes from there.

- `TrainingRun`: the steps of a run: `open`, `prepare`, `train`, `create_model`, `finish`.
- `PreparedDatasets`: its prepared micrographs.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from cryopick.config import hash_settings, to_toml
from cryopick.errors import CryopickError, FormatError, InputError, OutputExistsError, SettingsError
from cryopick.io.images.sizes import list_pixel_sizes
from cryopick.model.model_file import Model, save_model
from cryopick.model.networks import extract_network
from cryopick.preprocess.dataset import Dataset, Preparation, prepare_dataset
from cryopick.regions import Regions
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.ledger import identify_file
from cryopick.train.checkpoint import is_readable
from cryopick.train.curves import CurveRow
from cryopick.train.ensemble_training import find_partner_checkpoint, train_ensemble
from cryopick.train.initialization import (
    count_trained_networks,
    find_initial_model,
    load_centre_offset,
    load_initialization,
)
from cryopick.train.labels import LabelledMicrographs
from cryopick.train.loop import TrainingResult
from cryopick.train.settings import TrainSettings
from cryopick.train.validation import HeldOutValidator

__all__ = ["PreparedDatasets", "TrainingRun"]


@dataclass(frozen=True)
class PreparedDatasets:
    """Prepared micrographs of a run.

    Attributes:
        training: Micrographs to train on.
        held_out: Micrographs to evaluate on, if there are any.
    """

    training: Dataset
    held_out: Dataset | None


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A training run on disk.

    Attributes:
        model: Model file to write.
        settings: What to train and how.
        training: Micrographs and labels to train on.
        held_out: Micrographs and labels to evaluate on at each checkpoint.
        ignore: Regions to ignore on all of them, on micrographs named by their paths.
    """

    model: Path
    settings: TrainSettings
    training: LabelledMicrographs
    held_out: LabelledMicrographs | None = None
    ignore: Regions = field(default_factory=lambda: Regions({}))

    @property
    def folder(self) -> Path:
        """Folder of the run, beside the model."""
        return self.model.with_name(f"{self.model.stem}.run")

    @property
    def checkpoint(self) -> Path:
        """File of the last checkpoint."""
        return self.folder / "checkpoint.safetensors"

    @property
    def total_steps(self) -> int:
        """Number of steps of all networks that are trained."""
        return self.settings.steps * count_trained_networks(self.settings.init)

    def open(self, *, overwrite: bool, resume: bool) -> int:
        """Prepare the folder to start the run or to resume it.

        Args:
            overwrite: Replace the model, and discard an unfinished run unless it is resumed.
            resume: Resume an unfinished run, and do not start a new one.

        Returns:
            Number of steps completed before.

        Raises:
            OutputExistsError: The model exists and is not to be replaced.
            InputError: There is no run to resume.
            SettingsError: An unfinished run has other settings, micrographs or labels.
        """
        if self.model.exists() and not overwrite:
            raise OutputExistsError(
                f"{self.model}: already exists; overwrite it with --force or choose another name"
            )
        for temporary in self.folder.glob(".*"):  # left by a process that was killed
            temporary.unlink()
        marker, identity = self.folder / "unfinished", self._identity()
        possible = (find_partner_checkpoint(self.checkpoint), self.checkpoint)
        checkpoints = [path for path in possible if path.exists()]
        is_unfinished = marker.exists() and bool(checkpoints)
        if is_unfinished and not resume and not all(map(is_readable, checkpoints)):
            is_unfinished = False  # damage costs the steps, but the run starts again by itself
        if resume and not is_unfinished:
            raise InputError(
                f"{self.folder}: contains no unfinished run; start one without --resume"
            )
        if is_unfinished and (resume or not overwrite):
            if marker.read_bytes() != identity.encode():
                raise SettingsError(
                    f"{self.folder}: contains an unfinished run with other settings, micrographs "
                    "or labels; repeat its command to finish it, or start again with --force"
                )
            return sum(map(_read_step, checkpoints))
        for path in checkpoints:
            path.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(to_toml(self.settings), encoding="utf-8")
        with atomic_write(marker, overwrite=True) as temporary:
            temporary.write_text(identity)
        return 0

    def prepare(self, on_done: Callable[[Path, CryopickError | None], None]) -> PreparedDatasets:
        """Prepare all micrographs for the network.

        Args:
            on_done: Called for each micrograph, with the error if it is skipped.

        Raises:
            InputError: No micrograph can be used, or none with a label.
        """
        folder = self.folder / "prepared"
        preparation = Preparation(
            working_size_ang=self.settings.working_size_ang,
            pixel_size_ang=self.settings.pixel_size_ang,
            normalization=self.settings.normalization,
            inverted=self.settings.contrast == "bright",
            clearance_px=self.settings.diameter_px / 2,
            ignore=self.ignore,
        )
        training = prepare_dataset(
            self.training.paths,
            self.training.labels,
            preparation,
            folder / "training",
            negatives=self.training.negatives,
            on_done=on_done,
        )
        if not training.store.label_count:
            raise InputError(
                "all labels lie on micrographs that were skipped, on borders or in ignored "
                "regions; repair one of these micrographs, or label others"
            )
        if self.held_out is None:
            return PreparedDatasets(training, None)
        held_out = prepare_dataset(
            self.held_out.paths,
            self.held_out.labels,
            replace(preparation, normalization=training.normalization),
            folder / "held-out",
            on_done=on_done,
        )
        return PreparedDatasets(training, held_out)

    def train(
        self,
        prepared: PreparedDatasets,
        device: torch.device,
        on_row: Callable[[CurveRow, bool], None],
        *,
        on_progress: Callable[[int], None] = lambda _: None,
        finish: bool = False,
        devices: int = 1,
    ) -> TrainingResult:
        """Train the network, from the last checkpoint if there is one.

        Args:
            prepared: The datasets from `prepare`.
            device: Device to compute on.
            on_row: Called with each new row of the curves, and true if it is of the partner.
            on_progress: Called with the number of steps of all networks after each of them.
            finish: Take the best network up to the last checkpoint without training further.
            devices: Number of such devices that share each minibatch.

        Raises:
            SettingsError: The prior and the labels contradict each other.
            FormatError: The checkpoint is damaged.
            InputError: The model given as `init` is missing.
        """
        start = load_initialization(self.settings, prepared.training.store)
        make_validator = None
        if prepared.held_out:
            make_validator = partial(
                HeldOutValidator.for_training, self.settings, prepared.held_out.store
            )
        return train_ensemble(
            start,
            self.checkpoint,
            device=device,
            devices=1 if finish else devices,
            make_validator=make_validator,
            on_row=on_row,
            on_progress=on_progress,
            finish=finish,
        )

    def create_model(self, prepared: PreparedDatasets, result: TrainingResult) -> Model:
        """Return the trained model, without calibration."""
        return Model(
            network=extract_network(result.best),
            diameter_ang=self.settings.diameter_ang,
            working_pixel_size_ang=self.settings.working_size_ang,
            normalization=prepared.training.normalization,
            label_radius_px=self.settings.sampling.label_radius_px,
            partner=result.partner,
            scale_ang=self.settings.scale_ang,
            width_ang=self.settings.width_ang,
            centre_offset_px=load_centre_offset(self.settings.init),
            summary=self._summary(prepared, result),
        )

    def finish(self, model: Model, result: TrainingResult) -> None:
        """Write the curves and the model, and remove the prepared micrographs."""
        with atomic_write(self.folder / "curves.tsv", overwrite=True) as temporary:
            temporary.write_text(result.curves.to_tsv(), encoding="utf-8")
        save_model(model, self.model, overwrite=True)  # `open` has checked that it may be replaced
        (self.folder / "unfinished").unlink()
        shutil.rmtree(self.folder / "prepared")

    def _summary(self, prepared: PreparedDatasets, result: TrainingResult) -> dict[str, Any]:
        """Summarize the run for the model file, without dates and paths: it is reproducible."""
        rows = [row for row in result.curves.rows if row.step == result.best_step]
        held_out = None
        if prepared.held_out and rows:
            held_out = {
                **_counts(prepared.held_out),
                "region_average_precision": rows[0].region_average_precision,
                "particle_average_precision": rows[0].particle_average_precision,
            }
        return {
            "version": version("cryopick"),
            "settings": asdict(self.settings),
            "checksums": self.training.collect_checksums(),
            "pixel_sizes_ang": list_pixel_sizes(self.training.paths, self.settings.pixel_size_ang),
            "polarity": "bright" if prepared.training.normalization.inverted else "as trained",
            "prior": result.prior,
            "training": _counts(prepared.training),
            "held_out": held_out,
            "best_step": result.best_step,
        }

    def _identity(self) -> str:
        lines = [hash_settings(self.settings), *self.training.identity_lines()]
        if start := find_initial_model(self.settings.init):
            lines.append(identify_file(start))
        if self.held_out:
            lines += ["held out", *self.held_out.identity_lines()]
        if self.ignore.polygons:
            lines.append(self.ignore.fingerprint)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _counts(dataset: Dataset) -> dict[str, int]:
    counts = {
        "micrographs": len(dataset.paths),
        "labels": dataset.store.label_count,
        "labelled_micrographs": dataset.store.labelled_micrograph_count,
    }
    negatives = sum(map(len, dataset.store.negatives_px))
    return {**counts, "negatives": negatives} if negatives else counts


def _read_step(checkpoint: Path) -> int:
    try:
        with safe_open(checkpoint, framework="numpy") as file:
            return int(json.loads((file.metadata() or {})["cryopick-run"])["step"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(
            f"{checkpoint}: the checkpoint cannot be read; start again with --force"
        ) from error
