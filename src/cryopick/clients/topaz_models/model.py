"""A detector of another program's as a model file of ours.

A detector file tells neither at which pixel size it was trained nor how its images were
standardised, so both are asked for.

- `ImportSettings`: what the file does not tell.
- `import_topaz_model`: the detector as a `Model`.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import SettingsError
from cryopick.model.model_file import Model
from cryopick.preprocess.normalize import Normalization

__all__ = ["ImportSettings", "import_topaz_model"]


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """Settings of `cryopick models import`; the field names are the options.

    Attributes:
        factor: Binning of the micrographs that the detector was trained on, such as 8.
        pixel_size_ang: Ångströms per raw pixel of those micrographs.
        diameter_ang: Diameter of the particles that it is to find.
        normalization: "micrograph" for `topaz preprocess`, which fits a mixture to each; "affine"
            for mean and standard deviation, as RELION prepares them and `--affine` does.
        label_radius_px: Radius in binned pixels within which regions were positive.

    Raises:
        SettingsError: A value lies outside its range.
    """

    factor: float
    pixel_size_ang: float
    diameter_ang: float
    normalization: Literal["micrograph", "affine"] = "micrograph"
    label_radius_px: float = 3.0

    def __post_init__(self) -> None:
        for name in ("factor", "pixel_size_ang", "diameter_ang", "label_radius_px"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")


def import_topaz_model(path: Path, settings: ImportSettings) -> Model:
    """Make a model of a detector.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no detector of Topaz's, or one of another architecture.
    """
    return Model(
        scorer=read_topaz_model(path),
        diameter_ang=settings.diameter_ang,
        working_pixel_size_ang=settings.factor * settings.pixel_size_ang,
        normalization=Normalization(settings.normalization),
        label_radius_px=settings.label_radius_px,
        summary={"imported": path.name, "settings": asdict(settings)},
    )
