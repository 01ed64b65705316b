"""What `--model` means, and micrographs through it.

A detector that `train` here has written works on images as they are given, in their own pixels, as
clients shrink them beforehand, and standardises each by itself, as nobody tells how a client did.
A detector of Topaz's own scores the image as it is. A model that `cryopick train` wrote, and the
general model, bring the image to their own scale first: there a particle is as large as it says,
which on the image is twice the radius asked for. `none` takes the image for the scores.

- `Looker`: a model made ready; `Seen`: what it says of a micrograph.
- `open_looker`: the model of a name.
- `IN_PIXELS`: marks models whose lengths are pixels of the images as given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.clients.topaz_cli.manners import say
from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import InputError, SettingsError
from cryopick.inference.score_map import ScoreMap, folded, score_map
from cryopick.io.images.micrograph import read_micrograph
from cryopick.model.device import choose_device
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.model.networks import Scorer
from cryopick.pick.picker import Picker, locate
from cryopick.pick.settings import PickSettings
from cryopick.pick.suppression import suppress
from cryopick.preprocess.fourier import resample
from cryopick.preprocess.mask import inset

if TYPE_CHECKING:
    import torch

__all__ = ["IN_PIXELS", "Looker", "Seen", "device_of", "is_ours", "open_looker"]

IN_PIXELS = "lengths in pixels of the images as given"
_LEARNT_FROM_MANY = ("resnet8", "resnet16")  # and the same with _u32, _u64 behind
_NO_MODEL = "none"


@dataclass(frozen=True, eq=False)
class Seen:
    """What a model says of a micrograph.

    Attributes:
        scores: Logits on a grid over the image that the network saw.
        usable: Pixels of that image that hold image.
        scale_yx: Pixels of the micrograph for each of its own, along y and x.
        shape: Height and width of the micrograph.
        is_exact: Particles lie on the pixels of the map, and not between them.
    """

    scores: ScoreMap
    usable: Bool[np.ndarray, "height width"]
    scale_yx: tuple[float, float]
    shape: tuple[int, int]
    is_exact: bool

    def particles(
        self, radius_px: float, threshold: float
    ) -> tuple[Float[np.ndarray, "picks 2"], Float[np.ndarray, " picks"]]:
        """Centres (x, y) in pixels of the micrograph and their scores, the highest first."""
        if self.is_exact:
            logits = self.scores.logits
            peaks = suppress(logits, radius=radius_px, threshold=threshold)
            return peaks[:, ::-1].astype(np.float64), logits[tuple(peaks.T)].astype(np.float64)
        room = inset(self.usable, radius_px / max(self.scale_yx))
        return locate(
            self.scores, room, radius=radius_px, threshold=threshold, scale_yx=self.scale_yx
        )

    def whole_map(self) -> Float32[np.ndarray, "height width"]:
        """A score for each pixel of the micrograph."""
        logits = self.scores.logits
        return logits if logits.shape == self.shape else resample(logits, self.shape)


Looker = Callable[[Path], Seen]


def open_looker(
    name: str,
    paths: Sequence[Path],
    device: "torch.device",
    *,
    radius_px: float | None,
    dense: bool = False,
) -> Looker:
    """Make the model of a name ready.

    Args:
        name: What `--model` said.
        paths: Micrographs in the order in which they will be looked at.
        device: Where to score.
        radius_px: Half a particle, which models with a scale of their own have to know.
        dense: Score every pixel.

    Raises:
        InputError: There is no such file, and the name is not known.
        FormatError: The file is no model.
        SettingsError: The model has a scale of its own and the radius is not known.
    """
    if name == _NO_MODEL:
        return _as_scores
    path, is_general = Path(name), name.partition("_u")[0] in _LEARNT_FROM_MANY
    if not path.is_file() and not is_general:
        raise InputError(f"{name}: no such model file; train one, or name resnet8 or resnet16")
    if path.is_file() and not is_ours(path):
        scorer = folded(read_topaz_model(path), device=device, step_px=1)
        return lambda image: _as_topaz(image, scorer)
    model = load_model(path if path.is_file() else GENERAL_MODEL)
    diameter_px = None
    if model.summary.get("lengths") != IN_PIXELS:
        if radius_px is None:
            raise SettingsError(
                f"--model {name} brings images to its own scale, so it has to know how large the "
                "particles are: use extract with --radius, half of their diameter in pixels"
            )
        diameter_px = 2 * radius_px
        what = f"{name}: " if path.is_file() else f"{name}: here the general model of cryopick, "
        say(f"# {what}for particles {diameter_px:g} pixels across")
    # An ångström stands for a pixel: clients shrink images and leave the old size in the header.
    settings = PickSettings(
        pixel_size_ang=1.0, diameter_ang=diameter_px, step_px=1 if dense else None
    )
    picker = Picker.ready(model, settings, device, paths)
    return lambda image: _as_ours(image, picker)


def is_ours(path: Path) -> bool:
    """Whether a file is one of our models, whatever its name: safetensors with a JSON header."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and not start.startswith(b"PK")


def device_of(number: int | None) -> "torch.device":
    """The GPU of a number, or the CPU below 0; what there is, with a note if it was asked for."""
    import torch

    if number is None:
        return choose_device()
    if number < 0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", number if number < torch.cuda.device_count() else 0)
    found = choose_device()
    say(f"# device {number} asked for; there is no CUDA here, using {found.type}")
    return found


def _as_scores(path: Path) -> Seen:
    logits = np.asarray(read_micrograph(path).pixels, dtype=np.float32)
    return _on_pixels(ScoreMap(logits, 1))


def _as_topaz(path: Path, scorer: Scorer) -> Seen:
    image = np.asarray(read_micrograph(path).pixels, dtype=np.float32)
    return _on_pixels(score_map(scorer, image, step_px=1))


def _on_pixels(scores: ScoreMap) -> Seen:
    shape = scores.logits.shape
    height, width = shape
    return Seen(scores, np.ones(shape, bool), (1.0, 1.0), (height, width), is_exact=True)


def _as_ours(path: Path, picker: Picker) -> Seen:
    scored = picker.score(path)
    prepared = scored.prepared
    return Seen(
        scored.scores, prepared.usable, prepared.scale_yx, prepared.raw_shape, is_exact=False
    )
