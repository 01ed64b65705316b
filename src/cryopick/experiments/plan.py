"""What is compared: every combination of some choices, each several times.

- `Plan`: the choices.
- `Trial`: one run of one combination.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from cryopick.errors import SettingsError
from cryopick.model.model_file import load_model
from cryopick.preprocess.settings import NormalizationKind
from cryopick.train.initialization import (
    choose_model_settings,
    choose_step_count,
    find_initial_model,
)
from cryopick.train.settings import ObjectiveName, TrainSettings

__all__ = ["Plan", "Trial"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run: what is learnt from how many labels.

    Attributes:
        settings: Of the training, its seed included; the particles per micrograph are those
            that it is told.
        labels: How many particles are labelled.
        repeat: Which of the draws of so many labels, from 0.
        label_seed: Seed of the draw, together with the number of labels and the repeat.
        prior_factor: The particles per micrograph that it is told over those that there are.
    """

    settings: TrainSettings
    labels: int
    repeat: int
    label_seed: int
    prior_factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every combination of these choices, `repeats` times.

    A repeat has the same labels and the same seed for all combinations, so that they can be
    compared in pairs.

    Attributes:
        settings: What all runs share; of the fields varied here, what is used where nothing is
            chosen for them.
        labels: Numbers of labels.
        repeats: Draws of labels for each number.
        objectives: Names of objectives; empty for that of `settings`, as for what follows.
        autoencoders: Weights γ of the reconstruction: numbers or "10/N".
        inits: What to start from: random, general or the path of a model. Normalisation and
            working pixel size are those that suit the start.
        normalizations: How micrographs are standardised.
        penalty_weights: Weights λ of the generalized expectation term.
        warm_up_steps: First steps that learn from what stands out.
        prior_factors: What the number of particles is multiplied by before it is told.
        is_longer_with_labels: Train for as many steps as suit the number of labels, in place of
            those of `settings`.
        seed: Whole number from which labels, networks and minibatches follow.

    Raises:
        SettingsError: A value lies outside its range.
    """

    settings: TrainSettings
    labels: tuple[int, ...] = (10, 25, 50, 100, 250, 1000)
    repeats: int = 5
    objectives: tuple[ObjectiveName, ...] = ()
    autoencoders: tuple[str, ...] = ()
    inits: tuple[str, ...] = ()
    normalizations: tuple[NormalizationKind, ...] = ()
    penalty_weights: tuple[float, ...] = ()
    warm_up_steps: tuple[int, ...] = ()
    prior_factors: tuple[float, ...] = (1.0,)
    is_longer_with_labels: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise SettingsError(f"repeats must be at least 1; got {self.repeats}")
        for number in self.labels:
            if number < 1:
                raise SettingsError(f"there must be at least 1 label; got {number}")
        for factor in self.prior_factors:
            if not 0 < factor < math.inf:
                raise SettingsError(f"a factor of the prior must be above 0; got {factor}")
        if self.seed < 0:
            raise SettingsError(f"seed must be 0 or more; got {self.seed}")

    def trials(self) -> list[Trial]:
        """All runs, the first repeat of everything first: cut off, a plan has few of each.

        Raises:
            SettingsError: A choice is none that there is.
            InputError: A model to start from is missing.
        """
        ways = list(self._ways())
        return [
            Trial(
                settings=replace(way, seed=self.seed + repeat, **self._length(labels)),
                labels=labels,
                repeat=repeat,
                label_seed=self.seed,
                prior_factor=factor,
            )
            for repeat in range(self.repeats)
            for labels in self.labels
            for way, factor in ways
        ]

    def _length(self, labels: int) -> dict[str, Any]:
        return {"steps": choose_step_count(labels)} if self.is_longer_with_labels else {}

    def _ways(self) -> Iterator[tuple[TrainSettings, float]]:
        """Each combination of choices, with the factor of the prior in it."""
        base, number = self.settings, self.settings.particles_per_micrograph
        assert number is not None  # all particles are known, so these are counted
        choices = product(
            self.inits or (base.init,),
            self.normalizations or (None,),
            self.autoencoders or (base.autoencoder,),
            self.penalty_weights or (base.penalty_weight,),
            self.warm_up_steps or (base.warm_up_steps,),
            self.prior_factors,
            self.objectives or (base.objective,),
        )
        for init, normalization, autoencoder, penalty, early, factor, objective in choices:
            changes: dict[str, Any] = {"init": init, **self._suiting(init)}
            if normalization is not None:
                changes["normalization"] = normalization
            way = replace(
                base,
                **changes,
                autoencoder=autoencoder,
                penalty_weight=penalty,
                warm_up_steps=early,
                objective=objective,
                particles_per_micrograph=number * factor,
            )
            yield way, factor

    def _suiting(self, init: str) -> dict[str, Any]:
        """The settings that suit a start, unless all runs start so."""
        start = find_initial_model(init)
        if start is None or init == self.settings.init:
            return {}
        return choose_model_settings(init, load_model(start), self.settings.diameter_ang)
