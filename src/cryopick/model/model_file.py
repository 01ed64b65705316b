"""Model files: one safetensors file with the weights and everything needed to use them.

Loading executes no code from the file, and needs no torch. In the metadata, the ensemble partner
has the key `guide` and the calibration the key `odds`.

- `Model`: a network with the preprocessing of its input.
- `save_model`, `load_model`: write and read a model file.
- `load_kept_model`: read a model file once, for pickers.
- `GENERAL_MODEL`: path of the general model; `train/pretrain` trains it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cryopick.array_types import Float, Shaped
from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.model.calibration import Calibration
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.trained_network import Arrays, TrainedNetwork, check_weights
from cryopick.preprocess.normalize import Normalization
from cryopick.runs.atomic_write import atomic_write

if TYPE_CHECKING:
    from cryopick.model.networks import Scorer

__all__ = [
    "GENERAL_MODEL",
    "Model",
    "load_kept_model",
    "load_model",
    "save_model",
]

# Defined here because `train/pretrain` imports the simulation, which picking does not need.
GENERAL_MODEL = Path(__file__).with_name("general.safetensors")

_FORMAT = 1
_PARTNER_PREFIX = "guide/"  # of the names of the ensemble partner's weights
_HEAD_SPREAD = "head spread"  # name of a tensor
_MAX_OFFSET_PX = 4.0  # a quarter of a particle
_MAX_WIDTH = 1024  # channels; a file that requires more is rejected rather than allocated
_KEPT_MODELS = 4
_reading = Lock()  # a thread waits for a model that another one is reading
_DAMAGED_FILE_ERRORS = (
    *(KeyError, TypeError, ValueError, OverflowError, RuntimeError),
    AttributeError,  # a value of another type than expected
)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained network and the preprocessing of its input.

    Attributes:
        network: The network.
        diameter_ang: Diameter (longest dimension) of the particles in the training data.
        working_pixel_size_ang: Pixel size of the network's input, in ångströms.
        normalization: Normalisation of the network's input.
        label_radius_px: Distance in working pixels within which a position was positive.
        partner: Second network whose logits are averaged with those of `network`, if any.
        calibration: Map from logits to log-odds; None if the logits are not calibrated.
        head_spread: Factor L of the covariance L Lᵀ of the weights of the last layer (its offset
            last) over kinds of particles, if known. `train.head_fit` uses it as a prior.
        detects_contrast: The network expects dark particles, and picking may invert micrographs.
            False for models trained on the micrographs as they are.
        centre_offset_px: Mean displacement (x, y) of the peaks of the score map from the particle
            centres, in working pixels; picking subtracts it.
        scale_ang: Size that appears `diameter_px` wide in the network's input, if not the diameter.
        width_ang: Short side of elongated particles.
        summary: Provenance as JSON values: settings, prior, results, version.
    """

    network: TrainedNetwork
    diameter_ang: float
    working_pixel_size_ang: float
    normalization: Normalization
    label_radius_px: float
    partner: EnsemblePartner | None = None
    calibration: Calibration | None = None
    head_spread: Float[np.ndarray, "features features"] | None = None
    detects_contrast: bool = False
    centre_offset_px: tuple[float, float] = (0.0, 0.0)
    scale_ang: float | None = None
    width_ang: float | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def scorer(self) -> "Scorer":
        """The network as a module of torch, with the same arrays, for training."""
        from cryopick.model.networks import build_scorer

        return build_scorer(self.network)

    @property
    def diameter_px(self) -> float:
        """Size of particles in working pixels; equal for all particles, as images are rescaled."""
        return (self.scale_ang or self.diameter_ang) / self.working_pixel_size_ang

    def scale_for(self, diameter_ang: float) -> float:
        """Return the scale for particles of another diameter that are similar to the model's."""
        return (self.scale_ang or self.diameter_ang) * diameter_ang / self.diameter_ang

    def factor(self, pixel_size_ang: float, scale_ang: float | None = None) -> float:
        """Compute the downsampling factor: raw pixels per working pixel.

        Args:
            pixel_size_ang: Ångströms per raw pixel.
            scale_ang: Size that is to appear as large as that of the model's particles in the
                training data, if it differs from the model's.
        """
        own_ang = self.scale_ang or self.diameter_ang
        scale = 1.0 if scale_ang is None else scale_ang / own_ang
        return self.working_pixel_size_ang * scale / pixel_size_ang


def save_model(model: Model, path: Path, *, overwrite: bool = False) -> None:
    """Write a model file atomically.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    description = {
        "format": _FORMAT,
        **_describe_network(model.network),
        "diameter_ang": model.diameter_ang,
        "working_pixel_size_ang": model.working_pixel_size_ang,
        "normalization": model.normalization.to_dict(),
        "label_radius_px": model.label_radius_px,
        "detects_contrast": model.detects_contrast,
        "centre_offset_px": model.centre_offset_px,
        "scale_ang": model.scale_ang,
        "width_ang": model.width_ang,
        "guide": None,
        "odds": asdict(model.calibration) if model.calibration else None,
        "summary": dict(model.summary),
    }
    tensors = dict(model.network.weights)
    if model.partner:
        network = _describe_network(model.partner.network)
        description["guide"] = {**network, "weight": model.partner.weight}
        partner_tensors = model.partner.network.weights
        tensors |= {f"{_PARTNER_PREFIX}{name}": value for name, value in partner_tensors.items()}
    if model.head_spread is not None:
        tensors[_HEAD_SPREAD] = model.head_spread
    tensors = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(tensors, {"cryopick": json.dumps(description)}))


def load_model(path: Path | str) -> Model:
    """Read a model file.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not a cryopick model, or was written by a later version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such model file; train one with `cryopick train`")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a cryopick model file (expected safetensors format): {error}"
        ) from error
    if "cryopick" not in metadata:
        raise FormatError(
            f"{path}: a safetensors file, but not a cryopick model; "
            "use a file written by `cryopick train`"
        )
    try:
        description = json.loads(metadata["cryopick"])
        if not isinstance(description, dict):
            raise ValueError("its description is not an object")
        return _assemble(description, tensors)
    except (*_DAMAGED_FILE_ERRORS, SettingsError, FormatError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(
            f"{path}: the model file is damaged or from another version ({reason}); "
            "train the model again or update cryopick"
        ) from error


def load_kept_model(path: Path) -> Model:
    """Read a model file, or return the model if it was read before and has not changed since.

    Its networks are then compiled once, too. Its arrays must not be modified.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not a cryopick model, or was written by a later version.
    """
    with _reading:
        if not path.is_file():
            return load_model(path)  # raises the error
        facts = path.stat()
        return _load_version(path.resolve(), (facts.st_ino, facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=_KEPT_MODELS)
def _load_version(path: Path, _: tuple[int, int, int]) -> Model:
    return load_model(path)


def _describe_network(network: TrainedNetwork) -> dict[str, Any]:
    """Describe the architecture of a network as JSON values."""
    return {
        "network": asdict(network.settings),
        "receptive_field_px": network.receptive_field_px,
        "stride_px": network.stride_px,
    }


def _assemble(description: dict[str, Any], tensors: Arrays) -> Model:
    """Build a model from the description and the tensors of its file."""
    if description.get("dimensions") == 3:
        raise ValueError("it is a model for tomograms: use `cryopick tomo pick`")
    if description["format"] != _FORMAT:
        raise ValueError(f"format {description['format']}, this version reads {_FORMAT}")
    line = description.get("odds")
    partner, partner_description = None, description.get("guide")
    if partner_description:
        prefixed = {k: value for k, value in tensors.items() if k.startswith(_PARTNER_PREFIX)}
        tensors = {name: value for name, value in tensors.items() if name not in prefixed}
        weights = {name.removeprefix(_PARTNER_PREFIX): value for name, value in prefixed.items()}
        partner = EnsemblePartner(
            _build_network(partner_description, weights),
            _read_number(partner_description, "weight"),
        )
    head_spread = tensors.get(_HEAD_SPREAD)
    tensors = {name: value for name, value in tensors.items() if name != _HEAD_SPREAD}
    network = _build_network(description, tensors)
    return Model(
        network=network,
        diameter_ang=_read_positive(description, "diameter_ang"),
        working_pixel_size_ang=_read_positive(description, "working_pixel_size_ang"),
        normalization=Normalization.from_dict(description["normalization"]),
        label_radius_px=_read_number(description, "label_radius_px"),
        partner=partner,
        calibration=Calibration(float(line["slope"]), float(line["offset"])) if line else None,
        head_spread=None if head_spread is None else _check_head_spread(head_spread, network),
        centre_offset_px=_read_offset(description),
        scale_ang=_read_optional(description, "scale_ang"),
        width_ang=_read_optional(description, "width_ang"),
        detects_contrast=bool(description.get("detects_contrast", False)),
        summary=dict(description["summary"]),
    )


def _check_head_spread(
    factor: Shaped[np.ndarray, "..."], network: TrainedNetwork
) -> Float[np.ndarray, "features features"]:
    """Check that the covariance factor of the last layer matches the network."""
    side = network.features + 1
    if factor.shape != (side, side) or factor.dtype != np.float64:
        raise ValueError(f"the {_HEAD_SPREAD} is {factor.shape} {factor.dtype}, not {side} square")
    if not np.isfinite(factor).all():
        raise ValueError(f"{_HEAD_SPREAD} has values that are not finite")
    return factor


def _build_network(description: Mapping[str, Any], weights: Arrays) -> TrainedNetwork:
    """Build a network from its description and weights, and check that they match."""
    settings = NetworkSettings(**description["network"])
    if settings.width > _MAX_WIDTH:
        raise ValueError(f"width {settings.width} exceeds {_MAX_WIDTH}")
    network = TrainedNetwork(settings, weights)
    geometry = (description["receptive_field_px"], description["stride_px"])
    if geometry != (network.receptive_field_px, network.stride_px):
        raise ValueError(f"receptive field and stride {geometry} are not those of {settings.name}")
    check_weights(settings, weights)
    return network


def _read_offset(description: Mapping[str, Any]) -> tuple[float, float]:
    x, y = (float(part) for part in description.get("centre_offset_px", (0.0, 0.0)))
    if not max(abs(x), abs(y)) < _MAX_OFFSET_PX:
        raise ValueError(f"centre_offset_px must be below {_MAX_OFFSET_PX}; got {x:g}, {y:g}")
    return x, y


def _read_optional(description: Mapping[str, Any], name: str) -> float | None:
    return None if description.get(name) is None else _read_positive(description, name)


def _read_positive(description: Mapping[str, Any], name: str) -> float:
    value = _read_number(description, name)
    if value == 0:
        raise ValueError(f"{name} must be above 0; got {value}")
    return value


def _read_number(description: Mapping[str, Any], name: str) -> float:
    value = float(description[name])
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a number of at least 0; got {value}")
    return value
