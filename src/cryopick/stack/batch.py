"""The particles of many micrographs, each done once.

- `Stacks`: micrographs to files of images, one each.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.errors import MicrographError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.tables.codec import StarFrame
from cryopick.io.tables.star_text import Columns
from cryopick.picks import Picks
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.runs.ledger import Parts
from cryopick.stack.boxes import write_stack
from cryopick.stack.settings import StackSettings
from cryopick.stack.table import optics, stack_table

__all__ = ["Stacks"]

_SAME_SIZE = 1e-3  # relative difference that rounding in a header may make


@dataclass
class Stacks:
    """Many micrographs' particles as one file each; all micrographs have one pixel size.

    Attributes:
        settings: How to cut.
        pixel_size_ang: Of the raw micrographs; None until the first has been read.
    """

    settings: StackSettings
    pixel_size_ang: float | None = None

    def write(self, path: Path, picks: Picks, stack: Path, parts: Parts) -> Picks:
        """Write one micrograph's particles, unless that is done.

        Args:
            path: The raw micrograph.
            picks: Its picks.
            stack: The file to write.
            parts: Where it is kept in mind what has been written.

        Returns:
            The rows of the stack, the micrograph named by its path.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown or is not that
                of the others.
        """

        def make() -> dict[str, np.ndarray]:
            raw = read_micrograph(path, pixel_size_ang=self.settings.pixel_size_ang)
            own_ang = self._agreed(path, raw_pixel_size(path, raw.pixel_size_ang))
            kept = write_stack(stack, raw.pixels, picks.xy_px, self.settings, own_ang)
            return {"kept": kept, "own_ang": np.array(own_ang)}

        item = hashlib.sha256(picks.xy_px.tobytes()).hexdigest()
        made = parts.once(item, make, reads=path, writes=stack)
        self.pixel_size_ang = self.pixel_size_ang or float(made["own_ang"])
        return stack_table(replace(picks, micrographs=(str(path),)), made["kept"], stack)

    def _agreed(self, path: Path, own_ang: float) -> float:
        """The pixel size, if it is that of the micrographs before."""
        first_ang = self.pixel_size_ang or own_ang
        if abs(own_ang - first_ang) > _SAME_SIZE * first_ang:
            raise MicrographError(
                f"{path}: has {own_ang:g} Å per pixel where the micrographs before have "
                f"{first_ang:g}; cut them apart, or give --pixel-size-ang if it is one and the same"
            )
        return first_ang

    def frame(self, groups: Columns) -> StarFrame:
        """What stands above the rows of all stacks; at least one has been written.

        Args:
            groups: What `optics_groups` gave.
        """
        assert self.pixel_size_ang is not None, "no stack was written"
        side = self.settings.side_px(self.pixel_size_ang)
        written = self.settings.rescale_px or side
        return optics(groups, self.pixel_size_ang * side / written, written)
