"""Plan of a benchmark: all combinations of some settings, each repeated several times.

- `BenchmarkPlan`: the settings to combine.
- `Trial`: one training run with one combination.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from cryopick.config import check_ranges
from cryopick.model.model_file import load_model
from cryopick.preprocess.settings import NormalizationKind
from cryopick.train.initialization import (
    choose_model_settings,
    choose_step_count,
    choose_tuning_step_count,
    find_initial_model,
)
from cryopick.train.settings import GENERAL, RANDOM, ObjectiveName, TrainSettings

__all__ = ["BenchmarkPlan", "Trial"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training run on randomly drawn labels.

    Attributes:
        settings: Training settings with their seed; the particles per micrograph include the
            prior factor.
        labels: Number of labels.
        repeat: Number of the draw of labels, from 0.
        label_seed: Seed of the draw, combined with the number of labels and the repeat.
        prior_factor: Ratio of the expected to the true number of particles per micrograph.
        evaluate_every: Number of steps between evaluations on held-out micrographs; 0 for one
            evaluation at the end.
    """

    settings: TrainSettings
    labels: int
    repeat: int
    label_seed: int
    prior_factor: float = 1.0
    evaluate_every: int = 0


@dataclass(frozen=True, kw_only=True)
class BenchmarkPlan:
    """All combinations of the given settings, each repeated several times.

    Within a repeat, all combinations have the same labels and the same seed, as paired tests
    require.

    Attributes:
        settings: Common settings, and the values of settings that are not varied.
        labels: Numbers of labels.
        repeats: Number of draws for each number of labels.
        objectives: Training objectives. Here and below, empty for the value of `settings`.
        autoencoders: Autoencoder weights γ: numbers or "10/N".
        inits: Initial weights: random, general or the path of a model. Normalization and working
            pixel size are those of the initial model.
        normalizations: Normalizations of the micrographs.
        penalty_weights: Weights λ of the generalized-expectation penalty.
        warm_up_steps: Numbers of warm-up steps on blob detections.
        prior_factors: Factors by which the true number of particles is multiplied.
        is_longer_with_labels: Derive the number of steps from the number of labels, instead of
            taking that of `settings`.
        evaluate_every: Number of steps between evaluations; 0 for one evaluation at the end.
        seed: Seed of the labels, the networks and the minibatches.

    Raises:
        SettingsError: A value is out of range.
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
    evaluate_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, "repeats labels", minimum=1)
        check_ranges(self, "prior_factors", above=0)
        check_ranges(self, "evaluate_every seed", minimum=0)

    def list_trials(self) -> list[Trial]:
        """Return all trials, ordered by repeat: an interrupted benchmark has complete repeats.

        Raises:
            SettingsError: A setting has an unknown value.
            InputError: An initial model does not exist.
        """
        combinations = list(self._combine_settings())
        return [
            Trial(
                settings=replace(
                    settings, seed=self.seed + repeat, **self._choose_steps(settings, labels)
                ),
                labels=labels,
                repeat=repeat,
                label_seed=self.seed,
                prior_factor=factor,
                evaluate_every=self.evaluate_every,
            )
            for repeat in range(self.repeats)
            for labels in self.labels
            for settings, factor in combinations
        ]

    def _choose_steps(self, settings: TrainSettings, labels: int) -> dict[str, Any]:
        if settings.init == GENERAL and (self.is_longer_with_labels or self.inits):
            return {"steps": choose_tuning_step_count(labels)}
        return {"steps": choose_step_count(labels)} if self.is_longer_with_labels else {}

    def _combine_settings(self) -> Iterator[tuple[TrainSettings, float]]:
        """Yield the settings and the prior factor of each combination."""
        base, true_count = self.settings, self.settings.particles_per_micrograph
        assert true_count is not None  # counted in the table of all particles
        combinations = product(
            self.inits or (base.init,),
            self.normalizations or (None,),
            self.autoencoders or (base.autoencoder,),
            self.penalty_weights or (base.penalty_weight,),
            self.warm_up_steps or (base.warm_up_steps,),
            self.prior_factors,
            self.objectives or (base.objective,),
        )
        for init, normalization, autoencoder, penalty, warm_up, factor, objective in combinations:
            changes: dict[str, Any] = {
                "autoencoder": autoencoder,
                "penalty_weight": penalty,
                "warm_up_steps": warm_up if init == RANDOM else 0,
                "objective": objective,
                "particles_per_micrograph": true_count * factor,
                "init": init,
                **self._model_settings(init),
            }
            if normalization is not None:
                changes["normalization"] = normalization
            if self.objectives:
                changes["objective"] = objective
            yield replace(base, **changes), factor

    def _model_settings(self, init: str) -> dict[str, Any]:
        """Return the settings of an initial model, unless it is that of the common settings."""
        model_file = find_initial_model(init)
        if model_file is None or init == self.settings.init:
            return {}
        return choose_model_settings(init, load_model(model_file), self.settings.diameter_ang)
