"""Trace the filaments of many micrographs, with a ledger of results.

- `FilamentBatch`: a model and settings applied to many micrographs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool
from cryopick.config import to_toml
from cryopick.pick.batch import PickBatch
from cryopick.pick.filaments.lines import compute_line_scores
from cryopick.pick.filaments.segments import make_endpoints, make_segments
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import FilamentPath, trace_filaments
from cryopick.picks import Picks
from cryopick.preprocess.mask import erode_mask
from cryopick.runs.ledger import Ledger

__all__ = ["FilamentBatch"]

_FILAMENTS = "filaments"


@dataclass(frozen=True)
class FilamentBatch:
    """A model and settings that are applied to many micrographs of filaments.

    Attributes:
        batch: The model and its settings; the diameter is the width of a filament.
        settings: Settings of tracing.
        only_ends: Return start and end of each filament instead of segments.
    """

    batch: PickBatch
    settings: FilamentSettings
    only_ends: bool = False

    def describe(self) -> str:
        """Describe the settings of picking as TOML, with those of tracing in a table."""
        return f"{self.batch.describe()}\n[filaments]\n{to_toml(self.settings)}"

    def open_ledger(self, output: Path) -> Ledger:
        """Open the ledger of an output file."""
        return Ledger.for_output(output, ["filaments", str(self.only_ends), self.describe()])

    def prefetch_filaments(self, paths: Sequence[Path], ledger: Ledger) -> "FilamentBatch":
        """Return a batch that prefetches the micrographs missing from the ledger."""
        picker = replace(self.batch.picker, order=ledger.list_missing(paths, _FILAMENTS))
        return replace(self, batch=replace(self.batch, picker=picker))

    def find(self, path: Path, ledger: Ledger) -> Picks:
        """Return the filaments of a micrograph, from the ledger or computed.

        Raises:
            MicrographError: The file cannot be used, or its pixel size is unknown.
        """

        def compute() -> dict[str, np.ndarray]:
            picks = self._trace(path)
            return {"xy_px": picks.xy_px, "score": picks.score, **picks.extra}

        arrays = dict(ledger.compute_once(_FILAMENTS, compute, reads=path))
        picks = Picks.for_micrograph(str(path), arrays.pop("xy_px"), arrays.pop("score"))
        return Picks(
            micrographs=picks.micrographs,
            index=picks.index,
            xy_px=picks.xy_px,
            score=picks.score,
            extra=arrays,
        )

    def _trace(self, path: Path) -> Picks:
        picker = self.batch.picker
        scored = picker.score(path)
        prepared, step = scored.prepared, scored.scores.step_px
        ignored = picker.ignore.mask(str(path), prepared.image.shape, prepared.scale_yx)
        half_width_px = picker.model.diameter_px / 2
        usable = _exclude_border(
            erode_mask(prepared.usable, half_width_px) & ~ignored, round(half_width_px)
        )
        width = 2 * half_width_px / step
        lines = compute_line_scores(scored.scores.logits, usable[::step, ::step], width)
        grid_px = step * np.array(prepared.scale_yx[::-1])  # raw pixels, along x and y
        grid_ang = float(grid_px.mean()) * scored.pixel_size_ang
        grid_paths = trace_filaments(
            lines,
            width,
            contrast=self.settings.contrast,
            min_length=self.settings.min_length(picker.diameter_ang) / grid_ang,
        )
        paths = [FilamentPath(traced.xy * grid_px, traced.score) for traced in grid_paths]
        if self.only_ends:
            return make_endpoints(str(path), paths)
        spacing_px = self.settings.spacing(picker.diameter_ang) / scored.pixel_size_ang
        return make_segments(str(path), paths, spacing_px, scored.pixel_size_ang)


def _exclude_border(
    usable: Bool[np.ndarray, "height width"], margin: int
) -> Bool[np.ndarray, "height width"]:
    """Exclude a margin along the edges, where the scores form a ridge like a filament."""
    inner = np.zeros_like(usable)
    inside = np.s_[margin : usable.shape[0] - margin, margin : usable.shape[1] - margin]
    inner[inside] = usable[inside]
    return inner
