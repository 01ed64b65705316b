"""Pick many micrographs, and lose nothing when the work is cut off.

- `PickBatch`: a model file at work on micrographs, each done once.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cryopick.config import to_toml
from cryopick.errors import MicrographError, SettingsError
from cryopick.inference.score_map import number_format
from cryopick.io.images.mrc import write_mrc
from cryopick.model.model_file import load_model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks
from cryopick.regions import Regions
from cryopick.runs.ledger import Parts

__all__ = ["PickBatch"]

_PICKS, _SCORES = "picks", "scores"


@dataclass(frozen=True)
class PickBatch:
    """A model and settings at work on many micrographs.

    Attributes:
        picker: The model made ready.
        model_file: Name and digest of the model's file.
        number_format: What the convolutions are computed in.
    """

    picker: Picker
    model_file: str
    number_format: str

    @classmethod
    def open(
        cls,
        model: Path,
        settings: PickSettings,
        device: torch.device,
        order: Sequence[Path] = (),
        ignore: Regions | None = None,
    ) -> "PickBatch":
        """Load a model and check what all micrographs share.

        Args:
            model: The model file.
            settings: How to pick.
            device: Where to score.
            order: Micrographs in the order in which they will be asked for: the next are
                worked on in the background.
            ignore: Regions in which nothing is picked, on micrographs named by their paths.

        Raises:
            InputError: The model is missing or is none.
            SettingsError: The settings do not fit the network.
        """
        loaded = load_model(model)
        stride = loaded.scorer.stride_px
        if settings.step_px is not None and stride % settings.step_px:
            raise SettingsError(
                f"--step-px must divide the network's stride of {stride} pixels; "
                f"got {settings.step_px}"
            )
        digest = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
        picker = Picker.ready(loaded, settings, device, order, ignore)
        number = str(number_format(settings.precision, device)).removeprefix("torch.")
        return cls(picker, f"{model.name} (sha256 {digest}…)", number)

    def describe(self) -> str:
        """The settings as TOML, with the model and what was computed in in comments above."""
        told = f"# model: {self.model_file}\n# convolutions: {self.number_format}\n"
        if self.picker.ignore.polygons:
            told += f"# ignored regions: {self.picker.ignore.fingerprint}\n"
        return told + to_toml(self.picker.settings)

    def parts(self, output: Path, doing: str) -> Parts:
        """The ledger of `output`."""
        return Parts.beside(output, [doing, self.describe()])

    def to_pick(self, paths: Sequence[Path], parts: Parts) -> "PickBatch":
        """The same, with those micrographs in mind that have no picks yet."""
        return self._ahead_of(parts.missing(paths, _PICKS))

    def to_score(self, outputs: Mapping[Path, Path], parts: Parts) -> "PickBatch":
        """The same, with those micrographs in mind whose maps are not there yet."""
        return self._ahead_of(parts.missing(outputs, _SCORES, outputs))

    def _ahead_of(self, order: Sequence[Path]) -> "PickBatch":
        return replace(self, picker=replace(self.picker, order=order))

    def has_picks(self, path: Path, parts: Parts) -> bool:
        """Whether the ledger has the picks of a micrograph as it is now."""
        return parts.has(_PICKS, reads=path)

    def pick(self, path: Path, parts: Parts) -> Picks:
        """The picks of a micrograph, by descending score: those kept, or new ones.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown.
        """

        def find() -> dict[str, np.ndarray]:
            with self._hint():
                found = self.picker.pick(path)
            return {"xy_px": found.xy_px, "score": found.score}

        kept = parts.once(_PICKS, find, reads=path)
        return Picks.on(str(path), kept["xy_px"], kept["score"])

    def write_scores(self, path: Path, out: Path, parts: Parts) -> None:
        """Score a micrograph and write the map as MRC, unless that is done.

        The header's pixel size is the distance between scored places, along each axis.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown.
        """

        def write() -> dict[str, np.ndarray]:
            with self._hint():
                scored = self.picker.score(path)
            step_ang = scored.pixel_size_ang * scored.scores.step_px
            scale_y, scale_x = scored.prepared.scale_yx
            size_yx = (step_ang * scale_y, step_ang * scale_x)
            write_mrc(out, scored.scores.logits, pixel_size_ang=size_yx, overwrite=True)
            return {}

        parts.once(_SCORES, write, reads=path, writes=out)

    @contextmanager
    def _hint(self) -> Iterator[None]:
        """Where a pixel size is asked for, tell which one training was given."""
        try:
            yield
        except MicrographError as error:
            trained = self.picker.model.summary.get("settings", {}).get("pixel_size_ang")
            if trained and str(error).endswith("--pixel-size-ang"):
                raise MicrographError(
                    f"{error} (the model was trained with --pixel-size-ang {trained:g})"
                ) from error
            raise
