"""Extract the particles of many micrographs, each micrograph once.

- `StackWriter`: write one image stack per micrograph.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.errors import MicrographError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.tables.codec import StarContext
from cryopick.io.tables.star_merge import ContextParts
from cryopick.picks import Picks
from cryopick.preprocess.dataset import raw_pixel_size
from cryopick.runs.ledger import Ledger
from cryopick.stack.boxes import write_stack
from cryopick.stack.settings import StackSettings
from cryopick.stack.table import build_optics, build_stack_table

__all__ = ["StackWriter"]

_SAME_SIZE = 1e-3  # relative difference that rounding in a header may cause


@dataclass
class StackWriter:
    """Writer of one image stack per micrograph; all micrographs have the same pixel size.

    Attributes:
        settings: Extraction settings.
        pixel_size_ang: Pixel size of the raw micrographs; None until the first has been read.
    """

    settings: StackSettings
    pixel_size_ang: float | None = None

    def write(self, path: Path, picks: Picks, stack: Path, ledger: Ledger) -> Picks:
        """Write the particles of one micrograph, unless that has been done.

        Args:
            path: Raw micrograph.
            picks: Its picks.
            stack: Output file.
            ledger: Ledger that records finished micrographs.

        Returns:
            Rows of the stack, with the micrograph named by its path.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown or differs from
                that of the others.
        """

        def make() -> dict[str, np.ndarray]:
            raw = read_micrograph(path, pixel_size_ang=self.settings.pixel_size_ang)
            pixel_size_ang = self._check_pixel_size(path, raw_pixel_size(path, raw.pixel_size_ang))
            is_inside = write_stack(stack, raw.pixels, picks.xy_px, self.settings, pixel_size_ang)
            return {"kept": is_inside, "own_ang": np.array(pixel_size_ang)}

        item = hashlib.sha256(picks.xy_px.tobytes()).hexdigest()
        result = ledger.compute_once(item, make, reads=path, writes=stack)
        self.pixel_size_ang = self.pixel_size_ang or float(result["own_ang"])
        return build_stack_table(replace(picks, micrographs=(str(path),)), result["kept"], stack)

    def _check_pixel_size(self, path: Path, pixel_size_ang: float) -> float:
        """Check that the pixel size equals that of the earlier micrographs."""
        first_ang = self.pixel_size_ang or pixel_size_ang
        if abs(pixel_size_ang - first_ang) > _SAME_SIZE * first_ang:
            raise MicrographError(
                f"{path}: has {pixel_size_ang:g} Å per pixel, the earlier micrographs have "
                f"{first_ang:g}; extract them separately, or give --pixel-size-ang"
            )
        return first_ang

    def build_context(self, parts: ContextParts) -> StarContext:
        """Build the content above the rows of all stacks, after at least one has been written.

        Args:
            parts: Result of `read_optics_groups`.
        """
        assert self.pixel_size_ang is not None, "no stack was written"
        side = self.settings.side_px(self.pixel_size_ang)
        image_side = self.settings.rescale_px or side
        return build_optics(parts, self.pixel_size_ang * side / image_side, image_side)
