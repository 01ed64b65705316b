"""Train a denoiser on the half-sets of a user.

- `HalfSetTraining`: files and settings of a run.
- `train_on_half_sets`: start or resume the run, and write the denoiser.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from cryopick.config import to_toml
from cryopick.denoise.half_sets import HalfSetPairs, prepare_half_sets
from cryopick.denoise.model_file import load_denoiser, save_denoiser
from cryopick.denoise.network import DenoisingNetwork
from cryopick.denoise.settings import DenoiserTrainingSettings
from cryopick.denoise.training import train_denoiser
from cryopick.errors import CryopickError, InputError, OutputExistsError
from cryopick.runs.ledger import identify_file
from cryopick.runs.lock import exclusive_lock
from cryopick.train.averaged_training import StepProgress

__all__ = ["HalfSetTraining", "train_on_half_sets"]


@dataclass(frozen=True, kw_only=True)
class HalfSetTraining:
    """Files and settings of a run.

    Attributes:
        pairs: Files of both halves.
        out: Denoiser to write.
        settings: Settings of the training.
        working_size_ang: Pixel size at which the network works.
        pixel_size_ang: Pixel size of the micrographs; None for that of their headers.
        init: Denoiser to start from; None for random weights.
        overwrite: Overwrite `out`.
    """

    pairs: Sequence[tuple[Path, Path]]
    out: Path
    settings: DenoiserTrainingSettings
    working_size_ang: float
    pixel_size_ang: float | None
    init: Path | None
    overwrite: bool = False

    @property
    def folder(self) -> Path:
        """Folder of unfinished runs of this output."""
        return self.out.with_name(f".{self.out.name}.run")

    def hash(self) -> str:
        """Compute a hash of everything that the result depends on."""
        files = [path for pair in self.pairs for path in pair] + ([self.init] if self.init else [])
        texts = [
            to_toml(self.settings),
            f"{self.working_size_ang} {self.pixel_size_ang}",
            *map(identify_file, files),
        ]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def train_on_half_sets(
    training: HalfSetTraining,
    device: torch.device,
    on_prepared: Callable[[Path, CryopickError | None], None] = lambda *_: None,
    on_progress: Callable[[StepProgress], None] = lambda _: None,
) -> None:
    """Train a denoiser, or resume an interrupted run, and write it.

    Args:
        training: Files and settings.
        device: Device to compute on.
        on_prepared: Called for each pair of files, with the error if it is skipped.
        on_progress: Called at each checkpoint.

    Raises:
        OutputExistsError: The output exists and must not be overwritten.
        InputError: No pair of files can be used.
    """
    if training.out.exists() and not training.overwrite:
        raise OutputExistsError(
            f"{training.out}: already exists; overwrite it with --force or choose another name"
        )
    key = training.hash()
    folder = training.folder / key
    with exclusive_lock(training.folder / "lock", str(training.out)):
        files = prepare_half_sets(
            training.pairs,
            folder / "pairs",
            training.working_size_ang,
            training.pixel_size_ang,
            on_prepared,
        )
        if not files:
            raise InputError("none of the pairs of micrographs can be used; see the errors above")
        torch.manual_seed(training.settings.seed)
        network = load_denoiser(training.init) if training.init else DenoisingNetwork()
        trained = train_denoiser(
            network.to(device).train(),
            HalfSetPairs(files, training.settings.seed),
            training.settings,
            folder / "training.safetensors",
            key,
            on_progress=on_progress,
        )
        summary = {
            "version": version("cryopick"),
            "settings": asdict(training.settings),
            "working_size_ang": training.working_size_ang,
            "pairs": len(files),
            "init": training.init.name if training.init else None,
        }
        save_denoiser(trained, training.out, summary, overwrite=training.overwrite)
        shutil.rmtree(training.folder, ignore_errors=True)
