"""Prepared micrographs as files for other programs.

- `PreprocessSettings`: how small, and how standardised.
- `write_prepared`: raw micrographs to MRC files.
- `missing_of`: those that are still to be written.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from cryopick.errors import CryopickError, InputError, SettingsError
from cryopick.io.images.mrc import write_mrc
from cryopick.preprocess.dataset import DIAMETER_PX, Preparation, shrink_dataset
from cryopick.preprocess.normalize import Normalization, NormalizationKind
from cryopick.runs.ledger import Parts
from cryopick.runs.parallel import in_order

__all__ = ["Likeness", "PreprocessSettings", "missing_of", "write_prepared"]

_PREPARED = "prepared"


@runtime_checkable  # the tests check types as they are used
class Likeness(Protocol):
    """What is asked of a model whose micrographs are to be matched."""

    @property
    def normalization(self) -> Normalization:
        """How the micrographs that it learnt from were standardised."""
        ...

    def factor(self, pixel_size_ang: float, diameter_ang: float | None = None) -> float:
        """Raw pixels per working pixel, for particles of some diameter."""
        ...


@dataclass(frozen=True, kw_only=True)
class PreprocessSettings:
    """Settings of `cryopick preprocess`; the field names are the TOML keys and the options.

    Attributes:
        factor: Raw pixels per new pixel.
        diameter_ang: Particle diameter, instead of the factor: the particle becomes as many
            pixels across as `cryopick train` would make it.
        pixel_size_ang: Ångströms per raw pixel, where the files do not say.
        normalization: How micrographs are standardised: dataset, micrograph, affine or white.

    Raises:
        SettingsError: A value lies outside its range.
    """

    factor: float | None = None
    diameter_ang: float | None = None
    pixel_size_ang: float | None = None
    normalization: NormalizationKind = "dataset"

    def __post_init__(self) -> None:
        for name in ("factor", "diameter_ang", "pixel_size_ang"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")

    def preparation(self, model: Likeness | None) -> Preparation:
        """What to do with each micrograph, as a model's were or as the settings say.

        Raises:
            SettingsError: The new pixel size is given not at all, or twice.
        """
        normalization: NormalizationKind | Normalization = self.normalization
        if model is not None:
            if self.factor is not None:
                raise SettingsError("a model has its own pixel size; leave --factor out")
            return Preparation(
                working_size_ang=model.factor(1.0, self.diameter_ang),
                pixel_size_ang=self.pixel_size_ang,
                normalization=model.normalization,
            )
        if (self.factor is None) == (self.diameter_ang is None):
            raise SettingsError("give one of --factor, --diameter-ang and --model")
        if self.factor is not None:
            # In units of raw pixels, so that a factor needs no pixel size.
            return Preparation(
                working_size_ang=self.factor, pixel_size_ang=1.0, normalization=normalization
            )
        return Preparation(
            working_size_ang=(self.diameter_ang or math.nan) / DIAMETER_PX,
            pixel_size_ang=self.pixel_size_ang,
            normalization=normalization,
        )


def write_prepared(
    outputs: Mapping[Path, Path],
    settings: PreprocessSettings,
    model: Likeness | None,
    parts: Parts,
    on_done: Callable[[Path, CryopickError | None], None],
) -> tuple[Path, ...]:
    """Shrink and standardise micrographs, and write them as MRC.

    Args:
        outputs: For each raw micrograph, the file to write; it is replaced.
        settings: How to prepare them.
        model: Prepare them as this model's, if given.
        parts: Begun for this work; shrunk micrographs are kept there meanwhile.
        on_done: Called for each micrograph once it is shrunk, with the error if it failed.

    Returns:
        The raw micrographs that were written, without those that failed.

    Raises:
        SettingsError: The new pixel size is given not at all, or twice.
    """
    preparation = settings.preparation(model)
    folder = parts.folder / "prepared"
    try:
        shrunken = shrink_dataset(list(outputs), preparation, folder, on_done=on_done)
    except InputError:
        shutil.rmtree(folder)  # there is nothing to go on with
        return ()

    def write(place: int) -> None:
        path = shrunken.paths[place]

        def make() -> dict[str, np.ndarray]:
            prepared = shrunken.standardised(place)
            raw_ang = settings.pixel_size_ang or prepared.in_file_ang
            size_yx = None
            if raw_ang is not None:
                size_yx = (raw_ang * prepared.scale_yx[0], raw_ang * prepared.scale_yx[1])
            write_mrc(outputs[path], prepared.image, pixel_size_ang=size_yx, overwrite=True)
            return {}

        parts.once(_PREPARED, make, reads=path, writes=outputs[path])

    for _ in in_order(write, range(len(shrunken.paths))):
        pass
    return shrunken.paths


def missing_of(outputs: Mapping[Path, Path], parts: Parts) -> dict[Path, Path]:
    """The micrographs, with the files to write, that the ledger does not say are done."""
    return {path: outputs[path] for path in parts.missing(outputs, _PREPARED, outputs)}
