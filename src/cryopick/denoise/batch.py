"""Denoise many micrographs, with a ledger so that an interrupted run can be resumed.

- `DenoiseBatch`: a denoiser and settings applied to many micrographs.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryopick.config import to_toml
from cryopick.denoise.denoiser import Denoiser, denoise_image, open_denoiser
from cryopick.denoise.model_file import DENOISER
from cryopick.denoise.settings import DenoiseSettings
from cryopick.errors import MissingPixelSizeError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.runs.ledger import Ledger

__all__ = ["DenoiseBatch"]

_DENOISED = "denoised"


@dataclass(frozen=True)
class DenoiseBatch:
    """A denoiser and settings that are applied to many micrographs.

    Attributes:
        denoiser: The denoiser on a device.
        settings: Settings of denoising.
        file: Name and digest of the denoiser's file.
    """

    denoiser: Denoiser
    settings: DenoiseSettings
    file: str

    @classmethod
    def open(
        cls, settings: DenoiseSettings, device: torch.device, path: Path = DENOISER
    ) -> "DenoiseBatch":
        """Load a denoiser.

        Raises:
            InputError: The file is missing or is not a denoiser.
        """
        denoiser = open_denoiser(path, device)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return cls(denoiser, settings, f"{path.name} (sha256 {digest}…)")

    def describe(self) -> str:
        """Describe the settings as TOML, with the denoiser in a comment above."""
        return f"# denoiser: {self.file}\n{to_toml(self.settings)}"

    def open_ledger(self, output: Path) -> Ledger:
        """Open the ledger of an output folder."""
        return Ledger.for_output(output, ["denoise", self.describe()])

    def write(self, path: Path, out: Path, ledger: Ledger) -> None:
        """Denoise a micrograph and write it as MRC, unless the ledger has it.

        Raises:
            MicrographError: The file cannot be used, or a pixel size is needed and unknown.
        """

        def compute() -> dict[str, np.ndarray]:
            raw = read_micrograph(path, pixel_size_ang=self.settings.pixel_size_ang)
            try:
                image = denoise_image(
                    raw.pixels,
                    raw.pixel_size_ang,
                    self.settings,
                    self.denoiser,
                    span=raw.value_range,
                )
            except MissingPixelSizeError as error:
                raise MissingPixelSizeError(f"{path}: {error}") from None
            size_ang = raw.pixel_size_ang
            size_yx = None if size_ang is None else (size_ang, size_ang)
            write_mrc(out, image, pixel_size_ang=size_yx, overwrite=True)
            return {}

        ledger.compute_once(_DENOISED, compute, reads=path, writes=out)
