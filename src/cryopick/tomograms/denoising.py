"""Remove noise from tomograms, with a network trained on their own half-tomograms.

The halves are reconstructed from the even and the odd images (or frames), so that their noise is
independent: a network that predicts one half from the other learns the signal (noise-to-noise).

- `train_denoiser`: train on pairs of half-tomograms.
- `denoise_tomogram`: remove noise from a tomogram, in its own grey values.
- `denoise_volume`: remove noise from a volume, in tiles with halos.
- `read_volume`: read a tomogram with mean 0 and standard deviation 1.

Source: Lehtinen et al. 2018, "Noise2Noise: learning image restoration without clean data"; Buchholz
et al. 2019, "Cryo-CARE: content-aware image restoration for cryo-transmission electron microscopy
data".
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch

from cryopick.array_types import Float32
from cryopick.errors import MicrographError, SettingsError
from cryopick.tomograms.denoise_network import CONTEXT_PX, DenoisingNetwork3d
from cryopick.tomograms.denoise_settings import ALIGNMENT_PX, DenoiserTraining
from cryopick.tomograms.sampling import cut_reflected, reflect_indices
from cryopick.tomograms.volumes import Tomogram
from cryopick.train.optimizer import Adam
from cryopick.train.schedule import one_cycle_learning_rate

__all__ = ["denoise_tomogram", "denoise_volume", "read_volume", "train_denoiser"]

_FINAL_DIVISOR = 1e4
_TILE_PX = 64  # inner side of a tile; with halos 112³ voxels, about 400 MB of activations

Volume = Float32[np.ndarray, "_ _ _"]  # sizes differ between tomograms


def read_volume(tomogram: Tomogram) -> tuple[Volume, float, float]:
    """Read a tomogram, scaled to mean 0 and standard deviation 1.

    Returns:
        The volume, and the mean and standard deviation it had.

    Raises:
        MicrographError: The tomogram is constant, or a voxel is not finite.
    """
    volume = np.empty(tomogram.shape, np.float32)
    for number, section in enumerate(tomogram.read_sections()):
        volume[number] = section
    mean, sd = float(volume.mean(dtype=np.float64)), float(volume.std(dtype=np.float64))
    if not sd > 0:
        raise MicrographError(f"{tomogram.path}: all voxels are equal; check the reconstruction")
    volume -= np.float32(mean)
    volume *= np.float32(1 / sd)
    return volume, mean, sd


def train_denoiser(
    pairs: Sequence[tuple[Volume, Volume]],
    settings: DenoiserTraining,
    *,
    device: torch.device,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> DenoisingNetwork3d:
    """Train a network to predict each half-tomogram from the other.

    Args:
        pairs: Half-tomograms of equal shape, with mean 0 and standard deviation 1.
        settings: How to train.
        device: Device to compute on.
        on_step: Called after each step with its number and loss.

    Raises:
        SettingsError: The halves of a pair differ in shape, or the training diverges.
    """
    for even, odd in pairs:
        if even.shape != odd.shape:
            raise SettingsError(
                "the halves of a tomogram must have the same size; "
                f"got {even.shape} and {odd.shape}"
            )
    torch.manual_seed(settings.seed)
    network = DenoisingNetwork3d().to(device)
    optimizer = Adam(network.parameters())
    for step in range(settings.steps):
        source, target = (
            torch.from_numpy(part).to(device) for part in _sample(pairs, settings, step)
        )
        loss = (network(source) - target).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        rate = settings.learning_rate
        optimizer.step(
            one_cycle_learning_rate(
                step / settings.steps, peak=rate, final=rate / _FINAL_DIVISOR, warm_up_frac=0.1
            )
        )
        on_step(step + 1, loss.item())
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise SettingsError("training diverged: the weights are not finite; lower --learning-rate")
    return network.eval()


def _sample(
    pairs: Sequence[tuple[Volume, Volume]], settings: DenoiserTraining, step: int
) -> tuple[Float32[np.ndarray, "batch 1 s s s"], Float32[np.ndarray, "batch 1 s s s"]]:
    """Cut the same windows from both halves, flipped at random and in random order."""
    rng = np.random.default_rng([settings.seed, step])
    side = settings.side_px
    sizes = np.array([even.size for even, _ in pairs], float)
    windows = []
    for index in rng.choice(len(pairs), settings.windows, p=sizes / sizes.sum()):
        shape = np.array(pairs[index][0].shape)
        corner = np.round(rng.random(3) * np.maximum(shape - side, 0)).astype(int)
        flips = rng.choice([-1, 1], 3)
        halves = [
            cut_reflected(half, corner, side)[:: flips[0], :: flips[1], :: flips[2]]
            for half in pairs[index]
        ]
        windows.append(halves if rng.random() < 0.5 else halves[::-1])
    source, target = (
        np.stack([np.ascontiguousarray(window[half]) for window in windows])[:, None]
        for half in (0, 1)
    )
    return source, target


def denoise_tomogram(
    network: DenoisingNetwork3d, tomogram: Tomogram, *, device: torch.device
) -> Volume:
    """Read a tomogram and remove its noise; the grey values are those of the input.

    Args:
        network: The network, on `device`.
        tomogram: The tomogram.
        device: Device to compute on.

    Raises:
        MicrographError: The tomogram is constant, or a voxel is not finite.
    """
    volume, mean, sd = read_volume(tomogram)
    denoised = denoise_volume(network, volume, device=device)
    denoised *= np.float32(sd)
    denoised += np.float32(mean)
    return denoised


def denoise_volume(
    network: DenoisingNetwork3d, volume: Volume, *, device: torch.device, tile: int = _TILE_PX
) -> Volume:
    """Remove noise from a volume with mean 0 and standard deviation 1.

    Args:
        network: The network, on `device`.
        volume: The volume.
        device: Device to compute on.
        tile: Inner side of a tile, a multiple of 4; the result hardly depends on it.
    """
    result = np.empty_like(volume)
    inner_sides = [min(tile, -(-count // ALIGNMENT_PX) * ALIGNMENT_PX) for count in volume.shape]
    for corner in product(*(range(0, count, tile) for count in volume.shape)):
        rows = [
            reflect_indices(np.arange(start - CONTEXT_PX, start + side + CONTEXT_PX), count)
            for start, side, count in zip(corner, inner_sides, volume.shape, strict=True)
        ]
        crop = torch.from_numpy(volume[np.ix_(*rows)])[None, None].to(device)
        with torch.inference_mode():
            clean = network(crop)[0, 0].float().cpu().numpy()
        part = tuple(
            slice(start, min(start + tile, count))
            for start, count in zip(corner, volume.shape, strict=True)
        )
        inner = tuple(slice(CONTEXT_PX, CONTEXT_PX + one.stop - one.start) for one in part)
        result[part] = clean[inner]
    return result
