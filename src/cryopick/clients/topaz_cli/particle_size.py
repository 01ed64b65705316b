"""Particle size on images whose pixel size is unknown, and with it the scale of a network.

Clients downsample images by a factor of their own and do not update the header, so lengths are in
pixels of the images as given. The minimum distance between picks says nothing about the size. The
size comes from the user, or from the scores of the images.

- `choose_pick_settings`: settings of picking at the size that is given or found.
- `list_diameters`: sizes that particles on some images may have.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cryopick.errors import CryopickError, InputError
from cryopick.io.images.sizes import read_micrograph_shape
from cryopick.model.device import AnyDevice
from cryopick.model.model_file import Model
from cryopick.pick.decisions import resolve_settings
from cryopick.pick.settings import FixedContrast, PickSettings
from cryopick.runs.ledger import identify_file

__all__ = ["choose_pick_settings", "list_diameters"]

_SMALLEST_PX, _LARGEST_PX = 7.0, 96.0  # diameters on images that clients have downsampled
# Images that are not downsampled have larger particles; shorter sides per diameter.
_MAX_DIAMETERS, _MIN_DIAMETERS = 300.0, 10.0
_RATIO = 1.25  # of neighbouring diameters
_FALLBACK_PX = 20.0  # if no image shows a particle
_MAX_ESTIMATES = 3  # of single images; later images of the same kind use their median

# Clients such as RELION call this program once per image. A background worker serves the calls, so
# that their images can be picked alike.
_EARLIER: dict[tuple[object, ...], list[PickSettings]] = defaultdict(list)


def choose_pick_settings(
    name: str,
    model: Model,
    device: AnyDevice,
    paths: Sequence[Path],
    *,
    diameter_px: float | None = None,
    step_px: int | None = None,
) -> PickSettings:
    """Choose size, scale and contrast, where the user gives no size by the scores of the images.

    Args:
        name: Name of the model, as the user gives it.
        model: Model that rescales images to its own scale.
        device: Device to score on.
        paths: Images in the order in which they will be scored; the first few decide.
        diameter_px: Particle diameter in pixels of the images, if the user has given it.
        step_px: Stride of the score map.

    Returns:
        Settings with a pixel size of 1, so that ångströms stand for pixels.
    """
    polarity: FixedContrast = "bright" if model.normalization.inverted else "dark"
    settings = PickSettings(
        pixel_size_ang=1.0,
        step_px=step_px,
        contrast="auto" if model.detects_contrast else polarity,
        diameter_ang=diameter_px,
        diameter_range_ang=_find_range(paths) if diameter_px is None else None,
    )
    if diameter_px is not None and not model.detects_contrast:
        return replace(settings, scale_ang=diameter_px)
    kind = (_describe_model(name), diameter_px, *_describe(paths))
    estimates = _EARLIER[kind] if len(paths) == 1 else []
    if len(estimates) < _MAX_ESTIMATES:
        searching = replace(model, detects_contrast=True)  # any model shows the size
        with suppress(InputError):  # no particles at any size
            estimates.append(resolve_settings(searching, settings, device, paths)[0])
    return _combine(estimates, settings)


def _combine(estimates: Sequence[PickSettings], settings: PickSettings) -> PickSettings:
    """Return the estimate with the median scale, and the contrast of most."""
    if not estimates:
        size_px = settings.diameter_ang or _FALLBACK_PX
        return replace(settings, diameter_ang=size_px, scale_ang=size_px, diameter_range_ang=None)
    by_scale = sorted(estimates, key=lambda estimate: estimate.scale_ang or 0.0)
    contrast = statistics.mode([estimate.contrast for estimate in estimates])
    median = by_scale[(len(by_scale) - 1) // 2]
    return replace(median, contrast=contrast, step_px=settings.step_px)


def _describe_model(name: str) -> str:
    """Describe a model: a file that was replaced is another model of the same name."""
    return identify_file(Path(name)) if Path(name).is_file() else name


def _describe(paths: Sequence[Path]) -> tuple[object, ...]:
    """Describe the kind of images: their folder and the shape of the first."""
    with suppress(CryopickError):
        return (str(paths[0].absolute().parent), *read_micrograph_shape(paths[0]))
    return ()


def _find_range(paths: Sequence[Path]) -> tuple[float, float]:
    """Return the smallest and largest diameter that particles on the images may have."""
    for path in paths:
        with suppress(CryopickError):
            side_px = min(read_micrograph_shape(path))
            smallest = max(_SMALLEST_PX, side_px / _MAX_DIAMETERS)
            return smallest, max(_LARGEST_PX, side_px / _MIN_DIAMETERS)
    return _SMALLEST_PX, _LARGEST_PX


def list_diameters(paths: Sequence[Path]) -> list[float]:
    """List diameters that particles on the images may have, in pixels, a constant ratio apart."""
    diameter_px, largest_px = _find_range(paths)
    diameters = []
    while diameter_px <= largest_px:
        diameters.append(diameter_px)
        diameter_px *= _RATIO
    return diameters
