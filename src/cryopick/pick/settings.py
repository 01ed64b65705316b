"""Settings of picking, checked once.

- `PickSettings`: everything that turns a model and a raw micrograph into picks.
"""

import math
from dataclasses import dataclass

from cryopick.errors import SettingsError
from cryopick.inference.settings import Precision

__all__ = ["PickSettings"]


@dataclass(frozen=True, kw_only=True)
class PickSettings:
    """Settings of `cryopick pick`; the field names are the TOML keys and the options.

    Attributes:
        threshold: Keep picks of at least this logit; a low floor, as cutting is a later step.
        radius_ang: Least distance between picks; None takes half the particle diameter.
        diameter_ang: Particle diameter where it is not the model's: the image is rescaled.
        pixel_size_ang: Ångströms per raw pixel, where the files do not say.
        step_px: Distance between scored places in working pixels; None takes 2, or
            the network's stride if that is less; a stride of 4 is faster, 1 scores every pixel.
        precision: Number format of the convolutions: "bfloat16", "float32", or "auto", which
            takes bfloat16 where the processor or the GPU multiplies it by itself and so
            in half the time. Logits change by a few hundredths; decision 0005 says how much
            average precision does.
        margin_ang: Picks closer than this to an edge of the micrograph are left out.

    Raises:
        SettingsError: A value lies outside its range.
    """

    threshold: float = -6.0
    radius_ang: float | None = None
    diameter_ang: float | None = None
    pixel_size_ang: float | None = None
    step_px: int | None = None
    precision: Precision = "auto"
    margin_ang: float = 0.0

    def __post_init__(self) -> None:
        if math.isnan(self.threshold):
            raise SettingsError("threshold must be a number; got nan")
        for name in ("radius_ang", "diameter_ang", "pixel_size_ang"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")
        if self.step_px is not None and self.step_px < 1:
            raise SettingsError(f"step_px must be at least 1; got {self.step_px}")
        if not 0 <= self.margin_ang < math.inf:
            raise SettingsError(f"margin_ang must be 0 or more; got {self.margin_ang}")
