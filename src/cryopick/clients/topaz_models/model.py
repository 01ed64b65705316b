"""Convert a detector of Topaz to a model of cryopick.

A detector file does not record the pixel size and the normalization of its training images,
so the user provides both.

- `import_topaz_model`: read a detector file as a `Model`.
"""

from dataclasses import asdict
from pathlib import Path

from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.clients.topaz_models.settings import ImportSettings
from cryopick.model.model_file import Model
from cryopick.preprocess.normalize import Normalization

__all__ = ["import_topaz_model"]


def import_topaz_model(path: Path, settings: ImportSettings) -> Model:
    """Read a detector file as a model.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not a Topaz detector, or its architecture is not supported.
    """
    return Model(
        network=read_topaz_model(path),
        diameter_ang=settings.diameter_ang,
        working_pixel_size_ang=settings.factor * settings.pixel_size_ang,
        normalization=Normalization(settings.normalization),
        label_radius_px=settings.label_radius_px,
        summary={"imported": path.name, "settings": asdict(settings)},
    )
