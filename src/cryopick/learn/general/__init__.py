"""The general model: a network that picks particles it was never shown.

It learns from simulated fields alone, so anybody can make it again, and its licence is ours.

- `GeneralSettings`, `train_general`: the recipe that makes it.
"""

from cryopick.learn.general.recipe import train_general
from cryopick.learn.general.settings import GeneralSettings

__all__ = ["GeneralSettings", "train_general"]
