"""Normalization of images."""

from cryopick.clients.topaz_library import normalize, normalize_images

__all__ = ["normalize", "normalize_images"]
