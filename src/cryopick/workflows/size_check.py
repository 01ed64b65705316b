"""Compare sizes given for picking with those that a model was trained at.

- `describe_other_size`: what differs, for a warning.
"""

from cryopick.model.model_file import Model
from cryopick.pick.settings import PickSettings

__all__ = ["describe_other_size"]

_MAX_DIAMETER_RATIO = 1.3
_MAX_PIXEL_RATIO = 1.8  # other detectors and magnifications are closer, other binnings are not


def describe_other_size(model: Model, settings: PickSettings) -> str:
    """Describe diameters and pixel sizes unlike those of the training; empty if they are alike.

    Micrographs of another magnification are rescaled and picked well; a number that was mistyped,
    or that belongs to another binning, makes particles look larger or smaller than any in training.

    Args:
        model: A model; the general one was trained on all sizes.
        settings: Settings of picking.
    """
    if model.detects_contrast:
        return ""
    trained_ang = model.summary.get("settings", {}).get("pixel_size_ang")
    for option, given_ang, training_ang, limit in (
        ("diameter-ang", settings.diameter_ang, model.diameter_ang, _MAX_DIAMETER_RATIO),
        ("pixel-size-ang", settings.pixel_size_ang, trained_ang, _MAX_PIXEL_RATIO),
    ):
        if not given_ang or not training_ang:
            continue
        if max(given_ang / training_ang, training_ang / given_ang) > limit:
            return (
                f"--{option} is {given_ang:g}, but the model was trained with {training_ang:g}; "
                "its scores are only valid at the size of the particles that it was trained on"
            )
    return ""
