"""What a finished demo has found, gathered from the files that its stages wrote.

- `DemoFiles`: what lies where in a demo's folder.
- `Findings`, `Example`: what the page tells.
- `gather`: from the files to the findings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Real
from cryopick.evaluate.evaluation import Evaluation, MicrographEvaluation, evaluate_picks
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.inputs import find_micrographs
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks
from cryopick.report.pictures import Marks, View, crop_uris
from cryopick.report.training import read_curves

if TYPE_CHECKING:
    from cryopick.train.curves import CurveRow

__all__ = ["DemoFiles", "Example", "Findings", "gather"]


@dataclass(frozen=True)
class DemoFiles:
    """What lies where in the folder of a demo; tables name micrographs by their stems."""

    root: Path

    @property
    def truth(self) -> Path:
        """All particles that were simulated."""
        return self.root / "data" / "particles.tsv"

    @property
    def micrographs(self) -> Path:
        """Folder of the simulated micrographs."""
        return self.root / "data" / "micrographs"

    @property
    def parts(self) -> Path:
        """Folder of the lists to train on and to test on."""
        return self.root / "parts"

    @property
    def train_list(self) -> Path:
        """Micrographs to train on, one a line; train.tsv beside it has their particles."""
        return self.parts / "train.txt"

    @property
    def test_list(self) -> Path:
        """Held-out micrographs, one a line."""
        return self.parts / "test.txt"

    @property
    def labels(self) -> Path:
        """What the network is told."""
        return self.root / "labels.tsv"

    @property
    def model(self) -> Path:
        """What it learns; the folder of its run lies beside it."""
        return self.root / "particle.safetensors"

    @property
    def run(self) -> Path:
        """Folder of the training run."""
        return self.root / "particle.run"

    @property
    def picks(self) -> Path:
        """What it picks on held-out micrographs."""
        return self.root / "picks.tsv"

    @property
    def scores(self) -> Path:
        """Folder of the score maps of held-out micrographs."""
        return self.root / "scores"

    @property
    def judged(self) -> Path:
        """The precision-recall curve."""
        return self.root / "precision_recall.png"

    @property
    def report(self) -> Path:
        """The page."""
        return self.root / "report.html"

    @property
    def metrics(self) -> Path:
        """The numbers; written last."""
        return self.root / "metrics.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """One held-out micrograph.

    Attributes:
        judged: Its name and numbers.
        view: The micrograph to look at.
        marks: Picks and particles on it.
        logits: Its scores.
        raw_per_score: Raw pixels between two scores.
    """

    judged: MicrographEvaluation
    view: View
    marks: Marks
    logits: Real[np.ndarray, "rows columns"]
    raw_per_score: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """What a demo found, and how it came about.

    Attributes:
        judged: The picks on all held-out micrographs against the truth.
        rows: The course of the training.
        labels: Pictures of the labelled particles, as data addresses.
        trained_on: Micrographs that were trained on.
        examples: Held-out micrographs to show.
        diameter_px: Particle diameter in raw pixels.
        settings: Settings of the simulation, the training and the picking, by title.
        version: Version of cryopick.
    """

    judged: Evaluation
    rows: "Sequence[CurveRow]"
    labels: Sequence[str]
    trained_on: int
    examples: Sequence[Example]
    diameter_px: float
    settings: Mapping[str, str]
    version: str


@dataclass(frozen=True)
class _Marked:
    """What is marked on the examples, and how large."""

    picks: Picks
    truth: Picks
    diameter_px: float
    radius_px: float


def gather(files: DemoFiles, diameter_px: float, radius_px: float) -> Findings:
    """Read what the stages of a demo wrote, judge the picks and choose what to show.

    The held-out micrographs of the highest and of the lowest average precision are shown.

    Args:
        files: Where everything lies.
        diameter_px: Particle diameter in raw pixels.
        radius_px: Greatest distance between a pick and its particle.
    """
    held_out = {micrograph_stem(path.name): path for path in _listed(files.test_list)}
    picks, truth = (read_picks(t).restrict(tuple(held_out)) for t in (files.picks, files.truth))
    judged = evaluate_picks(picks, truth, radius_px, tuple(held_out))
    cut = judged.best.threshold if judged.best else None
    marked = picks if cut is None else apply_threshold(picks, cut)
    ranked = sorted(judged.micrographs, key=lambda own: own.average_precision or 0.0)
    shown = [ranked[-1], ranked[0]] if len(ranked) > 1 else ranked
    return Findings(
        judged=judged,
        rows=read_curves(files.run / "curves.tsv"),
        labels=_label_pictures(files, diameter_px),
        trained_on=len(_listed(files.train_list)),
        examples=[
            _example(files, held_out[own.name], own, _Marked(marked, truth, diameter_px, radius_px))
            for own in shown
        ],
        diameter_px=diameter_px,
        settings={
            "Settings of the simulation": _text(files.root / "data" / "settings.toml"),
            "Settings of the training": _text(files.run / "settings.toml"),
            "Settings of the picking": _text(files.picks.with_suffix(".settings.toml")),
        },
        version=version("cryopick"),
    )


def _listed(names: Path) -> list[Path]:
    return find_micrographs([f"@{names}"])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _label_pictures(files: DemoFiles, diameter_px: float) -> list[str]:
    by_stem = {micrograph_stem(path.name): path for path in _listed(files.train_list)}
    return [
        picture
        for name, own in read_picks(files.labels).split_by_micrograph()
        for picture in crop_uris(read_micrograph(by_stem[name]).pixels, own.xy_px, diameter_px)
    ]


def _example(files: DemoFiles, path: Path, own: MicrographEvaluation, tables: _Marked) -> Example:
    """One micrograph with its share of the picks and of the particles."""
    micrograph, scored = read_micrograph(path), read_micrograph(files.scores / f"{own.name}.mrc")
    picks, truth = tables.picks.restrict([own.name]), tables.truth.restrict([own.name])
    raw_ang, scored_ang = micrograph.pixel_size_ang or 1.0, scored.pixel_size_ang or 1.0
    return Example(
        judged=own,
        view=View.of(micrograph.pixels, tables.diameter_px),
        marks=Marks.of(picks.xy_px, picks.score, truth.xy_px, tables.radius_px),
        logits=scored.pixels,
        raw_per_score=scored_ang / raw_ang,
    )
