"""Train the general model on simulated fields, with every particle known.

- `train_general`: the whole run, or what is left of it.
- `Progress`: what a checkpoint tells.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from cryopick.array_types import Float
from cryopick.config import settings_hash
from cryopick.model.device import memory_format, mixed_precision
from cryopick.model.networks import Scorer
from cryopick.simulate.molecules import Molecule
from cryopick.train.augmentation import distort, recolour
from cryopick.train.checkpoint import Part, RunState, load_state, save_state
from cryopick.train.pretrain.peak_loss import peak_loss
from cryopick.train.pretrain.settings import GeneralSettings
from cryopick.train.pretrain.stream import Example, Stream

__all__ = ["Progress", "train_general"]

_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_START_PRIOR = 0.02  # about the share of places that are positive
_IGNORED = -1.0


@dataclass(frozen=True)
class Progress:
    """Means since the checkpoint before.

    Attributes:
        step: Minibatches learnt from so far.
        loss: The weighted cross-entropy.
    """

    step: int
    loss: float


def train_general(  # noqa: PLR0913  # what a run is made of
    settings: GeneralSettings,
    molecules: Sequence[Molecule],
    checkpoint: Path,
    *,
    device: torch.device,
    workers: int = 1,
    start: Scorer | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Scorer:
    """Train the network, or go on where a run of the same settings was cut off.

    Args:
        settings: The recipe.
        molecules: Real molecules to draw from, beside those that are made up.
        checkpoint: File that holds the state of the run; it is read if it is there.
        device: Where to compute.
        workers: Processes that simulate meanwhile.
        start: Network to go on from; random weights without.
        on_progress: Called at each checkpoint.

    Raises:
        FormatError: The checkpoint is damaged or belongs to another run.
    """
    torch.manual_seed(settings.seed)
    scorer = Scorer(settings.network)
    scorer.start_at(_START_PRIOR)
    if start is not None:
        scorer.load_state_dict(start.state_dict())
    scorer.to(device, memory_format=memory_format(scorer, device))  # type: ignore[call-overload]  # not in stubs
    optimizer = torch.optim.AdamW(
        scorer.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    parts: dict[str, Part] = {"scorer": scorer, "optimizer": optimizer}
    key = "-".join([settings_hash(settings), *(molecule.name for molecule in molecules)])
    state = load_state(checkpoint, parts, key, device) if checkpoint.exists() else RunState()
    stream = Stream(settings, molecules, first=state.step, workers=workers)
    losses: list[Tensor] = []
    for examples in stream.batches():
        images, centres = _batch(examples, scorer, settings, state.step, device)
        torch.manual_seed(settings.seed + 1_000_003 * (state.step + 1))  # dropout
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(state.step, settings)
        scorer.train()
        with mixed_precision(device):
            logits = scorer(images).float()
        places = _places(scorer, logits.shape[-1])
        targets = np.stack([_targets(xy, places, settings) for xy in centres])
        loss = _loss(logits, torch.from_numpy(targets).to(device), settings.positive_weight)
        if settings.peak_weight:
            loss = loss + settings.peak_weight * peak_loss(
                logits, centres, places, diameter_px=settings.diameter_px
            )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
        state.step += 1
        if state.step % settings.checkpoint_every == 0 or state.step == settings.steps:
            save_state(checkpoint, parts, state, key)
            on_progress(Progress(state.step, float(torch.stack(losses).mean())))
            losses.clear()
    return scorer.eval()


def _batch(
    examples: Sequence[Example],
    scorer: Scorer,
    settings: GeneralSettings,
    step: int,
    device: torch.device,
) -> tuple[Float[Tensor, "batch 1 side side"], list[Float[np.ndarray, "particles 2"]]]:
    """Turned, mirrored and distorted fields, with the centres of their particles.

    A field is seen through a window of its own size that may reach beyond it by half a
    receptive field, as the windows at the border of a micrograph do.
    """
    rng = np.random.default_rng([settings.seed, step, 1])
    reach, side = scorer.receptive_field_px // 2, settings.side_px
    images, centres = [], []
    for example in examples:
        quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
        top, left = rng.integers(-reach, reach + 1, 2)
        image, xy = _turned(example, quarter, mirror)
        margin = (max(-left, 0), max(left, 0), max(-top, 0), max(top, 0))
        padded = pad(torch.from_numpy(image)[None], margin)[0]
        start_y, start_x = max(top, 0), max(left, 0)
        images.append(padded[start_y : start_y + side, start_x : start_x + side])
        centres.append(xy - (left, top))
    stacked = torch.stack(images).to(device)
    patches = distort(
        recolour(stacked, spread=settings.colour, seed=int(rng.integers(2**62))),
        contrast=settings.contrast,
        noise=settings.noise,
        seed=int(rng.integers(2**62)),
    )
    return patches[:, None].contiguous(memory_format=memory_format(scorer, device)), centres


def _places(scorer: Scorer, grid: int) -> Float[np.ndarray, " grid"]:
    """Where along a side of a window the scores lie."""
    return np.arange(grid, dtype=np.float64) * scorer.stride_px + scorer.receptive_field_px // 2


def _turned(
    example: Example, quarter: int, mirror: bool
) -> tuple[np.ndarray, Float[np.ndarray, "particles 2"]]:
    """An example mirrored left to right or not, then turned by quarters."""
    image, xy = example.image, example.xy_px
    last = image.shape[0] - 1
    if mirror:
        image, xy = image[:, ::-1], np.stack([last - xy[:, 0], xy[:, 1]], axis=1)
    for _ in range(quarter):  # as rot90 turns: (x, y) goes to (y, last - x)
        xy = np.stack([xy[:, 1], last - xy[:, 0]], axis=1)
    return np.ascontiguousarray(np.rot90(image, quarter)), xy


def _targets(
    xy_px: Float[np.ndarray, "particles 2"],
    places_px: Float[np.ndarray, " grid"],
    settings: GeneralSettings,
) -> Float[np.ndarray, "grid grid"]:
    """1 near a centre, 0 away from all, `_IGNORED` between."""
    from scipy.spatial import cKDTree

    grid = len(places_px)
    if not len(xy_px):
        return np.zeros((grid, grid), np.float32)
    x, y = np.meshgrid(places_px, places_px)
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    gap = cKDTree(xy_px).query(places, distance_upper_bound=settings.ignored_px)[0]
    target = np.where(gap <= settings.positive_px, 1.0, np.where(np.isfinite(gap), _IGNORED, 0.0))
    return target.reshape(grid, grid).astype(np.float32)


def _loss(
    logits: Float[Tensor, "batch grid grid"],
    targets: Float[Tensor, "batch grid grid"],
    positive_weight: float,
) -> Float[Tensor, ""]:
    """Cross-entropy in which a positive place counts `positive_weight` times."""
    counts = targets != _IGNORED
    weight = torch.tensor(positive_weight, device=logits.device)
    return binary_cross_entropy_with_logits(logits[counts], targets[counts], pos_weight=weight)


def _learning_rate(step: int, settings: GeneralSettings) -> float:
    """One cycle: up by a cosine from a 25th of the greatest rate, and down to nothing."""
    peak, done = settings.learning_rate, step / settings.steps
    if done < _WARM_UP:
        low, share = peak / 25, 1 - done / _WARM_UP
    else:
        low, share = 0.0, (done - _WARM_UP) / (1 - _WARM_UP)
    return low + (peak - low) * (1 + math.cos(math.pi * share)) / 2
