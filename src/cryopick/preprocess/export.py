"""Prepared micrographs as files for other programs.

- `plan_preparation`: the preparation that the settings ask for.
- `write_prepared`: raw micrographs to MRC files.
- `missing_of`: those that are still to be written.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from cryopick.errors import CryopickError, InputError, SettingsError
from cryopick.io.images.mrc import write_mrc
from cryopick.preprocess.dataset import Preparation, rescale_dataset
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.settings import DIAMETER_PX, NormalizationKind, PreprocessSettings
from cryopick.runs.ledger import Ledger
from cryopick.runs.parallel import map_in_order

__all__ = ["Likeness", "missing_of", "plan_preparation", "write_prepared"]

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


def plan_preparation(settings: PreprocessSettings, model: Likeness | None) -> Preparation:
    """Choose the preparation that the settings ask for, or that of the model's micrographs.

    Raises:
        SettingsError: The output pixel size is not given, or is given twice.
    """
    normalization: NormalizationKind | Normalization = settings.normalization
    if model is not None:
        if settings.factor is not None:
            raise SettingsError("a model has its own pixel size; leave --factor out")
        return Preparation(
            working_size_ang=model.factor(1.0, settings.diameter_ang),
            pixel_size_ang=settings.pixel_size_ang,
            normalization=model.normalization,
        )
    if (settings.factor is None) == (settings.diameter_ang is None):
        raise SettingsError("give one of --factor, --diameter-ang and --model")
    if settings.factor is not None:
        # In units of raw pixels, so that a factor needs no pixel size.
        return Preparation(
            working_size_ang=settings.factor, pixel_size_ang=1.0, normalization=normalization
        )
    return Preparation(
        working_size_ang=(settings.diameter_ang or math.nan) / DIAMETER_PX,
        pixel_size_ang=settings.pixel_size_ang,
        normalization=normalization,
    )


def write_prepared(
    outputs: Mapping[Path, Path],
    settings: PreprocessSettings,
    model: Likeness | None,
    parts: Ledger,
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
    preparation = plan_preparation(settings, model)
    folder = parts.folder / "prepared"
    try:
        shrunken = rescale_dataset(list(outputs), preparation, folder, on_done=on_done)
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

        parts.compute_once(_PREPARED, make, reads=path, writes=outputs[path])

    for _ in map_in_order(write, range(len(shrunken.paths))):
        pass
    return shrunken.paths


def missing_of(outputs: Mapping[Path, Path], parts: Ledger) -> dict[Path, Path]:
    """The micrographs, with the files to write, that the ledger does not say are done."""
    return {path: outputs[path] for path in parts.list_missing(outputs, _PREPARED, outputs)}
