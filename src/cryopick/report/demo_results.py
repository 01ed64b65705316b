"""Results of a finished demo, read from the files that its stages wrote.

- `DemoFiles`: paths of the files in the folder of a demo.
- `DemoResults`, `DemoMicrograph`: contents of the report.
- `collect_demo_results`: the results, from the files.
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
from cryopick.report.pictures import MicrographView, PickMarks, crop_uris
from cryopick.report.training import read_curves

if TYPE_CHECKING:
    from cryopick.train.curves import CurveRow

__all__ = ["DemoFiles", "DemoMicrograph", "DemoResults", "collect_demo_results"]


@dataclass(frozen=True)
class DemoFiles:
    """Paths of the files in the folder of a demo; tables name micrographs by their stems."""

    root: Path

    @property
    def truth(self) -> Path:
        """All simulated particles."""
        return self.root / "data" / "particles.tsv"

    @property
    def micrographs(self) -> Path:
        """Folder of the simulated micrographs."""
        return self.root / "data" / "micrographs"

    @property
    def parts(self) -> Path:
        """Folder of the lists of training and held-out micrographs."""
        return self.root / "parts"

    @property
    def train_list(self) -> Path:
        """Training micrographs, one per line; train.tsv in the same folder has their particles."""
        return self.parts / "train.txt"

    @property
    def test_list(self) -> Path:
        """Held-out micrographs, one per line."""
        return self.parts / "test.txt"

    @property
    def labels(self) -> Path:
        """Labelled particles."""
        return self.root / "labels.tsv"

    @property
    def model(self) -> Path:
        """Trained model; the folder of its training run is beside it."""
        return self.root / "particle.safetensors"

    @property
    def run(self) -> Path:
        """Folder of the training run."""
        return self.root / "particle.run"

    @property
    def picks(self) -> Path:
        """Picks on the held-out micrographs."""
        return self.root / "picks.tsv"

    @property
    def scores(self) -> Path:
        """Folder of the score maps of the held-out micrographs."""
        return self.root / "scores"

    @property
    def precision_recall(self) -> Path:
        """Plot of precision against recall."""
        return self.root / "precision_recall.png"

    @property
    def report(self) -> Path:
        """HTML report."""
        return self.root / "report.html"

    @property
    def metrics(self) -> Path:
        """Metrics in JSON; written last."""
        return self.root / "metrics.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class DemoMicrograph:
    """A held-out micrograph that the report shows.

    Attributes:
        evaluation: Name and metrics of the micrograph.
        view: The micrograph for display.
        marks: Picks and particles.
        logits: Score map.
        raw_per_score: Raw pixels between two scores.
    """

    evaluation: MicrographEvaluation
    view: MicrographView
    marks: PickMarks
    logits: Real[np.ndarray, "rows columns"]
    raw_per_score: float


@dataclass(frozen=True, eq=False, kw_only=True)
class DemoResults:
    """Results of a demo.

    Attributes:
        evaluation: Comparison of the picks on all held-out micrographs with the truth.
        rows: Training curves.
        labels: Pictures of the labelled particles, as data URIs.
        n_training_micrographs: Number of training micrographs.
        micrographs: Held-out micrographs to show.
        diameter_px: Particle diameter in raw pixels.
        settings: Contents of the settings files, by title.
        version: Version of cryopick.
    """

    evaluation: Evaluation
    rows: "Sequence[CurveRow]"
    labels: Sequence[str]
    n_training_micrographs: int
    micrographs: Sequence[DemoMicrograph]
    diameter_px: float
    settings: Mapping[str, str]
    version: str


@dataclass(frozen=True)
class _MarkedTables:
    """Picks and particles to mark, with the particle diameter and the matching radius."""

    picks: Picks
    truth: Picks
    diameter_px: float
    radius_px: float


def collect_demo_results(files: DemoFiles, diameter_px: float, radius_px: float) -> DemoResults:
    """Read the files of a demo, evaluate its picks and choose micrographs to show.

    These are the held-out micrographs with the highest and the lowest average precision.

    Args:
        files: Paths of the files.
        diameter_px: Particle diameter in raw pixels.
        radius_px: Maximum distance between a pick and its particle.
    """
    held_out = {micrograph_stem(path.name): path for path in _read_list(files.test_list)}
    picks, truth = (
        read_picks(table).restrict(tuple(held_out)) for table in (files.picks, files.truth)
    )
    evaluation = evaluate_picks(picks, truth, radius_px, tuple(held_out))
    threshold = evaluation.best.threshold if evaluation.best else None
    selected = picks if threshold is None else apply_threshold(picks, threshold)
    tables = _MarkedTables(selected, truth, diameter_px, radius_px)
    ranked = sorted(evaluation.micrographs, key=lambda result: result.average_precision or 0.0)
    extremes = [ranked[-1], ranked[0]] if len(ranked) > 1 else ranked
    return DemoResults(
        evaluation=evaluation,
        rows=read_curves(files.run / "curves.tsv"),
        labels=_crop_labels(files, diameter_px),
        n_training_micrographs=len(_read_list(files.train_list)),
        micrographs=[
            _load_micrograph(files, held_out[result.name], result, tables) for result in extremes
        ],
        diameter_px=diameter_px,
        settings={
            "Simulation settings": _read_text(files.root / "data" / "settings.toml"),
            "Training settings": _read_text(files.run / "settings.toml"),
            "Pick settings": _read_text(files.picks.with_suffix(".settings.toml")),
        },
        version=version("cryopick"),
    )


def _read_list(path: Path) -> list[Path]:
    return find_micrographs([f"@{path}"])


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _crop_labels(files: DemoFiles, diameter_px: float) -> list[str]:
    path_by_stem = {micrograph_stem(path.name): path for path in _read_list(files.train_list)}
    return [
        uri
        for name, labels in read_picks(files.labels).split_by_micrograph()
        for uri in crop_uris(read_micrograph(path_by_stem[name]).pixels, labels.xy_px, diameter_px)
    ]


def _load_micrograph(
    files: DemoFiles, path: Path, evaluation: MicrographEvaluation, tables: _MarkedTables
) -> DemoMicrograph:
    """Load a micrograph with its score map, picks and particles."""
    name = evaluation.name
    micrograph, score_map = read_micrograph(path), read_micrograph(files.scores / f"{name}.mrc")
    picks, truth = tables.picks.restrict([name]), tables.truth.restrict([name])
    raw_ang, score_ang = micrograph.pixel_size_ang or 1.0, score_map.pixel_size_ang or 1.0
    return DemoMicrograph(
        evaluation=evaluation,
        view=MicrographView.from_pixels(micrograph.pixels, tables.diameter_px),
        marks=PickMarks.from_matching(picks.xy_px, picks.score, truth.xy_px, tables.radius_px),
        logits=score_map.pixels,
        raw_per_score=score_ang / raw_ang,
    )
