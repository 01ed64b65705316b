"""Network that removes noise from tomograms, and its model file.

A U-Net of two levels. Its input has mean 0 and standard deviation 1; zeros pad each layer, so that
tiles need a halo of `CONTEXT_PX`.

- `DenoisingNetwork3d`: the network.
- `save_denoiser`, `load_denoiser`: write and read a model file.
"""

import json
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate

from cryopick.array_types import Float
from cryopick.errors import FormatError, InputError
from cryopick.runs.atomic_write import atomic_write

__all__ = ["CONTEXT_PX", "DenoisingNetwork3d", "load_denoiser", "save_denoiser"]

CONTEXT_PX = 24  # more than half the receptive field; a multiple of the deepest stride, 4
_CHANNELS = (12, 24, 32)
_KEY = "cryopick_denoiser3d"


class DenoisingNetwork3d(nn.Module):
    """A network from a noisy volume to an estimate of the volume without noise."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.encode1: nn.Module = _make_pair(1, first)
        self.encode2: nn.Module = _make_pair(first, second)
        self.encode3: nn.Module = _make_pair(second, third)
        self.decode2: nn.Module = _make_pair(third + second, second)
        self.decode1: nn.Module = _make_pair(second + first, first)
        self.head: nn.Module = nn.Conv3d(first, 1, 1)

    def forward(
        self, volumes: Float[Tensor, "batch 1 depth height width"]
    ) -> Float[Tensor, "batch 1 depth height width"]:
        """Estimate volumes without noise."""
        fine = self.encode1(volumes)
        middle = self.encode2(avg_pool3d(fine, 2))
        coarse = self.encode3(avg_pool3d(middle, 2))
        middle = self.decode2(torch.cat([_upsample(coarse), middle], dim=1))
        return cast(Tensor, self.head(self.decode1(torch.cat([_upsample(middle), fine], dim=1))))


def _make_pair(channels_in: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (channels_in, channels):
        layers += [nn.Conv3d(width, channels, 3, padding=1), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


def _upsample(features: Tensor) -> Tensor:
    return interpolate(features, scale_factor=2, mode="nearest")


def save_denoiser(network: DenoisingNetwork3d, path: Path, *, overwrite: bool = False) -> None:
    """Write a model file atomically.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(weights, {_KEY: json.dumps({"format": 1})}))


def load_denoiser(path: Path) -> DenoisingNetwork3d:
    """Read a model file; no code in it is executed.

    Raises:
        InputError: The file is missing.
        FormatError: It is no model of this kind.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such model file; train one with `cryopick tomo denoise-train`"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
        if _KEY not in metadata or not all(bool(w.isfinite().all()) for w in weights.values()):
            raise ValueError("no weights of a denoiser for tomograms")
        network = DenoisingNetwork3d()
        network.load_state_dict(weights)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise FormatError(
            f"{path}: expected a model of `cryopick tomo denoise-train`, found something else or "
            f"a damaged file ({reason}); train the model again"
        ) from error
    return network.eval()
