"""Geometry of the scores of a fully convolutional network on a patch.

- `Geometry`: positions of the scores of a patch, and number of crops that tile it.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import SettingsError

__all__ = ["Geometry"]


@dataclass(frozen=True)
class Geometry:
    """Positions of the scores of a network on a square patch.

    Attributes:
        patch_px: Side of the patch.
        field_px: Receptive field: side of the region on which one score depends.
        stride_px: Distance between scores.
    """

    patch_px: int
    field_px: int
    stride_px: int

    @classmethod
    def of(cls, patch_px: int | None, field_px: int, stride_px: int) -> "Geometry":
        """Choose the side of the patch: three tiles unless `patch_px` is given.

        Raises:
            SettingsError: The patch is smaller than the receptive field.
        """
        side = 3 * _tile(field_px, stride_px) if patch_px is None else patch_px
        if side < field_px:
            raise SettingsError(
                f"patch_px must be at least the network's receptive field of {field_px} pixels; "
                f"got {side}"
            )
        return cls(side, field_px, stride_px)

    @property
    def grid(self) -> int:
        """Number of scores along one side of a patch."""
        return (self.patch_px - self.field_px) // self.stride_px + 1

    @property
    def tile_px(self) -> int:
        """Distance between tiled crops: the receptive field, rounded up to the stride."""
        return _tile(self.field_px, self.stride_px)

    @property
    def tiles(self) -> int:
        """Number of tiled crops along one side of a patch."""
        return (self.patch_px - self.field_px) // self.tile_px + 1

    @property
    def centres_px(self) -> Float[np.ndarray, " grid"]:
        """Positions of the scores along a side, relative to the centre of the patch."""
        first = (self.field_px - 1) / 2 - (self.patch_px - 1) / 2
        return first + self.stride_px * np.arange(self.grid)


def _tile(field_px: int, stride_px: int) -> int:
    return -(-field_px // stride_px) * stride_px
