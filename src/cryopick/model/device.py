"""What to compute on, and in which numbers.

- `choose_device`, `ready_device`: the device of a name; tried, or not.
- `shared_out`: which of several GPUs is for which worker.
- `multiplies_bfloat16`: whether half the bits cost half the time there.
- `mixed_precision`: compute so where it pays.
- `memory_format`: how images should lie in memory.
- `sent`: an array on its way there.
"""

from contextlib import nullcontext

import numpy as np
import torch

from cryopick.array_types import Shaped
from cryopick.errors import SettingsError
from cryopick.model.networks import NETWORKS, Scorer

__all__ = [
    "choose_device",
    "memory_format",
    "mixed_precision",
    "multiplies_bfloat16",
    "ready_device",
    "sent",
    "shared_out",
]


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes cuda, then mps, then cpu, whichever is there."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def ready_device(name: str) -> torch.device:
    """The device of that name, if this machine can compute on it.

    Raises:
        SettingsError: The name means no device, or none that is here.
    """
    try:
        device = choose_device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(
            f"--device {name}: this machine cannot compute on it "
            f"({str(error).splitlines()[0]}); choose auto, cpu, cuda or mps"
        ) from error
    return device


def shared_out(device: torch.device, worker: int) -> torch.device:
    """The GPU of one of several workers on a machine, in turn; other devices are for all."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", worker % torch.cuda.device_count())


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.10
    if device.type != "cpu" or capabilities is None:
        return False
    found = capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def mixed_precision(device: torch.device) -> torch.autocast | nullcontext[None]:
    """A context in which convolutions take bfloat16 where that is faster."""
    if multiplies_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def memory_format(scorer: Scorer, device: torch.device) -> torch.memory_format:
    """How images and weights lie in memory where a network learns fastest.

    Channels last, save on processors for residual networks: so a step of `conv31` takes a sixth
    less there, and one of `resnet41` a tenth more (docs/results/speed.md).
    """
    is_residual = any(layer.residual for layer in NETWORKS[scorer.settings.name])
    return torch.contiguous_format if is_residual and device.type == "cpu" else torch.channels_last


def sent(array: Shaped[np.ndarray, "..."], device: torch.device) -> torch.Tensor:
    """Put an array on a device; a GPU fetches it while this process goes on."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":  # only from pinned memory
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
