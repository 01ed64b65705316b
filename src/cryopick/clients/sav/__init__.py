"""Detectors that other programs saved, taken in by their numbers alone.

- `read_topaz_model`: a `.sav` file of Topaz's as a network of ours.
- `import_topaz_model`, `ImportSettings`: the same as a model, with what the file does not tell.
"""

from cryopick.clients.sav.detector import read_topaz_model
from cryopick.clients.sav.model import ImportSettings, import_topaz_model

__all__ = ["ImportSettings", "import_topaz_model", "read_topaz_model"]
