"""Filaments of many micrographs, each done once.

- `FilamentBatch`: a model at work on micrographs of filaments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool
from cryopick.config import to_toml
from cryopick.pick.batch import PickBatch
from cryopick.pick.filaments.lines import line_scores
from cryopick.pick.filaments.segments import ends, segments
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import Path2D, trace
from cryopick.picks import Picks
from cryopick.preprocess.mask import inset
from cryopick.runs.ledger import Parts

__all__ = ["FilamentBatch"]

_FILAMENTS = "filaments"


@dataclass(frozen=True)
class FilamentBatch:
    """A model and settings at work on many micrographs.

    Attributes:
        work: The model, ready to score; its diameter is the width of a filament.
        settings: How to look for filaments.
        only_ends: Give start and end of each filament in place of segments.
    """

    work: PickBatch
    settings: FilamentSettings
    only_ends: bool = False

    def describe(self) -> str:
        """The settings of scoring as TOML, those of filaments in comments above."""
        own = "".join(f"# filaments: {line}\n" for line in to_toml(self.settings).splitlines())
        return own + self.work.describe()

    def parts(self, output: Path) -> Parts:
        """The ledger of `output`."""
        return Parts.beside(output, ["filaments", str(self.only_ends), self.describe()])

    def to_find(self, paths: Sequence[Path], parts: Parts) -> "FilamentBatch":
        """The same, with those micrographs in mind that are still to be done."""
        picker = replace(self.work.picker, order=parts.missing(paths, _FILAMENTS))
        return replace(self, work=replace(self.work, picker=picker))

    def find(self, path: Path, parts: Parts) -> Picks:
        """The filaments of a micrograph: those kept, or new ones.

        Raises:
            MicrographError: The file cannot serve, or its pixel size is unknown.
        """

        def make() -> dict[str, np.ndarray]:
            picks = self._find(path)
            return {"xy_px": picks.xy_px, "score": picks.score, **picks.extra}

        kept = dict(parts.once(_FILAMENTS, make, reads=path))
        picks = Picks.on(str(path), kept.pop("xy_px"), kept.pop("score"))
        return Picks(
            micrographs=picks.micrographs,
            index=picks.index,
            xy_px=picks.xy_px,
            score=picks.score,
            extra=kept,
        )

    def _find(self, path: Path) -> Picks:
        picker = self.work.picker
        scored = picker.score(path)
        prepared, step = scored.prepared, scored.scores.step_px
        ignored = picker.ignore.mask(str(path), prepared.image.shape, prepared.scale_yx)
        half = picker.model.diameter_px / 2
        usable = _framed(inset(prepared.usable, half) & ~ignored, round(half))
        width = 2 * half / step
        lines = line_scores(scored.scores.logits, usable[::step, ::step], width)
        grid_px = step * np.array(prepared.scale_yx[::-1])  # raw pixels, along x and y
        grid_ang = float(grid_px.mean()) * scored.pixel_size_ang
        found = trace(
            lines,
            width,
            contrast=self.settings.contrast,
            min_length=self.settings.min_length(picker.diameter_ang) / grid_ang,
        )
        paths = [Path2D(own.xy * grid_px, own.score) for own in found]
        if self.only_ends:
            return ends(str(path), paths)
        spacing_px = self.settings.spacing(picker.diameter_ang) / scored.pixel_size_ang
        return segments(str(path), paths, spacing_px, scored.pixel_size_ang)


def _framed(
    usable: Bool[np.ndarray, "height width"], margin: int
) -> Bool[np.ndarray, "height width"]:
    """Leave out a margin along the edges, where scores rise as if along a filament."""
    inner = np.zeros_like(usable)
    inside = np.s_[margin : usable.shape[0] - margin, margin : usable.shape[1] - margin]
    inner[inside] = usable[inside]
    return inner
