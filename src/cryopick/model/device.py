"""Choice of the device, without importing torch on machines that have no GPU.

- `AnyDevice`: a device of torch, or one named here.
- `Device`, `CPU`: a device by its name.
- `choose_device`, `require_device`: the device of a name, unchecked or checked.
- `count_gpus`, `assign_gpu`: distribute the GPUs of a machine over workers.
"""

import ctypes
import os
import platform
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

from cryopick.errors import SettingsError

__all__ = [
    "CPU",
    "AnyDevice",
    "Device",
    "assign_gpu",
    "choose_device",
    "count_gpus",
    "require_device",
]

_CUDA_LIBRARIES = ("libcuda.so.1", "nvcuda.dll")  # of the driver
_AMD_DRIVER = Path("/dev/kfd")  # AMD's GPUs have the name "cuda" in torch, too


@runtime_checkable
class AnyDevice(Protocol):
    """A device with a type such as cpu, cuda or mps; `str` gives its name."""

    @property
    def type(self) -> str:
        """Kind of the device."""

    @property
    def index(self) -> int | None:
        """Number among the devices of its kind; None is the current one."""


@dataclass(frozen=True)
class Device:
    """A device by its name, as torch names it.

    Attributes:
        type: Kind of the device.
        index: Number among the devices of its kind; None is the current one.
    """

    type: str
    index: int | None = None

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


CPU = Device("cpu")


def choose_device(name: str = "auto") -> Device:
    """Return the device of that name; "auto" chooses the first available of cuda, mps, cpu.

    Raises:
        RuntimeError: The name is unknown to torch.
    """
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return CPU
    import torch

    if name != "auto":
        device = torch.device(name)
        return Device(device.type, device.index)
    if torch.cuda.is_available():
        return Device("cuda")
    return Device("mps") if torch.backends.mps.is_available() else CPU


def require_device(name: str) -> Device:
    """Return the device of that name after a test computation on it.

    Raises:
        SettingsError: The name is unknown, or the device is not available.
    """
    try:
        device = choose_device(name)
        if device != CPU:
            import torch

            torch.zeros(1, device=torch.device(str(device)))
    except (ImportError, RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(
            f"--device {name}: not available on this machine "
            f"({str(error).splitlines()[0]}); choose auto, cpu, cuda or mps"
        ) from error
    return device


def assign_gpu(device: AnyDevice, worker: int) -> AnyDevice:
    """Assign a GPU to a worker, round-robin; other devices are shared by all workers."""
    if device.type != "cuda" or device.index is not None:
        return device
    return Device("cuda", worker % count_gpus())


def count_gpus() -> int:
    """Return the number of GPUs that torch can use."""
    import torch

    return torch.cuda.device_count()


@cache
def _may_have_gpu() -> bool:
    """Return false if no GPU can be used: torch need not be asked, which takes seconds."""
    if find_spec("torch") is None:
        return False
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    return _AMD_DRIVER.exists() or _has_cuda_gpu()


def _has_cuda_gpu() -> bool:
    """Ask the driver of NVIDIA's GPUs for their number."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    for name in _CUDA_LIBRARIES:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value > 0
    return False
