"""Models that `--model` names, applied to micrographs.

A detector written by `train` of this program scores images in their own pixels, because clients
downsample them first, and normalizes each image, because the normalization of the client is
unknown. A detector of Topaz scores the image unchanged. A model of `cryopick train` and the general
model rescale the image first, so that twice the radius becomes the particle diameter of the model.
With `none` the image itself is the score map.

- `ImageScorer`: function that scores a micrograph; `ScoredImage`: its result.
- `open_image_scorer`: open the model of a name.
- `IN_PIXELS`: marks models whose lengths are in pixels of the input images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import NotFoundError, SettingsError
from cryopick.inference.score_map import ScoreMap, compute_score_map, optimize_for_inference
from cryopick.io.images.micrograph import read_micrograph
from cryopick.model.device import choose_device
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.model.networks import Scorer
from cryopick.pick.picker import Picker, find_peaks
from cryopick.pick.settings import PickSettings
from cryopick.pick.suppression import suppress_non_maxima
from cryopick.preprocess.fourier import resample
from cryopick.preprocess.mask import erode_mask

if TYPE_CHECKING:
    import torch

__all__ = [
    "IN_PIXELS",
    "ImageScorer",
    "ScoredImage",
    "choose_torch_device",
    "is_cryopick_model",
    "open_image_scorer",
]

IN_PIXELS = "lengths in pixels of the images as given"
_PRETRAINED_NAMES = ("resnet8", "resnet16")  # also with the suffixes _u32 and _u64
_NO_MODEL = "none"


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


ImageScorer = Callable[[Path], ScoredImage]


def open_image_scorer(
    name: str,
    paths: Sequence[Path],
    device: "torch.device",
    *,
    radius_px: float | None,
    dense: bool = False,
) -> ImageScorer:
    """Open the model of a name.

    Args:
        name: Value of `--model`.
        paths: Micrographs in the order in which they will be scored.
        device: Device to score on.
        radius_px: Particle radius, required by models with a fixed scale.
        dense: Score every pixel.

    Raises:
        NotFoundError: The name is neither a file nor known.
        FormatError: The file is not a model.
        SettingsError: The model has a fixed scale and the radius is missing.
    """
    if name == _NO_MODEL:
        return _read_scores
    path, is_general = Path(name), name.partition("_u")[0] in _PRETRAINED_NAMES
    if not path.is_file() and not is_general:
        raise NotFoundError(f"{name}: no such model file; train one, or use resnet8 or resnet16")
    if path.is_file() and not is_cryopick_model(path):
        scorer = optimize_for_inference(read_topaz_model(path), device=device, step_px=1)
        return lambda image: _score_with_topaz_detector(image, scorer)
    model = load_model(path if path.is_file() else GENERAL_MODEL)
    diameter_px = None
    if model.summary.get("lengths") != IN_PIXELS:
        if radius_px is None:
            raise SettingsError(
                f"--model {name} rescales images and needs the size of the particles: use extract "
                "with --radius, half of the particle diameter in pixels"
            )
        diameter_px = 2 * radius_px
        source = f"{name}: " if path.is_file() else f"{name}: using the general model of cryopick, "
        report(f"# {source}for a particle diameter of {diameter_px:g} pixels")
    # Lengths in Å stand for pixels: clients downsample images without updating the header.
    settings = PickSettings(
        pixel_size_ang=1.0, diameter_ang=diameter_px, step_px=1 if dense else None
    )
    picker = Picker.create(model, settings, device, paths)
    return lambda image: _score_with_picker(image, picker)


def is_cryopick_model(path: Path) -> bool:
    """Check if a file is a cryopick model by its content: safetensors with a JSON header."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and not start.startswith(b"PK")


def choose_torch_device(number: int | None) -> "torch.device":
    """Choose the GPU of a number, or the CPU below 0; fall back with a note if there is no GPU."""
    import torch

    if number is None:
        return choose_device()
    if number < 0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", number if number < torch.cuda.device_count() else 0)
    device = choose_device()
    report(f"# device {number} requested, but CUDA is not available; using {device.type}")
    return device


def _read_scores(path: Path) -> ScoredImage:
    logits = np.asarray(read_micrograph(path).pixels, dtype=np.float32)
    return _create_on_pixels(ScoreMap(logits, 1))


def _score_with_topaz_detector(path: Path, scorer: Scorer) -> ScoredImage:
    image = np.asarray(read_micrograph(path).pixels, dtype=np.float32)
    return _create_on_pixels(compute_score_map(scorer, image, step_px=1))


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
