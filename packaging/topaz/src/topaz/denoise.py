"""Denoising of images; tomograms are not denoised, and their names raise an error when called."""

from typing import NoReturn

from cryopick.clients.topaz_library import Denoise, denoise_image, denoise_stream

__all__ = ["Denoise", "Denoise3D", "denoise_image", "denoise_stream", "denoise_tomogram_stream"]


def _refuse(*_: object, **__: object) -> NoReturn:
    """Report that tomograms are not denoised."""
    raise NotImplementedError("cryopick does not denoise tomograms; use the original volumes")


Denoise3D = denoise_tomogram_stream = _refuse
