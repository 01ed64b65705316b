"""Find protein particles in cryo-EM micrographs from a handful of labels.

The Python API of the commands; docs/howto/python.md shows examples.

- `find_micrographs`, `read_micrograph`: raw micrographs.
- `read_picks`, `write_picks`, `Picks`, `concatenate`, `match_names`: tables of particles.
- `train_settings`, `train_model`, `TrainSettings`: a model from a few labels.
- `pick_particles`, `PickSettings`, `Model`, `load_model`: particles from a model.
- `evaluate_picks`, `apply_threshold`: metrics of picks, and their selection by score.
- `read_regions`, `Regions`: exclusion regions.
- `CryopickError`: the base of all errors that a mistake in the input causes.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nothing heavy is loaded before it is used
    from cryopick.api import pick_particles, train_model, train_settings
    from cryopick.errors import CryopickError
    from cryopick.evaluate.evaluation import evaluate_picks
    from cryopick.evaluate.thresholds import apply_threshold
    from cryopick.io.images.micrograph import read_micrograph
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.names import match_names
    from cryopick.io.tables.pick_tables import read_picks, write_picks
    from cryopick.io.tables.region_files import read_regions
    from cryopick.model.model_file import Model, load_model
    from cryopick.pick.settings import PickSettings
    from cryopick.picks import Picks, concatenate
    from cryopick.regions import Regions
    from cryopick.train.settings import TrainSettings

__all__ = [
    "CryopickError",
    "Model",
    "PickSettings",
    "Picks",
    "Regions",
    "TrainSettings",
    "apply_threshold",
    "concatenate",
    "evaluate_picks",
    "find_micrographs",
    "load_model",
    "match_names",
    "pick_particles",
    "read_micrograph",
    "read_picks",
    "read_regions",
    "train_model",
    "train_settings",
    "write_picks",
]

_MODULES = {
    "cryopick.api": ("pick_particles", "train_model", "train_settings"),
    "cryopick.errors": ("CryopickError",),
    "cryopick.evaluate.evaluation": ("evaluate_picks",),
    "cryopick.evaluate.thresholds": ("apply_threshold",),
    "cryopick.io.images.micrograph": ("read_micrograph",),
    "cryopick.io.inputs": ("find_micrographs",),
    "cryopick.io.names": ("match_names",),
    "cryopick.io.tables.pick_tables": ("read_picks", "write_picks"),
    "cryopick.io.tables.region_files": ("read_regions",),
    "cryopick.model.model_file": ("Model", "load_model"),
    "cryopick.pick.settings": ("PickSettings",),
    "cryopick.picks": ("Picks", "concatenate"),
    "cryopick.regions": ("Regions",),
    "cryopick.train.settings": ("TrainSettings",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'cryopick' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
