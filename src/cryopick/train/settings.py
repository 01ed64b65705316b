"""Settings of a training run, checked once.

- `TrainSettings`: everything that decides what a run learns from given micrographs and labels.
"""

import math
from dataclasses import dataclass, field

from cryopick.errors import SettingsError
from cryopick.model.networks import NetworkSettings
from cryopick.preprocess.dataset import DIAMETER_PX
from cryopick.preprocess.normalize import NormalizationKind
from cryopick.train.objectives import OBJECTIVES
from cryopick.train.sampling import SamplingSettings

__all__ = ["GENERAL", "RANDOM", "TrainSettings"]

# What `init` is where it is no file.
RANDOM = "random"
GENERAL = "general"


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of `cryopick train`; the field names are the TOML keys and the options.

    Attributes:
        diameter_ang: Longest extent of the particle.
        particles_per_micrograph: Particles expected on a micrograph, labelled or not; None
            until it is estimated, which `cryopick.train.particle_count` does before a run.
        pixel_size_ang: Ångströms per raw pixel, where the files do not say.
        working_pixel_size_ang: Ångströms per pixel that the network sees; None makes the
            particle 17 working pixels across.
        normalization: How micrographs are standardised: dataset, micrograph, affine or white.
        objective: pn, pu, ge-kl or ge-binomial.
        penalty_weight: λ of the generalized expectation term; None takes the paper's.
        independent_regions: Neighbouring regions of a patch are not independent, so the
            penalty of a step with N unlabelled regions, which grows with N, is weighted by
            this over N where N is larger. It touches ge-binomial only.
        autoencoder: γ, the weight of the reconstruction term: a number, or "10/N" for ten
            divided by the number of labels.
        steps: Minibatches in all; `cryopick train` takes more of them where there are more
            labels.
        proposal_steps: The first of them, in which what stands out of the micrographs counts as
            labelled; `cryopick train` takes 200, save where it starts from a model of yours.
        learning_rate: Greatest rate of the one-cycle schedule, of which proposals have one of
            their own.
        l2: Weight of the squared norm of the weights in the loss.
        checkpoint_every: Steps between checkpoints, each with an evaluation on the held-out
            micrographs where there are any.
        seed: Whole number from which network and minibatches follow.
        init: What to start from: "random" weights, the same with the "general" model as a
            guide, or the path of a model that learns on. The other defaults are those of
            random weights; `usual_settings` tells which suit a model.
        guide_weight: Weight of the general model's logits; None decides by the number of labels.
        frozen: Layers from the first on that keep the weights of the model they start from.
        network: Which network.
        sampling: What a minibatch is made of.

    Raises:
        SettingsError: A value lies outside its range.
    """

    diameter_ang: float
    particles_per_micrograph: float | None = None
    pixel_size_ang: float | None = None
    working_pixel_size_ang: float | None = None
    normalization: NormalizationKind = "white"
    objective: str = "ge-binomial"
    penalty_weight: float | None = None
    independent_regions: int = 240
    autoencoder: str = "0"
    steps: int = 300
    proposal_steps: int = 0
    learning_rate: float = 3e-3
    l2: float = 0.0
    checkpoint_every: int = 50
    seed: int = 0
    init: str = RANDOM
    guide_weight: float | None = None
    frozen: int = 0
    network: NetworkSettings = field(default_factory=NetworkSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)

    def __post_init__(self) -> None:
        for name in (
            "diameter_ang",
            "particles_per_micrograph",
            "learning_rate",
            "pixel_size_ang",
            "working_pixel_size_ang",
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")
        for name in ("steps", "checkpoint_every", "independent_regions"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1; got {getattr(self, name)}")
        if not 0 <= self.l2 < math.inf:
            raise SettingsError(f"l2 must be 0 or more; got {self.l2}")
        if not 0 <= self.proposal_steps < self.steps:
            raise SettingsError(
                f"proposal_steps must be 0 or more, and fewer than the {self.steps} steps in all; "
                f"got {self.proposal_steps}"
            )
        if self.seed < 0:
            raise SettingsError(f"seed must be 0 or more; got {self.seed}")
        self._check_start()
        self._check_objective()
        self.gamma(labels=1)

    def _check_start(self) -> None:
        if self.frozen < 0 or (self.frozen and self.init in (RANDOM, GENERAL)):
            raise SettingsError(
                "frozen layers are for a model of yours that learns on, and at least 0; "
                f"got {self.frozen} with --init {self.init}"
            )
        if self.guide_weight is not None:
            if self.init != GENERAL:
                raise SettingsError(
                    "guide_weight is for --init general, which alone has a guide to weigh; "
                    f"got {self.guide_weight} with --init {self.init}"
                )
            if not 0 <= self.guide_weight < math.inf:
                raise SettingsError(f"guide_weight must be 0 or more; got {self.guide_weight}")

    def _check_objective(self) -> None:
        if self.objective not in OBJECTIVES:
            raise SettingsError(
                f"there is no objective {self.objective!r}; choose one of {', '.join(OBJECTIVES)}"
            )
        if self.penalty_weight is None:
            return
        if OBJECTIVES[self.objective].weight is None:
            raise SettingsError(
                f"the objective {self.objective} has no penalty to weight; "
                "leave --penalty-weight out or choose ge-kl or ge-binomial"
            )
        if not 0 <= self.penalty_weight < math.inf:
            raise SettingsError(f"penalty_weight must be 0 or more; got {self.penalty_weight}")

    @property
    def working_size_ang(self) -> float:
        """Ångströms per working pixel."""
        return self.working_pixel_size_ang or self.diameter_ang / DIAMETER_PX

    def gamma(self, labels: int) -> float:
        """Weight γ of the reconstruction term for some number of labels.

        Raises:
            SettingsError: `autoencoder` is neither a number of at least 0 nor "10/N".
        """
        if self.autoencoder.replace(" ", "").upper() == "10/N":
            return 10.0 / labels
        try:
            gamma = float(self.autoencoder)
        except ValueError:
            gamma = math.nan
        if not 0 <= gamma < math.inf:
            raise SettingsError(
                f"autoencoder must be a number of at least 0, or 10/N; got {self.autoencoder!r}"
            )
        return gamma
