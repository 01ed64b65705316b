"""Devices of torch, for training: floating-point type and memory format.

- `require_torch_device`: the device of a name, checked.
- `has_fast_bfloat16`: test if bfloat16 is faster than float32 on a device.
- `autocast_context`: use bfloat16 where it is faster.
- `widen_to_float32`: convert half-precision numbers to float32.
- `choose_memory_format`: the fastest memory format for training.
- `copy_to_device`: copy an array to a device asynchronously.
"""

from contextlib import nullcontext

import numpy as np
import torch

from cryopick.array_types import Float, Shaped
from cryopick.model.architectures import NETWORKS
from cryopick.model.device import require_device
from cryopick.model.networks import Scorer

__all__ = [
    "autocast_context",
    "choose_memory_format",
    "copy_to_device",
    "has_fast_bfloat16",
    "require_torch_device",
    "widen_to_float32",
]


def require_torch_device(name: str) -> torch.device:
    """Return the device of that name after a test computation on it.

    Raises:
        SettingsError: The name is unknown, or the device is not available.
    """
    return torch.device(str(require_device(name)))


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return true if the device computes faster in bfloat16 than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.10
    if device.type != "cpu" or capabilities is None:
        return False
    features = capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def autocast_context(device: torch.device) -> torch.autocast | nullcontext[None]:
    """Make a context in which convolutions use bfloat16 if that is faster on the device."""
    if has_fast_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def widen_to_float32(numbers: Float[torch.Tensor, "*shape"]) -> Float[torch.Tensor, "*shape"]:
    """Convert half-precision numbers to float32; leave float64, which tests compute in."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def choose_memory_format(scorer: Scorer, device: torch.device) -> torch.memory_format:
    """Choose the memory format of images and weights in which training is fastest.

    This is channels last, except for residual networks on a CPU (decision 0025).
    """
    is_residual = any(layer.residual for layer in NETWORKS.get(scorer.settings.name, ()))
    return torch.contiguous_format if is_residual and device.type == "cpu" else torch.channels_last


def copy_to_device(array: Shaped[np.ndarray, "..."], device: torch.device) -> torch.Tensor:
    """Copy an array to a device; a copy to a GPU is asynchronous."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":  # asynchronous copies require pinned memory
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
