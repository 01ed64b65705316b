"""Write prepared micrographs as MRC files for other programs.

- `plan_preparation`: choose the preparation according to settings or a model.
- `write_prepared`: prepare raw micrographs and write MRC files.
- `list_missing_outputs`: list the micrographs that are not yet written.
- `PreprocessingModel`: the part of a model that defines its preprocessing.
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

__all__ = ["PreprocessingModel", "list_missing_outputs", "plan_preparation", "write_prepared"]

_PREPARED = "prepared"


@runtime_checkable  # the tests check types as they are used
class PreprocessingModel(Protocol):
    """The part of a model that defines its preprocessing."""

    @property
    def normalization(self) -> Normalization:
        """Normalisation of the training micrographs."""
        ...

    def scale_for(self, diameter_ang: float) -> float:
        """Return the scale for particles of a diameter."""
        ...

    def factor(self, pixel_size_ang: float, scale_ang: float | None = None) -> float:
        """Compute the downsampling factor for a scale."""
        ...


def plan_preparation(settings: PreprocessSettings, model: PreprocessingModel | None) -> Preparation:
    """Choose the preparation according to the settings, or that of a model.

    Raises:
        SettingsError: The output pixel size is missing or ambiguous.
    """
    normalization: NormalizationKind | Normalization = settings.normalization
    if model is not None:
        if settings.factor is not None:
            raise SettingsError("a model defines its pixel size; remove --factor")
        scale_ang = settings.diameter_ang and model.scale_for(settings.diameter_ang)
        return Preparation(
            working_size_ang=model.factor(1.0, scale_ang),
            pixel_size_ang=settings.pixel_size_ang,
            normalization=model.normalization,
        )
    if (settings.factor is None) == (settings.diameter_ang is None):
        raise SettingsError("give one of --factor, --diameter-ang and --model")
    if settings.factor is not None:
        # In units of raw pixels, so that a factor does not require a pixel size.
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
    model: PreprocessingModel | None,
    ledger: Ledger,
    on_done: Callable[[Path, CryopickError | None], None],
) -> tuple[Path, ...]:
    """Downsample and normalise micrographs, and write them as MRC.

    Args:
        outputs: Output file of each raw micrograph; existing files are overwritten.
        settings: Settings of the preparation.
        model: Model whose preparation to use, if given.
        ledger: Ledger of the outputs; also stores the downsampled micrographs.
        on_done: Called for each downsampled micrograph, with the error if it failed.

    Returns:
        The raw micrographs that were written, without those that failed.

    Raises:
        SettingsError: The output pixel size is missing or ambiguous.
    """
    preparation = plan_preparation(settings, model)
    folder = ledger.folder / "prepared"
    try:
        dataset = rescale_dataset(list(outputs), preparation, folder, on_done=on_done)
    except InputError:
        shutil.rmtree(folder)  # it contains nothing to resume from
        return ()

    def write(index: int) -> None:
        path = dataset.paths[index]

        def compute() -> dict[str, np.ndarray]:
            prepared = dataset.normalise(index)
            raw_ang = settings.pixel_size_ang or prepared.header_pixel_size_ang
            size_yx = None
            if raw_ang is not None:
                size_yx = (raw_ang * prepared.scale_yx[0], raw_ang * prepared.scale_yx[1])
            write_mrc(outputs[path], prepared.image, pixel_size_ang=size_yx, overwrite=True)
            return {}

        ledger.compute_once(_PREPARED, compute, reads=path, writes=outputs[path])

    for _ in map_in_order(write, range(len(dataset.paths))):
        pass
    return dataset.paths


def list_missing_outputs(outputs: Mapping[Path, Path], ledger: Ledger) -> dict[Path, Path]:
    """List the micrographs and output files that are missing from the ledger."""
    return {path: outputs[path] for path in ledger.list_missing(outputs, _PREPARED, outputs)}
