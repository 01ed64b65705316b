"""Models that `--model` names, applied to micrographs.

A detector written by `train` of this program scores images at the scale of its training, because
clients downsample them first, and normalizes each image, because the normalization of the client is
unknown. A detector of Topaz scores the image unchanged. A model of `cryopick train` and the general
model rescale the image first, so that particles get the size that they have in its training; that
size is given or found in the images.
With `none` the image itself is the score map.

- `Detector`: function that scores a micrograph, and the size of particles; `ScoredImage`: result.
- `open_detector`: open the model of a name.
- `load_model_of_name`: load the cryopick model of a name; `searches_size`: test for its kind.
- `IN_PIXELS`: marks models whose lengths are in pixels of the input images.
- `PRETRAINED_NAMES`: names of the general model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.particle_size import choose_pick_settings
from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import NotFoundError, SettingsError
from cryopick.inference.engine import DenseNetwork, optimize_for_inference
from cryopick.inference.score_map import ScoreMap, compute_score_map
from cryopick.io.images.micrograph import read_micrograph
from cryopick.model.device import CPU, AnyDevice, Device, choose_device, count_gpus
from cryopick.model.model_file import GENERAL_MODEL, Model, load_kept_model, load_model
from cryopick.model.trained_network import TrainedNetwork
from cryopick.pick.picker import Picker, find_peaks, start_compiling
from cryopick.pick.settings import PickSettings
from cryopick.pick.suppression import suppress_non_maxima
from cryopick.preprocess.fourier import resample
from cryopick.preprocess.mask import erode_mask
from cryopick.runs.ledger import identify_file

if TYPE_CHECKING:
    import torch

__all__ = [
    "IN_PIXELS",
    "PRETRAINED_NAMES",
    "Detector",
    "ScoredImage",
    "choose_numbered_device",
    "choose_torch_device",
    "is_cryopick_model",
    "load_model_of_name",
    "open_detector",
    "searches_size",
]

IN_PIXELS = "lengths in pixels of the images as given"
PRETRAINED_NAMES = ("resnet8", "resnet16")  # also with the suffixes _u32 and _u64
_NO_MODEL = "none"
_KEPT_MODELS = 4


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """Scores of a micrograph.

    Attributes:
        scores: Logits on a grid over the image that the network received.
        usable: Usable pixels of that image.
        scale_yx: Pixels of the micrograph per pixel of that image, along y and x.
        shape: Height and width of the micrograph.
        is_exact: Particles are centred on pixels of the map, without sub-pixel refinement.
    """

    scores: ScoreMap
    usable: Bool[np.ndarray, "height width"]
    scale_yx: tuple[float, float]
    shape: tuple[int, int]
    is_exact: bool

    def particles(
        self, radius_px: float, threshold: float
    ) -> tuple[Float[np.ndarray, "picks 2"], Float[np.ndarray, " picks"]]:
        """Find centres (x, y) in pixels of the micrograph, and scores, highest first."""
        if self.is_exact:
            logits = self.scores.logits
            peaks = suppress_non_maxima(logits, radius=radius_px, threshold=threshold)
            return peaks[:, ::-1].astype(np.float64), logits[tuple(peaks.T)].astype(np.float64)
        allowed = erode_mask(self.usable, radius_px / max(self.scale_yx))
        return find_peaks(
            self.scores, allowed, radius=radius_px, threshold=threshold, scale_yx=self.scale_yx
        )

    def whole_map(self) -> Float32[np.ndarray, "height width"]:
        """Resample the scores to the pixels of the micrograph."""
        logits = self.scores.logits
        return logits if logits.shape == self.shape else resample(logits, self.shape)


@dataclass(frozen=True)
class Detector:
    """A model of a name, applied to micrographs.

    Attributes:
        score: Function that scores a micrograph.
        spacing_px: Minimum distance between particles in pixels of the micrographs, if the model
            depends on their size.
        diameter_px: Particle diameter, or the width of a filament, likewise.
    """

    score: Callable[[Path], ScoredImage]
    spacing_px: float | None = None
    diameter_px: float | None = None

    def choose_radius(self, radius_px: float | None) -> float:
        """Return the minimum distance between particles: as given, but at least that of the model.

        A smaller distance would give several picks on one particle.

        Raises:
            SettingsError: Neither distance is known.
        """
        if radius_px is None and self.spacing_px is None:
            raise SettingsError("--radius is required, or --targets to optimize it")
        return float(max(radius_px or 0.0, self.spacing_px or 0.0))

    def choose_particle_radius(self, radius_px: float | None, spacing_px: float) -> float:
        """Return the radius of a particle: as given, but at least that of the model's particles.

        Args:
            radius_px: The value of `--radius`, if it was given.
            spacing_px: Minimum distance between picks, for models that do not know the size.
        """
        if self.diameter_px is None:
            return spacing_px
        return max(radius_px or 0.0, self.diameter_px / 2)

    def with_scores(self, scored: Mapping[Path, ScoredImage]) -> "Detector":
        """Return a copy that does not score these micrographs again."""
        return replace(
            self, score=lambda path: scored[path] if path in scored else self.score(path)
        )


def searches_size(name: str) -> bool:
    """Test whether a model must know the size of particles, which images may show.

    Raises:
        NotFoundError: The name is neither a file nor known.
        FormatError: The file is not a model.
    """
    path = Path(name)
    if name == _NO_MODEL or (path.is_file() and not is_cryopick_model(path)):
        return False
    return load_model_of_name(name).summary.get("lengths") != IN_PIXELS


def open_detector(
    name: str,
    paths: Sequence[Path],
    device: AnyDevice,
    *,
    diameter_px: float | None = None,
    settings: PickSettings | None = None,
    dense: bool = False,
) -> Detector:
    """Open the model of a name.

    Args:
        name: Value of `--model`.
        paths: Micrographs in the order in which they will be scored.
        device: Device to score on.
        diameter_px: Particle diameter for models that depend on it; None finds it in the
            micrographs.
        settings: Size, scale and contrast for those models, if they have been chosen before.
        dense: Score every pixel.

    Raises:
        NotFoundError: The name is neither a file nor known.
        FormatError: The file is not a model.
    """
    path = Path(name)
    if name == _NO_MODEL:
        return Detector(_read_scores)
    if path.is_file() and not is_cryopick_model(path):
        topaz_network = _read_topaz_model_once(path, identify_file(path))
        network = optimize_for_inference(topaz_network, device=device, step_px=1)
        return Detector(lambda image: _score_with_topaz_detector(image, network))
    model = load_kept_model(_find_model(name))
    step_px = 1 if dense else None
    depends_on_size = model.summary.get("lengths") != IN_PIXELS
    if not depends_on_size:
        settings = PickSettings(pixel_size_ang=1.0, step_px=step_px)
    elif settings is None:
        start_compiling(model, PickSettings(step_px=step_px), device)
        settings = choose_pick_settings(
            name, model, device, paths, diameter_px=diameter_px, step_px=step_px
        )
        _report_size(name, settings, is_given=diameter_px is not None)
    picker = Picker.create(model, settings, device, paths)
    return Detector(
        lambda image: _score_with_picker(image, picker),
        spacing_px=picker.radius_ang if depends_on_size else None,
        diameter_px=picker.diameter_ang if depends_on_size else None,
    )


def _report_size(name: str, settings: PickSettings, *, is_given: bool) -> None:
    which = "" if Path(name).is_file() else "the general model of cryopick, "
    source = "near the given size" if is_given else "a size found in the images"
    report(
        f"# {name}: {which}{settings.contrast} particles of {settings.scale_ang:.3g} pixels, "
        f"{source}; --particle-diameter sets it"
    )


def load_model_of_name(name: str) -> Model:
    """Load a cryopick model by its file, or the general model by a name of Topaz.

    Raises:
        NotFoundError: The name is neither a file nor known.
        FormatError: The file is not a model.
    """
    return load_model(_find_model(name))


def _find_model(name: str) -> Path:
    path = Path(name)
    if not path.is_file() and name.partition("_u")[0] not in PRETRAINED_NAMES:
        raise NotFoundError(f"{name}: no such model file; train one, or use resnet8 or resnet16")
    return path if path.is_file() else GENERAL_MODEL


@lru_cache(maxsize=_KEPT_MODELS)
def _read_topaz_model_once(path: Path, identity: str) -> TrainedNetwork:  # noqa: ARG001
    """Read a model of Topaz once: a worker gets many calls with the same one."""
    return read_topaz_model(path)


def is_cryopick_model(path: Path) -> bool:
    """Check if a file is a cryopick model by its content: safetensors with a JSON header."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and not start.startswith(b"PK")


def choose_numbered_device(number: int | None) -> AnyDevice:
    """Choose the GPU of a number, or the CPU below 0; fall back with a note if there is no GPU."""
    if number is None:
        return choose_device()
    if number < 0:
        return CPU
    device = choose_device()
    if device.type == "cuda":
        return Device("cuda", number if number < count_gpus() else 0)
    report(f"# device {number} requested, but CUDA is not available; using {device.type}")
    return device


def choose_torch_device(number: int | None) -> "torch.device":
    """Choose the device of a number for torch, as `choose_numbered_device` does."""
    import torch

    return torch.device(str(choose_numbered_device(number)))


def _read_scores(path: Path) -> ScoredImage:
    logits = np.asarray(read_micrograph(path).pixels, dtype=np.float32)
    return _create_on_pixels(ScoreMap(logits, 1))


def _score_with_topaz_detector(path: Path, network: DenseNetwork) -> ScoredImage:
    image = np.asarray(read_micrograph(path).pixels, dtype=np.float32)
    return _create_on_pixels(compute_score_map(network, image))


def _create_on_pixels(scores: ScoreMap) -> ScoredImage:
    shape = scores.logits.shape
    height, width = shape
    return ScoredImage(scores, np.ones(shape, bool), (1.0, 1.0), (height, width), is_exact=True)


def _score_with_picker(path: Path, picker: Picker) -> ScoredImage:
    scored = picker.score(path)
    prepared = scored.prepared
    return ScoredImage(
        scored.scores, prepared.usable, prepared.scale_yx, prepared.raw_shape, is_exact=False
    )
