"""Peaks of score maps."""

from cryopick.clients.topaz_library import non_maximum_suppression

__all__ = ["non_maximum_suppression"]
