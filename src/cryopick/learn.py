"""Former module of models and training, for scripts that were written for it.

- `GENERAL_MODEL`: file of the general model; now in `cryopick.model.model_file`.
"""

from cryopick.model.model_file import GENERAL_MODEL

__all__ = ["GENERAL_MODEL"]
