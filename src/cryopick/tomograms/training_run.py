"""A training run on tomograms: read labels and volumes, train, calibrate, and build the model.

- `TrainingInputs`: tomograms and labels.
- `train_model`: run the training.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.errors import SettingsError
from cryopick.picks import Picks
from cryopick.tomograms.coordinates import get_xyz
from cryopick.tomograms.model_file import TomogramModel
from cryopick.tomograms.picking import calibrate_scorer
from cryopick.tomograms.sampling import LabelledVolume
from cryopick.tomograms.settings import TomogramPicking, TomogramTraining
from cryopick.tomograms.training import train_scorer
from cryopick.tomograms.volumes import Tomogram
from cryopick.tomograms.working_volume import estimate_bytes, load_working_volume

__all__ = ["TrainingInputs", "train_model"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingInputs:
    """Tomograms and labels of a training.

    Attributes:
        tomograms: Training tomograms; those without any label are not used.
        labels: Labels of each class in voxels of the files, by name of the class.
        negatives: Positions without a particle; None if there are none.
    """

    tomograms: Sequence[Tomogram]
    labels: dict[str, Picks]
    negatives: Picks | None = field(default=None)

    def count_labels(self) -> dict[str, int]:
        """Count the labels of each class."""
        return {name: len(picks) for name, picks in self.labels.items()}


def train_model(
    inputs: TrainingInputs,
    settings: TomogramTraining,
    *,
    device: torch.device,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> TomogramModel:
    """Train a network on labelled tomograms, and calibrate its scores.

    Raises:
        SettingsError: There are no labels, the volumes exceed the memory limit, or the settings
            contradict the labels.
        MicrographError: A tomogram cannot be used.
    """
    volumes = _load_volumes(inputs, settings)
    scorer = train_scorer(volumes, settings, device=device, on_step=on_step)
    diameter_px = settings.diameter_ang / settings.working_ang
    calibrated = calibrate_scorer(
        scorer,
        [volume.image for volume in volumes],
        expected=settings.particles_per_tomogram,
        radius_px=TomogramPicking.min_distance_frac * diameter_px,
        device=device,
    )
    return TomogramModel(
        scorer=calibrated,
        diameter_ang=settings.diameter_ang,
        working_ang=settings.working_ang,
        classes=tuple(inputs.labels),
        summary={
            "labels": inputs.count_labels(),
            "tomograms": len(volumes),
            "settings": asdict(settings),
            "version": version("cryopick"),
        },
    )


def _load_volumes(inputs: TrainingInputs, settings: TomogramTraining) -> list[LabelledVolume]:
    """Load the tomograms that have labels, at the working voxel size."""
    labelled = {
        one.micrographs[i] for one in inputs.labels.values() for i in np.unique(one.index).tolist()
    }
    tomograms = [one for one in inputs.tomograms if one.name in labelled]
    if not tomograms:
        raise SettingsError("no label lies in a training tomogram; check the names and the labels")
    needed_gb = sum(
        estimate_bytes(one.shape, settings.working_ang / one.voxel_size_ang) for one in tomograms
    )
    if needed_gb > settings.max_memory_gb * 1e9:
        raise SettingsError(
            f"the training tomograms need {needed_gb / 1e9:.1f} GB at the working voxel size and "
            f"the limit is {settings.max_memory_gb:g} GB; use fewer tomograms, or raise "
            "--working-voxel-ang or --max-memory-gb"
        )
    volumes = []
    for tomogram in tomograms:
        volume = load_working_volume(tomogram, settings.working_ang, max_gb=settings.max_memory_gb)
        labels = [
            _select_inside(picks, tomogram) / volume.factor for picks in inputs.labels.values()
        ]
        negatives = np.zeros((0, 3))
        if inputs.negatives is not None:
            negatives = _select_inside(inputs.negatives, tomogram) / volume.factor
        volumes.append(LabelledVolume(volume.image, labels, negatives))
    return volumes


def _select_inside(picks: Picks, tomogram: Tomogram) -> Float[np.ndarray, "labels 3"]:
    """Select the positions of a table that lie in a tomogram.

    Raises:
        SettingsError: More than half of those in the tomogram lie outside it.
    """
    xyz = get_xyz(picks.restrict([tomogram.name]))
    size = np.array(tomogram.shape[::-1])
    is_inside = ((xyz >= -0.5) & (xyz <= size - 0.5)).all(axis=1)
    if len(xyz) and is_inside.mean() < 0.5:
        raise SettingsError(
            f"{tomogram.path}: {int((~is_inside).sum())} of {len(xyz)} labels lie outside its "
            f"{size[0]} x {size[1]} x {size[2]} voxels; check the unit of the table, and "
            "--unbinned-ang and --voxel-size-ang"
        )
    return xyz[is_inside]
