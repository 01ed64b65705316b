"""Train the general model on simulated fields with complete ground truth.

- `train_general_model`: start or resume a training run.
- `PretrainingProgress`: progress reported at each checkpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from cryopick.array_types import Float
from cryopick.config import hash_settings
from cryopick.model.device import autocast_context, choose_memory_format
from cryopick.model.networks import Scorer
from cryopick.simulate.molecules import Molecule
from cryopick.train.augmentation import augment_intensity, augment_spectrum
from cryopick.train.checkpoint import Checkpointed, TrainingState, load_checkpoint, save_checkpoint
from cryopick.train.pretrain.peak_loss import peak_loss
from cryopick.train.pretrain.settings import GeneralSettings
from cryopick.train.pretrain.stream import Example, ExampleStream
from cryopick.train.schedule import one_cycle_learning_rate

__all__ = ["PretrainingProgress", "train_general_model"]

_INITIAL_PRIOR = 0.02  # approximate fraction of positive grid positions
_IGNORED = -1.0


@dataclass(frozen=True)
class PretrainingProgress:
    """Progress reported at a checkpoint.

    Attributes:
        step: Number of completed training steps.
        loss: Mean of the weighted cross-entropy since the previous checkpoint.
    """

    step: int
    loss: float


def train_general_model(  # noqa: PLR0913  # what a run is made of
    settings: GeneralSettings,
    molecules: Sequence[Molecule],
    checkpoint: Path,
    *,
    device: torch.device,
    workers: int = 1,
    initial_scorer: Scorer | None = None,
    on_progress: Callable[[PretrainingProgress], None] = lambda _: None,
) -> Scorer:
    """Train the network, or resume an interrupted run with the same settings.

    Args:
        settings: The recipe.
        molecules: Real molecules to draw from in addition to procedural ones.
        checkpoint: Training checkpoint; the run resumes from it if it exists.
        device: Device to compute on.
        workers: Number of processes that simulate fields.
        initial_scorer: Network with the initial weights; None starts from random weights.
        on_progress: Called at each checkpoint.

    Raises:
        FormatError: The checkpoint is damaged or belongs to another run.
    """
    torch.manual_seed(settings.seed)
    scorer = Scorer(settings.network)
    scorer.initialize_head(_INITIAL_PRIOR)
    if initial_scorer is not None:
        scorer.load_state_dict(initial_scorer.state_dict())
    scorer.to(device, memory_format=choose_memory_format(scorer, device))  # type: ignore[call-overload]  # not in stubs
    optimizer = torch.optim.AdamW(
        scorer.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    parts: dict[str, Checkpointed] = {"scorer": scorer, "optimizer": optimizer}
    key = "-".join([hash_settings(settings), *(molecule.name for molecule in molecules)])
    state = (
        load_checkpoint(checkpoint, parts, key, device) if checkpoint.exists() else TrainingState()
    )
    stream = ExampleStream(settings, molecules, first_step=state.step, workers=workers)
    losses: list[Tensor] = []
    for examples in stream.batches():
        images, centres = _make_batch(examples, scorer, settings, state.step, device)
        torch.manual_seed(settings.seed + 1_000_003 * (state.step + 1))  # dropout
        for group in optimizer.param_groups:
            group["lr"] = one_cycle_learning_rate(
                state.step / settings.steps, peak=settings.learning_rate, final=0.0
            )
        scorer.train()
        with autocast_context(device):
            logits = scorer(images).float()
        positions = _score_positions(scorer, logits.shape[-1])
        targets = np.stack([_make_targets(xy, positions, settings) for xy in centres])
        loss = _loss(logits, torch.from_numpy(targets).to(device), settings.positive_weight)
        if settings.peak_weight:
            loss = loss + settings.peak_weight * peak_loss(
                logits, centres, positions, diameter_px=settings.diameter_px
            )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
        state.step += 1
        if state.step % settings.checkpoint_every == 0 or state.step == settings.steps:
            save_checkpoint(checkpoint, parts, state, key)
            on_progress(PretrainingProgress(state.step, float(torch.stack(losses).mean())))
            losses.clear()
    return scorer.eval()


def _make_batch(
    examples: Sequence[Example],
    scorer: Scorer,
    settings: GeneralSettings,
    step: int,
    device: torch.device,
) -> tuple[Float[Tensor, "batch 1 side side"], list[Float[np.ndarray, "particles 2"]]]:
    """Augment fields by D4 symmetry, shift, contrast, noise and spectrum; transform the centres.

    A field is shifted by up to half a receptive field and padded with zeros, like the windows at
    the border of a micrograph.
    """
    rng = np.random.default_rng([settings.seed, step, 1])
    max_shift, side = scorer.receptive_field_px // 2, settings.side_px
    images, centres = [], []
    for example in examples:
        quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
        top, left = rng.integers(-max_shift, max_shift + 1, 2)
        image, xy = _apply_d4(example, quarter, mirror)
        margin = (max(-left, 0), max(left, 0), max(-top, 0), max(top, 0))
        padded = pad(torch.from_numpy(image)[None], margin)[0]
        start_y, start_x = max(top, 0), max(left, 0)
        images.append(padded[start_y : start_y + side, start_x : start_x + side])
        centres.append(xy - (left, top))
    stacked = torch.stack(images).to(device)
    patches = augment_intensity(
        augment_spectrum(stacked, log_gain_std=settings.colour, seed=int(rng.integers(2**62))),
        contrast=settings.contrast,
        noise=settings.noise,
        seed=int(rng.integers(2**62)),
    )
    return patches[:, None].contiguous(memory_format=choose_memory_format(scorer, device)), centres


def _score_positions(scorer: Scorer, grid: int) -> Float[np.ndarray, " grid"]:
    """Compute the positions of the scores along a side of a window, in pixels."""
    return np.arange(grid, dtype=np.float64) * scorer.stride_px + scorer.receptive_field_px // 2


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
    settings: GeneralSettings,
) -> Float[np.ndarray, "grid grid"]:
    """Label grid positions: 1 near a centre, 0 far from all centres, `_IGNORED` in between."""
    from scipy.spatial import cKDTree

    grid = len(positions_px)
    if not len(xy_px):
        return np.zeros((grid, grid), np.float32)
    x, y = np.meshgrid(positions_px, positions_px)
    positions = np.stack([x.ravel(), y.ravel()], axis=1)
    distance = cKDTree(xy_px).query(positions, distance_upper_bound=settings.ignored_px)[0]
    is_near = np.isfinite(distance)
    target = np.where(distance <= settings.positive_px, 1.0, np.where(is_near, _IGNORED, 0.0))
    return target.reshape(grid, grid).astype(np.float32)


def _loss(
    logits: Float[Tensor, "batch grid grid"],
    targets: Float[Tensor, "batch grid grid"],
    positive_weight: float,
) -> Float[Tensor, ""]:
    """Compute the cross-entropy with positives weighted by `positive_weight`."""
    is_used = targets != _IGNORED
    weight = torch.tensor(positive_weight, device=logits.device)
    return binary_cross_entropy_with_logits(logits[is_used], targets[is_used], pos_weight=weight)
