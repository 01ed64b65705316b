"""Train a network from a store of prepared micrographs.

A step depends on the state before it, the seed and its own number, so a run that was cut
off goes on from its last checkpoint exactly as it would have gone on.

- `train`: the whole run, or what is left of it.
- `Outcome`: the networks it ends with, and its curves.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from cryopick.array_types import Float
from cryopick.config import settings_hash
from cryopick.errors import SettingsError
from cryopick.model.device import memory_format, mixed_precision, sent
from cryopick.model.ensemble import Guide, votes_on_negatives
from cryopick.model.geometry import Geometry
from cryopick.model.networks import Decoder, NetworkSettings, Scorer
from cryopick.preprocess.store import Store
from cryopick.train.checkpoint import Part, RunState, load_state, save_state
from cryopick.train.curves import Curves, Row, Step
from cryopick.train.data_parallel import Team
from cryopick.train.objectives import objective
from cryopick.train.optimizer import Adam
from cryopick.train.prior import unlabelled_prior
from cryopick.train.sampling import NEGATIVE, POSITIVE, UNLABELLED, Batch, Sampler
from cryopick.train.settings import TrainSettings
from cryopick.train.warm_up import propose

__all__ = ["HeldOut", "Outcome", "train"]

# Judges a network on micrographs that it does not learn from: average precision over
# regions and over particles.
HeldOut = Callable[[Scorer], tuple[float, float]]

_WARM_UP = 0.3  # share of the steps in which the learning rate rises
_DECODED = 64  # regions rebuilt in a step for the reconstruction term


@dataclass(frozen=True)
class Outcome:
    """What a run ends with.

    Attributes:
        best: The network of the checkpoint with the highest average precision over held-out
            particles; the last one where nothing is held out.
        best_step: Steps it had been trained for.
        curves: Everything that was recorded on the way.
        prior: π, the share of positives among unlabelled regions.
        guide: What the network was trained to work beside, if anything.
    """

    best: Scorer
    best_step: int
    curves: Curves
    prior: float
    guide: Guide | None = None


def train(  # noqa: PLR0913  # what a run is made of
    store: Store,
    settings: TrainSettings,
    checkpoint: Path,
    *,
    device: torch.device,
    start: Scorer | None = None,
    guide: Guide | None = None,
    held_out: HeldOut | None = None,
    on_row: Callable[[Row], None] = lambda _: None,
    finish: bool = False,
    team: Team | None = None,
) -> Outcome:
    """Train a network, or go on where a run of the same settings was cut off.

    Args:
        store: Prepared micrographs with labels.
        settings: What to learn and how.
        checkpoint: File that holds the state of the run; it is read if it is there and
            written every `settings.checkpoint_every` steps.
        device: Where to compute.
        start: Network to begin with, of the kind that the settings name; random weights
            without. Its batch statistics and its first `settings.frozen` layers stay.
        guide: Network that the trained one will work beside. A place labelled as no particle
            must be outvoted where the guide takes it for one.
        held_out: Judge of the network at each checkpoint.
        on_row: Called with each new row of the curves, after it is recorded.
        finish: Learn no further than the checkpoint.
        team: Devices that share each minibatch; the first of them judges and writes.

    Raises:
        SettingsError: There is no label, the prior and the labels contradict each other, or
            the training diverges.
        FormatError: The checkpoint is damaged or belongs to another run.
    """
    if settings.particles_per_micrograph is None:
        raise SettingsError("particles_per_micrograph must be known before a training begins")
    prior = unlabelled_prior(
        particles=settings.particles_per_micrograph * len(store),
        labelled=store.labelled,
        radius_px=settings.sampling.label_radius_px,
        usable_px=sum(store.usable_px),
    )
    team = team or Team()
    run = _Run(store, settings, prior, device, start, guide, team)
    state = RunState()
    if checkpoint.exists():
        state = load_state(checkpoint, run.parts, run.key, device)
    batches = run.batches(state.step)
    pending: list[Step] = []
    while state.step < settings.steps and not finish:
        pending.append(run.step(state.step, next(batches)))
        state.step += 1
        is_checkpoint = state.step % settings.checkpoint_every == 0
        if not is_checkpoint and state.step < settings.steps:
            continue
        run.check(state.step)
        scores = team.once(lambda: held_out(run.scorer.eval())) if held_out else None
        row = Row.of(state.step, pending, scores)
        state.record(row, run.scorer)
        if team.rank == 0:
            save_state(checkpoint, run.parts, state, run.key)
        pending.clear()
        on_row(row)
    return run.outcome(state)


@dataclass(frozen=True)
class _Phase:
    """What is drawn for a time, and the share of positives among its unlabelled regions."""

    sampler: Sampler
    prior: float


class _Run:
    """The moving parts of a run."""

    def __init__(  # noqa: PLR0913  # as above
        self,
        store: Store,
        settings: TrainSettings,
        prior: float,
        device: torch.device,
        start: Scorer | None,
        guide: Guide | None,
        team: Team,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.prior, self.device, self.team = settings, prior, device, team
        self.guide = guide
        self.key = f"{settings_hash(settings)}-{store.fingerprint}"
        self.gamma = settings.gamma(store.labelled) if store.labelled else 0.0
        self.scorer = Scorer(settings.network)
        self.scorer.start_at(prior)
        self.keeps_statistics = start is not None
        if start is not None:
            _check_alike(start.settings, settings.network)
            self.scorer.load_state_dict(start.state_dict())
            self.scorer.encoder[: settings.frozen].requires_grad_(False)
        layout = memory_format(self.scorer, device)
        team.joined(self.scorer).to(device, memory_format=layout)  # type: ignore[call-overload]  # not in stubs
        field_px = self.scorer.receptive_field_px
        self.geometry = Geometry.of(settings.sampling.patch_px, field_px, self.scorer.stride_px)
        votes = votes_on_negatives(guide, store) if guide else None
        self.store = store
        self.drawn = partial(
            Sampler,
            settings=settings.sampling,
            geometry=self.geometry,
            seed=settings.seed,
            votes=votes,
        )
        self.on_labels = _Phase(self.drawn(store), prior)
        self.parts: dict[str, Part] = {"scorer": self.scorer}
        parameters = [p for p in self.scorer.parameters() if p.requires_grad]
        self.decoder: Decoder | None = None
        if self.gamma:
            self.decoder = Decoder(self.scorer.features, field_px)
            team.joined(self.decoder).to(device)
            self.parts["decoder"] = self.decoder
            parameters += self.decoder.parameters()
        self.optimizer = Adam(parameters, weight_decay=2 * settings.l2)
        self.parts["optimizer"] = self.optimizer

    def batches(self, first: int) -> Iterator[Batch]:
        """Minibatches from step `first` on, each drawn while the one before is learnt from."""
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(self._batch, first)
            for step in range(first, self.settings.steps):
                batch = following.result()
                following = pool.submit(self._batch, step + 1)
                yield batch

    @cached_property
    def on_proposals(self) -> _Phase:
        """What is drawn first; a run that has come farther never looks for it."""
        proposed, prior = propose(self.store, self.settings)
        return _Phase(self.drawn(proposed), prior)

    def _phase(self, step: int) -> _Phase:
        is_early = step < self.settings.proposal_steps
        return self.on_proposals if is_early else self.on_labels

    def _batch(self, step: int) -> Batch:
        return self._phase(step).sampler.batch(step, self.device)

    def step(self, number: int, batch: Batch) -> Step:
        """Learn from one minibatch."""
        torch.manual_seed(self.settings.seed + 1_000_003 * (number + 1))  # dropout, cells decoded
        self.scorer.train()
        if self.keeps_statistics:  # tiled crops are not what the network will see
            for module in self.scorer.modules():
                module.train(not isinstance(module, nn.BatchNorm2d))
        with mixed_precision(self.device):
            patches = self.team.own(batch.patches)
            features = self.scorer.encode(patches)
            logits = self.team.of_all(self.scorer.classify(features).float())
            rebuilt = self._reconstruction(features, patches, batch)
        logits = logits.flatten()
        positive = logits[batch.places[POSITIVE]]
        unlabelled = logits[batch.places[UNLABELLED]]
        prior = self._phase(number).prior
        terms = objective(
            self.settings.objective,
            positive,
            unlabelled,
            prior=prior,
            weight=self._penalty_weight(len(unlabelled)),
        )
        loss = terms.total + self.gamma * rebuilt
        if len(batch.votes):
            loss = loss + softplus(logits[batch.places[NEGATIVE]] + batch.votes).mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.team.average_gradients(self.optimizer.parameters)
        self.optimizer.step(learning_rate(number, self.settings))
        return Step(
            loss=self.team.averaged(loss.detach()),
            penalty=terms.penalty.detach(),
            positive_rate=torch.sigmoid(positive.detach()).mean(),
            unlabelled_rate=torch.sigmoid(unlabelled.detach()).mean(),
            prior=prior,
        )

    def _penalty_weight(self, unlabelled: int) -> float | None:
        """λ for a step; the binomial term is counted in independent regions."""
        if self.settings.objective != "ge-binomial":
            return self.settings.penalty_weight
        weight = 1.0 if self.settings.penalty_weight is None else self.settings.penalty_weight
        return weight * min(1.0, self.settings.independent_regions / max(unlabelled, 1))

    def _reconstruction(self, features: Tensor, patches: Tensor, batch: Batch) -> Tensor:
        """Mean squared norm of the difference between regions and what the decoder makes.

        Args:
            features: Of this device's patches.
            patches: Those patches.
            batch: All of them.
        """
        if self.decoder is None:
            return torch.zeros((), device=self.device)
        cells = np.argwhere(batch.kinds)
        chosen = cells[torch.randperm(len(cells))[:_DECODED].numpy()]
        own = chosen[chosen[:, 0] % self.team.size == self.team.rank].T
        patch, row, column = sent(np.ascontiguousarray(own), self.device)
        patch = patch // self.team.size
        regions = _regions(patches, self.geometry)[patch, row, column]
        rebuilt = self.decoder(features[patch, :, row, column])
        errors = (regions - rebuilt.float()).square().sum(dim=(1, 2))
        return self.team.mean(errors, len(chosen))

    def check(self, step: int) -> None:
        """Stop a run whose weights have left the finite numbers.

        Raises:
            SettingsError: They have.
        """
        if not all(bool(value.isfinite().all()) for value in self.scorer.state_dict().values()):
            raise SettingsError(
                f"training diverged before step {step}: the weights are not finite any more; "
                f"lower --learning-rate (now {self.settings.learning_rate:g})"
            )

    def outcome(self, state: RunState) -> Outcome:
        """The best network and the curves of a finished run."""
        best = Scorer(self.settings.network)
        best.load_state_dict(state.best or self.scorer.state_dict())
        return Outcome(
            best.eval(), state.best_step or state.step, state.curves, self.prior, self.guide
        )


def _check_alike(start: NetworkSettings, wanted: NetworkSettings) -> None:
    """Refuse weights of another network.

    Raises:
        SettingsError: The two differ in more than dropout.
    """
    if (start.name, start.width) != (wanted.name, wanted.width):
        raise SettingsError(
            f"the model to start from is a {start.name} of width {start.width}, the settings ask "
            f"for a {wanted.name} of width {wanted.width}; leave the network to the model, or "
            "start from random weights"
        )


def learning_rate(step: int, settings: TrainSettings) -> float:
    """One cycle: up from a 25th to the greatest rate, then down to nothing, by cosines.

    Proposals have a cycle of their own, and what follows another.

    Source: Smith and Topin 2019, "Super-convergence", with cosine annealing.
    """
    peak, early = settings.learning_rate, settings.proposal_steps
    done = step / early if step < early else (step - early) / (settings.steps - early)
    if done < _WARM_UP:
        low, share = peak / 25, 1 - done / _WARM_UP
    else:
        low, share = peak / 25e4, (done - _WARM_UP) / (1 - _WARM_UP)
    return low + (peak - low) * (1 + math.cos(math.pi * share)) / 2


def _regions(
    patches: Float[Tensor, "batch 1 side side"], geometry: Geometry
) -> Float[Tensor, "batch grid grid field field"]:
    """A view of every region behind a score."""
    field, stride = geometry.field_px, geometry.stride_px
    return patches[:, 0].unfold(1, field, stride).unfold(2, field, stride)
