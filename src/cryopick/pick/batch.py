"""Pick many micrographs, with a ledger of results so that an interrupted run can be resumed.

- `PickBatch`: a model and settings applied to many micrographs.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.config import to_toml
from cryopick.errors import MissingPixelSizeError, SettingsError
from cryopick.inference.engine import resolve_precision
from cryopick.io.images.mrc import write_mrc
from cryopick.model.device import AnyDevice
from cryopick.model.model_file import Model, load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks
from cryopick.regions import Regions
from cryopick.runs.ledger import Ledger

__all__ = ["PickBatch"]

_PICKS, _SCORES = "picks", "scores"


@dataclass(frozen=True)
class PickBatch:
    """A model and settings that are applied to many micrographs.

    Attributes:
        picker: The model on a device, with the settings of picking.
        model_file: Name and digest of the model file.
        number_format: Floating-point type of the convolutions.
    """

    picker: Picker
    model_file: str
    number_format: str

    @classmethod
    def open(
        cls,
        model: Path,
        settings: PickSettings,
        device: AnyDevice,
        order: Sequence[Path] = (),
        ignore: Regions | None = None,
    ) -> "PickBatch":
        """Load a model and check the settings.

        Args:
            model: The model file.
            settings: Settings of picking.
            device: Device to compute on.
            order: Micrographs in the expected order of the calls; the next ones are processed in
                the background.
            ignore: Exclusion regions, on micrographs named by their paths.

        Raises:
            InputError: The model file is missing or is not a model.
            SettingsError: The settings do not match the network.
        """
        batch = cls.create(load_model(model), model, settings, device, ignore)
        return batch._prefetch(order) if order else batch

    @classmethod
    def create(
        cls,
        model: Model,
        model_file: Path,
        settings: PickSettings,
        device: AnyDevice,
        ignore: Regions | None = None,
    ) -> "PickBatch":
        """Check the settings; the model is loaded already from its file.

        Raises:
            SettingsError: The settings do not match the network.
        """
        stride = model.network.stride_px
        if settings.step_px is not None and stride % settings.step_px:
            raise SettingsError(
                f"--step-px must divide the stride of the network, {stride} pixels; "
                f"got {settings.step_px}"
            )
        digest = hashlib.sha256(model_file.read_bytes()).hexdigest()[:16]
        picker = Picker.create(model, settings, device, ignore=ignore)
        number_format = resolve_precision(settings.precision, device)
        return cls(picker, f"{model_file.name} (sha256 {digest}…)", number_format)

    def describe(self) -> str:
        """Describe the settings as TOML, with the model and the precision in comments above."""
        comments = f"# model: {self.model_file}\n# convolutions: {self.number_format}\n"
        if self.picker.ignore.polygons:
            comments += f"# ignored regions: {self.picker.ignore.fingerprint}\n"
        return comments + to_toml(self.picker.settings)

    def open_ledger(self, output: Path, command: str) -> Ledger:
        """Open the ledger of an output file for a command."""
        return Ledger.for_output(output, [command, self.describe()])

    def prefetch_picks(self, paths: Sequence[Path], ledger: Ledger) -> "PickBatch":
        """Return a batch that prefetches the picks missing from the ledger."""
        return self._prefetch(ledger.list_missing(paths, _PICKS))

    def prefetch_scores(self, outputs: Mapping[Path, Path], ledger: Ledger) -> "PickBatch":
        """Return a batch that prefetches the score maps missing from the ledger."""
        return self._prefetch(ledger.list_missing(outputs, _SCORES, outputs))

    def _prefetch(self, order: Sequence[Path]) -> "PickBatch":
        return replace(self, picker=replace(self.picker, order=order))

    def has_picks(self, path: Path, ledger: Ledger) -> bool:
        """Return true if the ledger has the picks of the current version of a micrograph."""
        return ledger.has_result(_PICKS, reads=path)

    def pick(self, path: Path, ledger: Ledger) -> Picks:
        """Return the picks of a micrograph by descending score, from the ledger or computed.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown.
        """

        def compute() -> dict[str, np.ndarray]:
            with self._suggest_pixel_size():
                picks = self.picker.pick(path)
            return {"xy_px": picks.xy_px, "score": picks.score}

        arrays = ledger.compute_once(_PICKS, compute, reads=path)
        return Picks.for_micrograph(str(path), arrays["xy_px"], arrays["score"])

    def write_scores(self, path: Path, out: Path, ledger: Ledger) -> None:
        """Compute the score map of a micrograph and write it as MRC, unless it exists.

        The pixel size in the header is the distance between scores along each axis.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown.
        """

        def write() -> dict[str, np.ndarray]:
            with self._suggest_pixel_size():
                scored = self.picker.score(path)
            step_ang = scored.pixel_size_ang * scored.scores.step_px
            scale_y, scale_x = scored.prepared.scale_yx
            size_yx = (step_ang * scale_y, step_ang * scale_x)
            write_mrc(out, scored.scores.logits, pixel_size_ang=size_yx, overwrite=True)
            return {}

        ledger.compute_once(_SCORES, write, reads=path, writes=out)

    @contextmanager
    def _suggest_pixel_size(self) -> Iterator[None]:
        """Add the pixel size used in training to the error about a missing pixel size."""
        try:
            yield
        except MissingPixelSizeError as error:
            training_ang = self.picker.model.summary.get("settings", {}).get("pixel_size_ang")
            if training_ang:
                raise MissingPixelSizeError(
                    f"{error} (the model was trained with --pixel-size-ang {training_ang:g})"
                ) from error
            raise
