"""Score maps of images."""

from cryopick.clients.topaz_library import score_images

__all__ = ["score_images"]
