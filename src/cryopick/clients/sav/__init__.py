"""Detectors that other programs saved, taken in by their numbers alone.

- `read_topaz_model`: a `.sav` file of Topaz's as a network of ours.
"""

from cryopick.clients.sav.detector import read_topaz_model

__all__ = ["read_topaz_model"]
