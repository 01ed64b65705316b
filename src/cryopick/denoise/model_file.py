"""Files of denoisers: safetensors with the weights, and how they were trained.

Loading executes no code from the file, and checks names and shapes first.

- `DENOISER`: path of the denoiser of the package.
- `load_denoiser`, `save_denoiser`: read and write a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cryopick.denoise.network import DenoisingNetwork
from cryopick.errors import FormatError, InputError
from cryopick.runs.atomic_write import atomic_write

__all__ = ["DENOISER", "load_denoiser", "save_denoiser"]

DENOISER = Path(__file__).with_name("denoiser.safetensors")
_KEY = "cryopick-denoiser"  # of the metadata
_FORMAT = 1


def save_denoiser(
    network: DenoisingNetwork,
    path: Path,
    summary: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Write the weights of a denoiser in half precision.

    Args:
        network: The network.
        path: The file.
        summary: How it was trained, as JSON values.
        overwrite: Overwrite an existing file.

    Raises:
        OutputExistsError: The file exists and `overwrite` is false.
    """
    tensors = {
        name: value.detach().cpu().to(torch.float16).contiguous()
        for name, value in network.state_dict().items()
    }
    description = json.dumps({"format": _FORMAT, "summary": dict(summary)})
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(tensors, {_KEY: description}))


def load_denoiser(path: Path = DENOISER) -> DenoisingNetwork:
    """Read a denoiser.

    Raises:
        InputError: The file is missing.
        FormatError: The file is not a denoiser, or is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such denoiser; train one with `cryopick denoise-train`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise FormatError(
                    f"{path}: not a denoiser; use a file written by `cryopick denoise-train`"
                )
            if json.loads(metadata[_KEY])["format"] != _FORMAT:
                raise ValueError("from a later version; update cryopick")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("weights are not finite")
        network = DenoisingNetwork(_find_channels(tensors))
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(
            f"{path}: the denoiser cannot be read ({reason}); copy it again or train it again"
        ) from error
    return network.eval()


def _find_channels(tensors: Mapping[str, torch.Tensor]) -> tuple[int, int, int, int]:
    """Find the numbers of features at the levels of a network; earlier versions had fewer."""
    first, second, third, fourth = (
        tensors[f"encode{level}.down.bias"].shape[0] for level in ("1", "2.0", "3.0", "4.0")
    )
    return first, second, third, fourth
