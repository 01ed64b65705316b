"""The general model: a network that picks particles it was never shown.

It learns from simulated fields alone, so anybody can make it again, and its licence is ours.

- `GENERAL_MODEL`: the file that ships with the package.
- `GeneralSettings`, `train_general`: the recipe that makes it.
"""

from pathlib import Path

from cryopick.learn.general.recipe import train_general
from cryopick.learn.general.settings import GeneralSettings

__all__ = ["GENERAL_MODEL", "GeneralSettings", "train_general"]

GENERAL_MODEL = Path(__file__).with_name("general.safetensors")
