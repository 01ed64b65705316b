"""Model files of networks for tomograms: one safetensors file, as for micrographs.

`cryopick models show` describes them; `cryopick pick` refuses them and names `cryopick tomo pick`.

- `TomogramModel`: a network with what is needed to use it.
- `save_model`, `load_model`: write and read a model file.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cryopick.errors import FormatError, InputError
from cryopick.runs.atomic_write import atomic_write
from cryopick.tomograms.network import Scorer3d

__all__ = ["TomogramModel", "load_model", "save_model"]

_NAME, _FORMAT, _DIMENSIONS = "conv17-3d", 1, 3
_MAX_CLASSES, _MAX_WIDTH = 1000, 64  # a file that requires more is rejected, not allocated


@dataclass(frozen=True, kw_only=True)
class TomogramModel:
    """A trained network and the scale of its input.

    Attributes:
        scorer: The network.
        diameter_ang: Diameter of the particles.
        working_ang: Voxel size of the network's input in ångströms.
        classes: Names of the classes of particles.
        summary: Provenance as JSON values: settings, labels, version.
    """

    scorer: Scorer3d
    diameter_ang: float
    working_ang: float
    classes: tuple[str, ...]
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def diameter_px(self) -> float:
        """Particle diameter in working voxels."""
        return self.diameter_ang / self.working_ang


def save_model(model: TomogramModel, path: Path, *, overwrite: bool = False) -> None:
    """Write a model file atomically.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    description = {
        "format": _FORMAT,
        "dimensions": _DIMENSIONS,
        "network": {"name": _NAME, "width": model.scorer.width},
        "diameter_ang": model.diameter_ang,
        "working_voxel_ang": model.working_ang,
        "classes": list(model.classes),
        "summary": dict(model.summary),
    }
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.scorer.state_dict().items()
    }
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(weights, {"cryopick": json.dumps(description)}))


def load_model(path: Path) -> TomogramModel:
    """Read a model file; no code in it is executed.

    Raises:
        InputError: The file is missing.
        FormatError: It is no model for tomograms.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such model file; train one with `cryopick tomo train`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
        description = json.loads(metadata["cryopick"])
        if not isinstance(description, dict):
            raise ValueError("its description is not an object")
        if description.get("dimensions") != _DIMENSIONS:
            raise FormatError(
                f"{path}: a model for micrographs, expected one for tomograms; train one with "
                "`cryopick tomo train`"
            )
        return _assemble(description, weights)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(
            f"{path}: expected a model file for tomograms, found something else or a damaged file "
            f"({reason}); train the model again with `cryopick tomo train`"
        ) from error


def _assemble(description: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> TomogramModel:
    """Build a model from the description and the weights of its file."""
    network, classes = description["network"], tuple(map(str, description["classes"]))
    width = int(network["width"])
    if description["format"] != _FORMAT or network["name"] != _NAME:
        raise ValueError(f"network {network['name']!r} of format {description['format']}")
    if not (1 <= len(classes) <= _MAX_CLASSES and 1 <= width <= _MAX_WIDTH):
        raise ValueError(f"{len(classes)} classes of width {width}")
    lengths = [float(description[name]) for name in ("diameter_ang", "working_voxel_ang")]
    if not all(0 < length < math.inf for length in lengths):
        raise ValueError("a length is not above 0")
    with torch.device("meta"):  # shapes without memory
        scorer = Scorer3d(len(classes), width)
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError("weights are not finite")
    scorer.load_state_dict(dict(weights), assign=True)
    return TomogramModel(
        scorer=scorer.eval(),
        diameter_ang=lengths[0],
        working_ang=lengths[1],
        classes=classes,
        summary=dict(description["summary"]),
    )
