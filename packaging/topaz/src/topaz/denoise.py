"""Denoising, which cryopick does not offer: every name raises an error when it is called."""

from typing import NoReturn

__all__ = ["Denoise", "Denoise3D", "denoise_image", "denoise_stream", "denoise_tomogram_stream"]


def _refuse(*_: object, **__: object) -> NoReturn:
    """Report that denoising is not available."""
    raise NotImplementedError("cryopick does not denoise; use the original images")


Denoise = Denoise3D = denoise_image = denoise_stream = denoise_tomogram_stream = _refuse
