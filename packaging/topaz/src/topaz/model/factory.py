"""Loading of models."""

from cryopick.clients.topaz_library import load_model

__all__ = ["load_model"]
