"""Model files: one safetensors file with weights and everything needed to use them.

Loading runs no code from the file and allocates nothing before shapes are known to fit.

- `Model`: a network together with the preparation its input needs.
- `save_model`, `load_model`: to and from a file.
- `GENERAL_MODEL`: the file that ships with the package; `general/` has its recipe.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cryopick.array_types import Float
from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.model.calibration import Odds
from cryopick.model.ensemble import Guide
from cryopick.model.networks import NetworkSettings, Scorer
from cryopick.preprocess.normalize import Normalization
from cryopick.runs.atomic_write import whole

__all__ = ["GENERAL_MODEL", "Model", "load_model", "save_model"]

# Here and not beside its recipe, which needs the simulation: who uses it need not load that.
GENERAL_MODEL = Path(__file__).with_name("general.safetensors")

_FORMAT = 1
_GUIDE = "guide/"  # what the names of a guide's weights begin with
_HEAD = "head spread"
_WIDEST = 1024  # channels; a file that asks for more is refused rather than allocated
_DAMAGED = (KeyError, TypeError, ValueError, OverflowError, RuntimeError)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained network and how to prepare micrographs for it.

    Attributes:
        scorer: The network.
        diameter_ang: Diameter of the particles it was trained on.
        working_pixel_size_ang: Ångströms per pixel of the images it was trained on.
        normalization: How those images were standardised.
        label_radius_px: Distance in working pixels within which a region was positive.
        guide: Another network whose logits are averaged with its, if any.
        odds: What makes log-odds of those logits, if they are calibrated.
        head_spread: A factor L of the covariance L Lᵀ of the weights of the last layer, its offset
            last, between kinds of particles, where it is known: `learn.head` fits them to labels.
        summary: What made it: settings, prior, results, version. Plain JSON values.
    """

    scorer: Scorer
    diameter_ang: float
    working_pixel_size_ang: float
    normalization: Normalization
    label_radius_px: float
    guide: Guide | None = None
    odds: Odds | None = None
    head_spread: Float[np.ndarray, "features features"] | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def diameter_px(self) -> float:
        """Particle diameter in working pixels, whatever the size of the particles looked for."""
        return self.diameter_ang / self.working_pixel_size_ang

    def factor(self, pixel_size_ang: float, diameter_ang: float | None = None) -> float:
        """Raw pixels per working pixel for micrographs of some pixel size.

        Args:
            pixel_size_ang: Ångströms per raw pixel.
            diameter_ang: Diameter of the particles looked for, when it is not the model's:
                the image is rescaled so that they look as large as those it learnt from.
        """
        scale = 1.0 if diameter_ang is None else diameter_ang / self.diameter_ang
        return self.working_pixel_size_ang * scale / pixel_size_ang


def save_model(model: Model, path: Path, *, overwrite: bool = False) -> None:
    """Write a model file, whole or not at all.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    description = {
        "format": _FORMAT,
        **_described(model.scorer),
        "diameter_ang": model.diameter_ang,
        "working_pixel_size_ang": model.working_pixel_size_ang,
        "normalization": model.normalization.to_dict(),
        "label_radius_px": model.label_radius_px,
        "guide": None,
        "odds": asdict(model.odds) if model.odds else None,
        "summary": dict(model.summary),
    }
    tensors = model.scorer.state_dict()
    if model.guide:
        description["guide"] = {**_described(model.guide.scorer), "weight": model.guide.weight}
        own = model.guide.scorer.state_dict()
        tensors |= {f"{_GUIDE}{name}": value for name, value in own.items()}
    if model.head_spread is not None:
        tensors[_HEAD] = torch.from_numpy(model.head_spread)
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with whole(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(tensors, {"cryopick": json.dumps(description)}))


def load_model(path: Path | str) -> Model:
    """Read a model file.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no model of cryopick's, or one of a later version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such model file; train one with `cryopick train`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a model file of cryopick (safetensors was expected): {error}"
        ) from error
    if "cryopick" not in metadata:
        raise FormatError(
            f"{path}: a safetensors file, but not a model of cryopick's; "
            "use a file that `cryopick train` wrote"
        )
    try:
        return _assemble(json.loads(metadata["cryopick"]), tensors)
    except (*_DAMAGED, SettingsError, FormatError) as error:
        why = " ".join(str(error).split())[:200]
        raise FormatError(
            f"{path}: the model's description is damaged or of another version ({why}); "
            "train it again or update cryopick"
        ) from error


def _described(scorer: Scorer) -> dict[str, Any]:
    """What tells a network apart from another."""
    return {
        "network": asdict(scorer.settings),
        "receptive_field_px": scorer.receptive_field_px,
        "stride_px": scorer.stride_px,
    }


def _assemble(description: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Model:
    """Build a model from what its file says."""
    if description["format"] != _FORMAT:
        raise ValueError(f"format {description['format']}, this version reads {_FORMAT}")
    odds = description.get("odds")
    guide, stated = None, description.get("guide")
    if stated:
        own = {name: value for name, value in tensors.items() if name.startswith(_GUIDE)}
        tensors = {name: value for name, value in tensors.items() if name not in own}
        weights = {name.removeprefix(_GUIDE): value for name, value in own.items()}
        guide = Guide(_network(stated, weights), _number(stated, "weight"))
    spread = tensors.pop(_HEAD, None)
    scorer = _network(description, tensors)
    return Model(
        scorer=scorer,
        diameter_ang=_positive(description, "diameter_ang"),
        working_pixel_size_ang=_positive(description, "working_pixel_size_ang"),
        normalization=Normalization.from_dict(description["normalization"]),
        label_radius_px=_number(description, "label_radius_px"),
        guide=guide,
        odds=Odds(float(odds["slope"]), float(odds["offset"])) if odds else None,
        head_spread=None if spread is None else _head_spread(spread, scorer),
        summary=dict(description["summary"]),
    )


def _head_spread(tensor: torch.Tensor, scorer: Scorer) -> Float[np.ndarray, "features features"]:
    """The spread of the last layer's weights, which must fit the network."""
    side = scorer.features + 1
    if tuple(tensor.shape) != (side, side) or tensor.dtype != torch.float64:
        raise ValueError(f"the {_HEAD} is {tuple(tensor.shape)} {tensor.dtype}, not {side} square")
    if not bool(tensor.isfinite().all()):
        raise ValueError(f"the {_HEAD} is not finite")
    return tensor.numpy()


def _network(description: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> Scorer:
    """Build a network from its description, with weights that must fit it."""
    settings = NetworkSettings(**description["network"])
    if settings.width > _WIDEST:
        raise ValueError(f"width {settings.width} is beyond {_WIDEST}")
    with torch.device("meta"):  # shapes without memory, so that a false file costs nothing
        scorer = Scorer(settings)
    seen = (description["receptive_field_px"], description["stride_px"])
    if seen != (scorer.receptive_field_px, scorer.stride_px):
        raise ValueError(f"receptive field and stride {seen} are not those of {settings.name}")
    kinds = {name: tensor.dtype for name, tensor in scorer.state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.dtype != kinds.get(name, tensor.dtype):
            raise ValueError(f"weights {name} are {tensor.dtype}, {kinds[name]} was expected")
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"weights {name} are not finite")
    scorer.load_state_dict(tensors, assign=True)
    return scorer.eval()


def _positive(description: Mapping[str, Any], name: str) -> float:
    value = _number(description, name)
    if value == 0:
        raise ValueError(f"{name} must be above 0; got {value}")
    return value


def _number(description: Mapping[str, Any], name: str) -> float:
    value = float(description[name])
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a number of at least 0; got {value}")
    return value
