"""Train the general model on simulated fields with complete ground truth.

- `train_general_model`: start or resume a training run.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cryopick.array_types import Float
from cryopick.config import hash_settings
from cryopick.model.encoder_decoder import EncoderDecoder
from cryopick.model.networks import Scorer
from cryopick.model.torch_device import autocast_context
from cryopick.train.augmentation import augment_intensity, augment_spectrum
from cryopick.train.averaged_training import Checkpoint, StepProgress, run_steps
from cryopick.train.checkpoint import Checkpointed
from cryopick.train.pretrain.fields import Example
from cryopick.train.pretrain.peak_loss import peak_loss
from cryopick.train.pretrain.settings import GeneralSettings
from cryopick.train.pretrain.weight_average import WeightAverage

__all__ = ["train_general_model"]

_INITIAL_PRIOR = 0.02  # approximate fraction of positive grid positions
_WARM_UP_STEPS = 200
_CONSTANT_FRAC = 0.15  # of the steps, before the learning rate falls
_PEAKS_FROM_FRAC, _PEAKS_FULL_FRAC = 0.3, 0.4  # of the steps
_BARELY_SHIFTED_FRAC = 0.5  # fraction of fields that are shifted by an eighth of the maximum
_STEP_SEED = 1_000_003  # between the seeds of steps


def train_general_model(
    settings: GeneralSettings,
    examples: Sequence[Example],
    checkpoint: Path,
    *,
    device: torch.device,
    on_progress: Callable[[StepProgress], None] = lambda _: None,
) -> Scorer:
    """Train the network, or resume an interrupted run with the same settings.

    Args:
        settings: The recipe.
        examples: The simulated fields.
        checkpoint: Training checkpoint; the run resumes from it if it exists.
        device: Device to compute on.
        on_progress: Called at each checkpoint.

    Raises:
        FormatError: The checkpoint is damaged or belongs to another run.
    """
    torch.manual_seed(settings.seed)
    scorer = Scorer(settings.network)
    scorer.initialize_head(_INITIAL_PRIOR)
    scorer.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
    optimizer = torch.optim.AdamW(
        scorer.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    average = WeightAverage(scorer, settings.average)
    parts: dict[str, Checkpointed] = {
        "scorer": scorer,
        "optimizer": optimizer,
        "average": average.scorer,
    }
    key = f"{hash_settings(settings)}-{len(examples)}"

    def train_step(step: int) -> Tensor:
        loss = _train_step(scorer, optimizer, settings, examples, step)
        average.update(scorer, step)
        return loss

    run_steps(settings, Checkpoint(checkpoint, key, parts, device), train_step, on_progress)
    result = Scorer(settings.network).to(device)
    result.load_state_dict(average.scorer.state_dict())
    return result.eval()


def _train_step(
    scorer: Scorer,
    optimizer: torch.optim.Optimizer,
    settings: GeneralSettings,
    examples: Sequence[Example],
    step: int,
) -> Tensor:
    """Train on one minibatch and return its loss."""
    device = next(scorer.parameters()).device
    images, centres = _make_batch(examples, settings, step, device)
    torch.manual_seed(settings.seed + _STEP_SEED * (step + 1))  # dropout
    progress = step / settings.steps
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * _schedule(step, progress)
    scorer.train()
    assert isinstance(scorer.encoder, EncoderDecoder)
    with autocast_context(device):
        logits = scorer.classify(scorer.encoder.encode_all(images))
    logits = logits.float()
    positions = np.arange(0.0, settings.side_px, scorer.stride_px)
    targets = np.stack([_make_targets(xy, positions, settings.target_px) for xy in centres])
    weight = torch.tensor(settings.positive_weight, device=device)
    loss = binary_cross_entropy_with_logits(
        logits, torch.from_numpy(targets).to(device), pos_weight=weight
    )
    peak_share = (progress - _PEAKS_FROM_FRAC) / (_PEAKS_FULL_FRAC - _PEAKS_FROM_FRAC)
    if settings.peak_weight and peak_share > 0:
        weight_now = settings.peak_weight * min(peak_share, 1.0)
        loss = loss + weight_now * peak_loss(
            logits, centres, positions, diameter_px=settings.diameter_px
        )
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(scorer.parameters(), settings.max_gradient_norm)
    optimizer.step()
    return loss


def _schedule(step: int, progress: float) -> float:
    """Compute the learning rate of a step, as a fraction of its maximum."""
    warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
    fallen = max(0.0, (progress - _CONSTANT_FRAC) / (1 - _CONSTANT_FRAC))
    return warm_up * (1 + math.cos(math.pi * fallen)) / 2


def _make_batch(
    examples: Sequence[Example], settings: GeneralSettings, step: int, device: torch.device
) -> tuple[Float[Tensor, "batch 1 side side"], list[Float[np.ndarray, "particles 2"]]]:
    """Draw and augment the fields of a step; transform their centres.

    Augmentation: D4 symmetry, shift, contrast, noise, spectrum and offset.
    """
    rng = np.random.default_rng([settings.seed, step, 1])
    numbers = rng.choice(len(examples), settings.fields, replace=len(examples) < settings.fields)
    augmented = [
        _turn_and_shift(examples[number], settings.max_shift_px, rng) for number in numbers
    ]
    images = torch.from_numpy(np.stack([example.image for example in augmented])).to(device)
    images = augment_intensity(
        augment_spectrum(images, log_gain_std=settings.colour, seed=int(rng.integers(2**62))),
        contrast=settings.contrast,
        noise=settings.noise,
        seed=int(rng.integers(2**62)),
    )
    offsets = settings.offset * rng.normal(size=(len(augmented), 1, 1)).astype(np.float32)
    images = images + torch.from_numpy(offsets).to(device)
    batch = images[:, None].contiguous(memory_format=torch.channels_last)
    return batch, [example.xy_px for example in augmented]


def _turn_and_shift(example: Example, max_shift_px: int, rng: np.random.Generator) -> Example:
    """Apply a random D4 symmetry, and shift the field into a border of zeros."""
    image, xy = _apply_d4(example, int(rng.integers(4)), bool(rng.integers(2)))
    if rng.random() < _BARELY_SHIFTED_FRAC:
        max_shift_px //= 8
    top, left = (int(shift) for shift in rng.integers(-max_shift_px, max_shift_px + 1, 2))
    shifted = np.zeros(image.shape, np.float32)
    height, width = image.shape
    target = shifted[max(-top, 0) : height - max(top, 0), max(-left, 0) : width - max(left, 0)]
    target[:] = image[max(top, 0) : height - max(-top, 0), max(left, 0) : width - max(-left, 0)]
    return Example(shifted, xy - (left, top))


def _apply_d4(
    example: Example, quarter: int, mirror: bool
) -> tuple[np.ndarray, Float[np.ndarray, "particles 2"]]:
    """Mirror an example left to right if wanted, then rotate it by quarter turns."""
    image, xy = example.image, example.xy_px
    last = image.shape[0] - 1
    if mirror:
        image, xy = image[:, ::-1], np.stack([last - xy[:, 0], xy[:, 1]], axis=1)
    for _ in range(quarter):  # np.rot90 maps (x, y) to (y, last - x)
        xy = np.stack([xy[:, 1], last - xy[:, 0]], axis=1)
    return np.ascontiguousarray(np.rot90(image, quarter)), xy


def _make_targets(
    xy_px: Float[np.ndarray, "particles 2"],
    positions_px: Float[np.ndarray, " grid"],
    target_px: float,
) -> Float[np.ndarray, "grid grid"]:
    """Compute a Gaussian around each centre, with value 1 at the centre."""
    from scipy.spatial import cKDTree

    grid = len(positions_px)
    if not len(xy_px):
        return np.zeros((grid, grid), np.float32)
    x, y = np.meshgrid(positions_px, positions_px)
    distance, _ = cKDTree(xy_px).query(np.stack([x.ravel(), y.ravel()], axis=1))
    target = np.exp(-(distance**2) / (2 * target_px**2))
    return target.reshape(grid, grid).astype(np.float32)
