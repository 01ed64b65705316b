"""Train a network on prepared micrographs.

A step depends only on the previous state, the seed and its number, so a run that is resumed from
its last checkpoint gives the same result as an uninterrupted one.

- `train`: train a network, from the last checkpoint if there is one.
- `TrainingResult`: the best network and the training curves.
- `Validator`: evaluates a network on held-out micrographs.
"""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cryopick.array_types import Float
from cryopick.config import hash_settings
from cryopick.errors import SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.geometry import Geometry
from cryopick.model.networks import Decoder, Scorer
from cryopick.model.torch_device import (
    autocast_context,
    choose_memory_format,
    copy_to_device,
    widen_to_float32,
)
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.train.checkpoint import Checkpointed, TrainingState, load_checkpoint, save_checkpoint
from cryopick.train.curves import CurveRow, StepMetrics, TrainingCurves
from cryopick.train.data_parallel import DeviceGroup
from cryopick.train.optimizer import Adam
from cryopick.train.partner_scores import score_negative_labels
from cryopick.train.prior import compute_unlabelled_prior
from cryopick.train.sampling import Minibatch, Sampler
from cryopick.train.schedule import one_cycle_learning_rate
from cryopick.train.settings import TrainSettings
from cryopick.train.step_objective import StepObjective, choose_exclusion_px
from cryopick.train.warm_up import label_blobs
from cryopick.train.weight_average import average_weights, choose_start_weight
from cryopick.train.window_sampling import WindowSampler

__all__ = ["TrainingResult", "Validator", "train"]

# Evaluates a network on held-out micrographs: average precision of regions and of particles.
Validator = Callable[[Scorer], tuple[float, float]]

_RISE_FRAC = 0.3  # fraction of a cycle in which the learning rate rises
_FINAL_DIVISOR = 25e4  # maximum over final learning rate
_DECODED_REGIONS = 64  # in a step, for the reconstruction term


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training.

    Attributes:
        best: Network with the highest average precision on held-out particles; the last one
            without held-out micrographs.
        best_step: Step of that network.
        curves: Training curves.
        prior: π, the fraction of positives among unlabelled regions.
        partner: What the network was trained to work beside, if anything.
    """

    best: Scorer
    best_step: int
    curves: TrainingCurves
    prior: float
    partner: EnsemblePartner | None = None


def train(  # noqa: PLR0913  # what a run is made of
    store: PreparedStore,
    settings: TrainSettings,
    checkpoint: Path,
    *,
    device: torch.device,
    start: Scorer | None = None,
    partner: EnsemblePartner | None = None,
    held_out: Validator | None = None,
    on_row: Callable[[CurveRow], None] = lambda _: None,
    on_step: Callable[[CurveRow], None] | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    finish: bool = False,
    group: DeviceGroup | None = None,
) -> TrainingResult:
    """Train a network, or resume an interrupted run with the same settings.

    Args:
        store: Prepared micrographs with labels.
        settings: What to train and how.
        checkpoint: Checkpoint file; it is read if it exists, and written after the steps that
            `settings.saves_at` names.
        device: Device to compute on.
        start: Network to fine-tune, as the settings name it; None for random weights. Its batch
            statistics and its first `settings.frozen_layers` layers are not changed. The result
            is its average with the fine-tuned network, by `settings.general_model_weight`.
        partner: Ensemble partner of the trained network. On negative labels, the network must
            compensate for high scores of the partner.
        held_out: Evaluates the network after the steps that `settings.evaluates_at` names.
        on_row: Called with each new row of the curves, after it is recorded.
        on_step: Called with the metrics of each step.
        on_progress: Called with the number of steps after each of them.
        finish: Return the state of the checkpoint without training further.
        group: Devices that share each minibatch; the first of them evaluates and writes.

    Raises:
        SettingsError: There are no labels, the prior and the labels contradict each other, or
            the training diverges.
        FormatError: The checkpoint is damaged or belongs to another run.
    """
    if settings.particles_per_micrograph is None:
        raise SettingsError("particles_per_micrograph must be known before training starts")
    prior = compute_unlabelled_prior(
        particles=settings.particles_per_micrograph * len(store),
        labelled=store.label_count,
        radius_px=settings.sampling.label_radius_px,
        usable_px=sum(store.usable_px),
    )
    group = group or DeviceGroup()
    run = _Run(store, settings, prior, device, start, partner, group)
    state = TrainingState()
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, run.parts, run.key, device)
    batches = run.batches(state.step)
    pending: list[StepMetrics] = []
    while state.step < settings.steps and not finish:
        pending.append(run.step(state.step, next(batches)))
        state.step += 1
        on_progress(state.step)
        if on_step:
            on_step(CurveRow.from_steps(state.step, pending[-1:], None))
        if not settings.saves_at(state.step):
            continue
        run.check(state.step)
        network = run.average()
        scores = None
        if held_out and settings.evaluates_at(state.step):
            scores = group.run_on_first(partial(held_out, network))
        row = CurveRow.from_steps(state.step, pending, scores)
        state.record(row, network)
        if group.rank == 0:
            save_checkpoint(checkpoint, run.parts, state, run.key)
        pending.clear()
        on_row(row)
    return run.result(state)


@dataclass(frozen=True)
class _Phase:
    """Sampler of a phase, and the fraction of positives among its unlabelled regions."""

    sampler: Sampler | WindowSampler
    prior: float


class _Run:
    """Network, optimizer and samplers of a run."""

    def __init__(  # noqa: PLR0913  # as above
        self,
        store: PreparedStore,
        settings: TrainSettings,
        prior: float,
        device: torch.device,
        start: Scorer | None,
        partner: EnsemblePartner | None,
        group: DeviceGroup,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.prior, self.device, self.group = settings, prior, device, group
        self.partner = partner
        self.key = f"{hash_settings(settings)}-{store.fingerprint}"
        self.gamma = settings.gamma(store.label_count) if store.label_count else 0.0
        self.scorer = Scorer(settings.network)
        self.scorer.initialize_head(prior)
        self.start = start
        if start is not None:
            _check_network(start.settings, settings.network)
            self.scorer.load_state_dict(start.state_dict())
            for layer in list(self.scorer.encoder.children())[: settings.frozen_layers]:
                layer.requires_grad_(False)
        layout = choose_memory_format(self.scorer, device)
        group.synchronize_layers(self.scorer).to(device, memory_format=layout)  # type: ignore[call-overload]  # not in stubs
        field_px = self.scorer.receptive_field_px
        self.geometry = Geometry.of(settings.sampling.patch_px, field_px, self.scorer.stride_px)
        self.store = store
        self.partner_logits = score_negative_labels(partner, store) if partner else None
        self.objective = StepObjective.for_training(settings, store, self.geometry)
        self.main = _Phase(self._make_sampler(store), prior)
        self.parts: dict[str, Checkpointed] = {"scorer": self.scorer}
        parameters = [p for p in self.scorer.parameters() if p.requires_grad]
        self.decoder: Decoder | None = None
        if self.gamma:
            self.decoder = Decoder(self.scorer.features, field_px)
            group.synchronize_layers(self.decoder).to(device)
            self.parts["decoder"] = self.decoder
            parameters += self.decoder.parameters()
        self.optimizer = Adam(parameters, weight_decay=2 * settings.l2)
        self.parts["optimizer"] = self.optimizer

    def batches(self, first: int) -> Iterator[Minibatch]:
        """Yield minibatches from step `first` on, each sampled during the previous step."""
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(self._batch, first)
            for step in range(first, self.settings.steps):
                batch = following.result()
                following = pool.submit(self._batch, step + 1)
                yield batch

    @cached_property
    def warm_up(self) -> _Phase:
        """Phase of the warm-up; runs that are resumed later never compute it."""
        blobs, prior = label_blobs(self.store, self.settings)
        return _Phase(self._make_sampler(blobs), prior)

    def _make_sampler(self, store: PreparedStore) -> Sampler | WindowSampler:
        sampling, seed = self.settings.sampling, self.settings.seed
        if not self.settings.uses_windows:
            return Sampler(
                store, sampling, self.geometry, seed=seed, partner_logits=self.partner_logits
            )
        exclusion_px = choose_exclusion_px(self.settings)
        return WindowSampler(store, sampling, self.geometry, seed=seed, exclusion_px=exclusion_px)

    def _phase(self, step: int) -> _Phase:
        is_early = step < self.settings.warm_up_steps
        return self.warm_up if is_early else self.main

    def _batch(self, step: int) -> Minibatch:
        return self._phase(step).sampler.batch(step, self.device)

    def step(self, number: int, batch: Minibatch) -> StepMetrics:
        """Train on one minibatch."""
        torch.manual_seed(
            self.settings.seed + 1_000_003 * (number + 1)
        )  # dropout and decoded regions
        self.scorer.train()
        if self.settings.uses_windows:
            self.scorer.eval()  # no dropout: its noise would decide which peaks are highest
        elif self.start is not None:  # statistics of tiled crops differ from those of micrographs
            for module in self.scorer.modules():
                module.train(not isinstance(module, nn.BatchNorm2d))
        with autocast_context(self.device):
            patches = self.group.select_local(batch.patches)
            features = self.scorer.encode(patches)
            logits = self.group.gather(widen_to_float32(self.scorer.classify(features)))
            decoded = self._reconstruction(features, patches, batch)
        loss, metrics = self.objective.evaluate(logits, batch, self._phase(number).prior)
        loss = loss + self.gamma * decoded
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.group.average_gradients(self.optimizer.parameters)
        self.optimizer.step(learning_rate(number, self.settings))
        return replace(metrics, loss=self.group.all_reduce_mean(loss.detach()))

    def _reconstruction(self, features: Tensor, patches: Tensor, batch: Minibatch) -> Tensor:
        """Compute the mean squared norm of the difference between regions and their decodings.

        Args:
            features: Features of this device's patches.
            patches: Patches of this device.
            batch: The minibatch of all devices.
        """
        if self.decoder is None:
            return torch.zeros((), device=self.device)
        cells = np.argwhere(batch.kinds)
        chosen = cells[torch.randperm(len(cells))[:_DECODED_REGIONS].numpy()]
        local = chosen[chosen[:, 0] % self.group.size == self.group.rank].T
        patch, row, column = copy_to_device(np.ascontiguousarray(local), self.device)
        patch = patch // self.group.size
        regions = _regions(patches, self.geometry)[patch, row, column]
        decoded = self.decoder(features[patch, :, row, column])
        errors = (regions - widen_to_float32(decoded)).square().sum(dim=(1, 2))
        return self.group.partial_mean(errors, len(chosen))

    def average(self) -> Scorer:
        """Average the weights of the network with those it started from, for evaluation."""
        weight = choose_start_weight(self.settings, self.store.label_count)
        if self.start is None or not weight:
            return self.scorer.eval()
        averaged = copy.deepcopy(self.scorer)
        averaged.load_state_dict(
            average_weights(self.scorer.state_dict(), self.start.state_dict(), weight)
        )
        return averaged.eval()

    def check(self, step: int) -> None:
        """Check that the weights are finite.

        Raises:
            SettingsError: They are not.
        """
        if not all(bool(value.isfinite().all()) for value in self.scorer.state_dict().values()):
            raise SettingsError(
                f"training diverged before step {step}: the weights are not finite; "
                f"lower --learning-rate (now {self.settings.learning_rate:g})"
            )

    def result(self, state: TrainingState) -> TrainingResult:
        """Return the best network and the curves."""
        best = Scorer(self.settings.network)
        best.load_state_dict(state.best or self.average().state_dict())
        return TrainingResult(
            best.eval(), state.best_step or state.step, state.curves, self.prior, self.partner
        )


def _check_network(start: NetworkSettings, expected: NetworkSettings) -> None:
    """Check that two networks differ at most in dropout.

    Raises:
        SettingsError: They differ otherwise.
    """
    if (start.name, start.width) != (expected.name, expected.width):
        raise SettingsError(
            f"the model to start from is a {start.name} of width {start.width}, the settings ask "
            f"for a {expected.name} of width {expected.width}; leave the network to the model, or "
            "start from random weights"
        )


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Compute the learning rate of a step: one cycle for the warm-up, another for the labels."""
    if settings.schedule == "constant":
        return settings.learning_rate
    peak, early = settings.learning_rate, settings.warm_up_steps
    progress = step / early if step < early else (step - early) / (settings.steps - early)
    return one_cycle_learning_rate(
        progress, peak=peak, final=peak / _FINAL_DIVISOR, warm_up_frac=_RISE_FRAC
    )


def _regions(
    patches: Float[Tensor, "batch 1 side side"], geometry: Geometry
) -> Float[Tensor, "batch grid grid field field"]:
    """Return a view of the region of each score."""
    field, stride = geometry.field_px, geometry.stride_px
    return patches[:, 0].unfold(1, field, stride).unfold(2, field, stride)
