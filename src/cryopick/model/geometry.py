"""How a network that is slid over a patch sees it.

- `Geometry`: where the scores of a patch lie, and how many crops tile it.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import SettingsError

__all__ = ["Geometry"]


@dataclass(frozen=True)
class Geometry:
    """How a network of some receptive field and stride sees a square patch.

    Attributes:
        patch_px: Side of the patch.
        field_px: Side of the region behind one score.
        stride_px: Distance between scores.
    """

    patch_px: int
    field_px: int
    stride_px: int

    @classmethod
    def of(cls, patch_px: int | None, field_px: int, stride_px: int) -> "Geometry":
        """Settle the patch side: three tiles by default.

        Raises:
            SettingsError: The patch is smaller than one region.
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
        """Scores along one side of a patch."""
        return (self.patch_px - self.field_px) // self.stride_px + 1

    @property
    def tile_px(self) -> int:
        """Distance between tiled crops: the receptive field, rounded up to the stride."""
        return _tile(self.field_px, self.stride_px)

    @property
    def tiles(self) -> int:
        """Tiled crops along one side of a patch."""
        return (self.patch_px - self.field_px) // self.tile_px + 1

    @property
    def centres_px(self) -> Float[np.ndarray, " grid"]:
        """Position of each score's centre along a side, from the patch's own centre."""
        first = (self.field_px - 1) / 2 - (self.patch_px - 1) / 2
        return first + self.stride_px * np.arange(self.grid)


def _tile(field_px: int, stride_px: int) -> int:
    return -(-field_px // stride_px) * stride_px
