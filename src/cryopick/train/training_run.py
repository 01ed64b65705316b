"""A training run on disk: what it learns from, its folder, and the model it ends with.

The folder `<model>.run/` beside the model holds settings.toml, the last checkpoint, the curves
and, until the model is written, the prepared micrographs. A file `unfinished` in it names the
settings, micrographs and labels of a run that was cut off; only the same run goes on from there.

- `Run`: the run, step by step: `open`, `prepare`, `learn`, `finish`.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from cryopick.config import settings_hash, to_toml
from cryopick.errors import CryopickError, FormatError, InputError, OutputExistsError, SettingsError
from cryopick.model.ensemble import Guide
from cryopick.model.model_file import Model, save_model
from cryopick.preprocess.dataset import Dataset, Preparation, prepare_dataset
from cryopick.preprocess.store import Store
from cryopick.regions import Regions
from cryopick.runs.atomic_write import whole
from cryopick.runs.ledger import file_identity
from cryopick.train.curves import Row
from cryopick.train.fabric import train_on
from cryopick.train.initialization import load_start, starting_file
from cryopick.train.labels import Labelled
from cryopick.train.loop import HeldOut, Outcome
from cryopick.train.settings import TrainSettings

__all__ = ["Prepared", "Run"]


@dataclass(frozen=True)
class Prepared:
    """What a run learns from and, if anything is held out, what it is judged by."""

    training: Dataset
    held_out: Dataset | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run on disk.

    Attributes:
        model: The file to end with.
        settings: What to learn and how.
        training: What to learn from.
        held_out: What to judge by on the way.
        ignore: Regions to keep out of both, on micrographs named by their paths.
    """

    model: Path
    settings: TrainSettings
    training: Labelled
    held_out: Labelled | None = None
    ignore: Regions = field(default_factory=lambda: Regions({}))

    @property
    def folder(self) -> Path:
        """Where the run is kept, beside the model."""
        return self.model.with_name(f"{self.model.stem}.run")

    @property
    def checkpoint(self) -> Path:
        """The last state of the run."""
        return self.folder / "checkpoint.safetensors"

    def open(self, *, overwrite: bool, resume: bool) -> int:
        """Make the folder ready to start the run, or to go on with it.

        Args:
            overwrite: Replace the model, and drop an unfinished run unless it is to be
                resumed.
            resume: Go on, and do not start.

        Returns:
            Steps that are done already.

        Raises:
            OutputExistsError: The model exists and is not to be replaced.
            InputError: There is no run to resume.
            SettingsError: An unfinished run is of other settings, micrographs or labels.
        """
        if self.model.exists() and not overwrite:
            raise OutputExistsError(
                f"{self.model}: exists already; replace it with --force or name another"
            )
        for cut_short in self.folder.glob(".*"):  # what a kill left of a file being written
            cut_short.unlink()
        mark, identity = self.folder / "unfinished", self._identity()
        is_unfinished = mark.exists() and self.checkpoint.exists()
        if resume and not is_unfinished:
            raise InputError(f"{self.folder}: holds no unfinished run; start one without --resume")
        if is_unfinished and (resume or not overwrite):
            if mark.read_text() != identity:
                raise SettingsError(
                    f"{self.folder}: holds an unfinished run of other settings, micrographs or "
                    "labels; repeat its command to finish it, or start afresh with --force"
                )
            return _steps_done(self.checkpoint)
        self.checkpoint.unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole(self.folder / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(to_toml(self.settings), encoding="utf-8")
        with whole(mark, overwrite=True) as temporary:
            temporary.write_text(identity)
        return 0

    def prepare(self, on_done: Callable[[Path, CryopickError | None], None]) -> Prepared:
        """Prepare all micrographs, those held out as those to learn from.

        Args:
            on_done: Called for each micrograph, with the error if it is left out.

        Raises:
            InputError: No micrograph can be used, or none with a label.
        """
        own, judged, folder = self.training, self.held_out, self.folder / "prepared"
        preparation = Preparation(
            working_size_ang=self.settings.working_size_ang,
            pixel_size_ang=self.settings.pixel_size_ang,
            normalization=self.settings.normalization,
            clearance_px=self.settings.diameter_ang / self.settings.working_size_ang / 2,
            ignore=self.ignore,
        )
        training = prepare_dataset(
            own.paths,
            own.labels,
            preparation,
            folder / "training",
            negatives=own.negatives,
            on_done=on_done,
        )
        if not training.store.labelled:
            raise InputError(
                "all labels lie on micrographs that were skipped, on borders or in ignored "
                "regions; mend one of them, or label others"
            )
        if judged is None:
            return Prepared(training, None)
        alike, to = replace(preparation, normalization=training.normalization), folder / "held-out"
        held_out = prepare_dataset(judged.paths, judged.labels, alike, to, on_done=on_done)
        return Prepared(training, held_out)

    def learn(
        self,
        prepared: Prepared,
        judge: Callable[[Store, Guide | None], HeldOut],
        device: torch.device,
        on_row: Callable[[Row], None],
        *,
        finish: bool = False,
        devices: int = 1,
    ) -> Outcome:
        """Train, from the last checkpoint on where there is one.

        Args:
            prepared: What `prepare` made.
            judge: Makes the judge of held-out micrographs, given the guide if any.
            device: Where to compute.
            on_row: Called with each new row of the curves.
            finish: Take the best network up to the last checkpoint, and learn no further.
            devices: How many such devices share each step.

        Raises:
            SettingsError: The prior and the labels contradict each other.
            FormatError: The checkpoint is damaged.
            InputError: The model to start from is missing.
        """
        start = load_start(self.settings, prepared.training.store)
        held_out = judge(prepared.held_out.store, start.guide) if prepared.held_out else None
        return train_on(
            1 if finish else devices,
            device,
            on_row,
            store=prepared.training.store,
            settings=self.settings,
            checkpoint=self.checkpoint,
            start=start.scorer,
            guide=start.guide,
            held_out=held_out,
            finish=finish,
        )

    def model_of(self, prepared: Prepared, outcome: Outcome) -> Model:
        """The model that training ended with, its scores as they are."""
        return Model(
            scorer=outcome.best,
            diameter_ang=self.settings.diameter_ang,
            working_pixel_size_ang=self.settings.working_size_ang,
            normalization=prepared.training.normalization,
            label_radius_px=self.settings.sampling.label_radius_px,
            guide=outcome.guide,
            summary=self._summary(prepared, outcome),
        )

    def finish(self, model: Model, outcome: Outcome) -> None:
        """Write curves and model; the prepared micrographs go."""
        with whole(self.folder / "curves.tsv", overwrite=True) as temporary:
            temporary.write_text(outcome.curves.to_tsv(), encoding="utf-8")
        save_model(model, self.model, overwrite=True)  # `open` has asked
        (self.folder / "unfinished").unlink()
        shutil.rmtree(self.folder / "prepared")

    def _summary(self, prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
        """What made the model, the same for the same run: no date, no place."""
        rows = [row for row in outcome.curves.rows if row.step == outcome.best_step]
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
            "prior": outcome.prior,
            "training": _counts(prepared.training),
            "held_out": held_out,
            "best_step": outcome.best_step,
        }

    def _identity(self) -> str:
        lines = [settings_hash(self.settings), *self.training.identity()]
        if start := starting_file(self.settings.init):
            lines.append(file_identity(start))
        if self.held_out:
            lines += ["held out", *self.held_out.identity()]
        if self.ignore.polygons:
            lines.append(self.ignore.fingerprint)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _counts(dataset: Dataset) -> dict[str, int]:
    counts = {"micrographs": len(dataset.paths), "labels": dataset.store.labelled}
    negatives = sum(map(len, dataset.store.negatives_px))
    return {**counts, "negatives": negatives} if negatives else counts


def _steps_done(checkpoint: Path) -> int:
    try:
        with safe_open(checkpoint, framework="numpy") as file:
            return int(json.loads((file.metadata() or {})["cryopick-run"])["step"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{checkpoint}: the checkpoint cannot be read; start afresh with --force"
        ) from error
