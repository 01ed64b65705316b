"""Settings of a training run.

- `TrainSettings`: everything that decides the result for given micrographs and labels.
- `ObjectiveName`: the objectives of regions.
- `TrainingObjective`, `LearningRateSchedule`: the choices of `--objective` and `--schedule`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, get_args

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError
from cryopick.model.architectures import ENCODER_DECODER, NetworkSettings
from cryopick.pick.settings import Contrast, is_elongated
from cryopick.preprocess.settings import DIAMETER_PX, NormalizationKind
from cryopick.train.sampling_settings import SamplingSettings

__all__ = [
    "GENERAL",
    "PEAKS",
    "RANDOM",
    "LearningRateSchedule",
    "ObjectiveName",
    "TrainSettings",
    "TrainingObjective",
]

# Values of `init` that are not the path of a model.
RANDOM = "random"
GENERAL = "general"

ObjectiveName = Literal["pn", "pu", "nnpu", "ge-kl", "ge-binomial"]
# The objectives of regions, and that of the peaks of a score map.
TrainingObjective = Literal["pn", "pu", "nnpu", "ge-kl", "ge-binomial", "peaks"]
PEAKS = "peaks"
LearningRateSchedule = Literal["one-cycle", "constant"]
_CHECKPOINT_INTERVAL = 50
_MIN_CHECKPOINTS = 8  # of a training, so that its curves show its course
_WITHOUT_PENALTY = ("pn", "pu", "nnpu", PEAKS)


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of `cryopick train`; the field names are the TOML keys and the options.

    The defaults are those of training from random weights;
    `cryopick.train.initialization.choose_training_settings` gives those for other starting points.

    Raises:
        SettingsError: A value lies outside its range.
    """

    FORMER_NAMES: ClassVar[Mapping[str, str]] = {
        "frozen": "frozen_layers",
        "guide_weight": "general_model_weight",
        "proposal_steps": "warm_up_steps",
    }

    diameter_ang: Annotated[float, Help("Longest dimension of the particle in ångströms.")]
    width_ang: Annotated[
        float | None,
        Help(
            "Short side of elongated particles in ångströms, such as 30 for a rod.",
            default="with the general model, estimated from the scores of the first micrographs",
        ),
    ] = None
    scale_ang: Annotated[
        float | None,
        Help(
            "Size in ångströms that sets the scale of the network's input.",
            default="the diameter; with the general model, the size at which the first "
            "micrographs score highest",
        ),
    ] = None
    contrast: Annotated[
        Contrast,
        Help(
            "Contrast of the particles: dark as in cryo-EM, or bright as in negative stain. auto "
            "compares both on a few micrographs with the general model, and otherwise leaves the "
            "micrographs as they are."
        ),
    ] = "auto"
    particles_per_micrograph: Annotated[
        float | None,
        Help(
            "Expected number of particles on a micrograph, labelled or not.",
            default="auto: estimated from the micrographs and the labels",
            metavar="N|auto",
        ),
    ] = None
    pixel_size_ang: Annotated[
        float | None,
        Help("Pixel size of the raw micrographs in ångströms.", default="from the file headers"),
    ] = None
    working_pixel_size_ang: Annotated[
        float | None,
        Help(
            "Pixel size in ångströms after downsampling, as the network receives it.",
            default="scale_ang divided by 17",
        ),
    ] = None
    normalization: Annotated[
        NormalizationKind,
        Help(
            "Normalization: dataset (one mixture model for all micrographs), micrograph (one for "
            "each), affine (mean 0, standard deviation 1), white (affine after spectral "
            "whitening) or noise (whitening by the noise of the emptiest parts)."
        ),
    ] = "white"
    objective: Annotated[
        TrainingObjective,
        Help(
            "Training objective for positive and unlabelled regions: pn (unlabelled regions count "
            "as negative), pu (non-negative PU risk), nnpu (the same with the reversed gradient "
            "of Kiryo's algorithm), ge-kl or ge-binomial (generalized expectation criteria). "
            "peaks, for fine-tuning only, compares labels with the peaks of the score map.",
            default="ge-binomial; peaks for the general model",
        ),
    ] = "ge-binomial"
    penalty_weight: Annotated[
        float | None,
        Help(
            "Weight λ of the penalty in ge-kl and ge-binomial. In ge-binomial it is multiplied by "
            "the ratio of --independent-regions to the unlabelled regions of the minibatch, if "
            "that is below 1: by 240/2312 with the default patches.",
            default="10 for ge-kl, 1 for ge-binomial",
        ),
    ] = None
    independent_regions: Annotated[
        int,
        Help(
            "Maximum number of unlabelled regions of a minibatch that ge-binomial counts as "
            "independent; overlapping regions beyond it are down-weighted."
        ),
    ] = 240
    autoencoder: Annotated[
        str,
        Help(
            "Weight γ of the autoencoder's reconstruction error: a number, or 10/N for ten "
            "divided by the number of labels."
        ),
    ] = "0"
    steps: Annotated[
        int,
        Help(
            "Number of training steps (minibatches).",
            default="growing with the number of labels: 40 to 200 for the general model, 200 to "
            "900 for random weights; 200 from another model",
        ),
    ] = 300
    warm_up_steps: Annotated[
        int,
        Help(
            "Number of warm-up steps, included in --steps, that train on blob detections instead "
            "of labels.",
            default="200, at most two fifths of --steps; 0 for fine-tuning",
        ),
    ] = 0
    learning_rate: Annotated[
        float, Help("Learning rate: the maximum of the one-cycle schedule, or the constant one.")
    ] = 3e-3
    schedule: Annotated[
        LearningRateSchedule,
        Help("Schedule of the learning rate: one-cycle, or constant as in the paper."),
    ] = "one-cycle"
    l2: Annotated[float, Help("Weight of the L2 penalty on the network's weights.")] = 0.0
    checkpoint_every: Annotated[
        int | None,
        Help(
            "Number of steps between checkpoints, which also evaluate on held-out micrographs.",
            default="50; trainings of fewer than 400 steps also write checkpoints at each eighth "
            "of their steps, without evaluating",
        ),
    ] = None
    seed: Annotated[int, Help("Seed of the random number generators.")] = 0
    init: Annotated[
        str,
        Help(
            "Initial weights: general (fine-tune the general model), random, or the path of a "
            "model to fine-tune.",
            default="general",
            metavar="general|random|MODEL",
        ),
    ] = RANDOM
    general_model_weight: Annotated[
        float | None,
        Help(
            "Weight of the general model in the average of its weights with those of the "
            "fine-tuned network, which has weight 1.",
            default="2 with one or two labels, 0.5 with 10 to 600, less with more; at least 1 for "
            "elongated particles",
        ),
    ] = None
    frozen_layers: Annotated[
        int,
        Help("Number of first layers of the model given with --init that are not fine-tuned."),
    ] = 0
    network: NetworkSettings = field(default_factory=NetworkSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)

    def __post_init__(self) -> None:
        check_ranges(self, "diameter_ang width_ang scale_ang particles_per_micrograph", above=0)
        check_ranges(self, "learning_rate pixel_size_ang working_pixel_size_ang", above=0)
        check_ranges(self, "steps checkpoint_every independent_regions", minimum=1)
        check_ranges(self, "l2 seed penalty_weight general_model_weight", minimum=0)
        if not 0 <= self.warm_up_steps < self.steps:
            raise SettingsError(
                f"warm_up_steps must be at least 0 and less than the {self.steps} steps; "
                f"got {self.warm_up_steps}"
            )
        if self.width_ang is not None and self.width_ang > self.diameter_ang:
            raise SettingsError(
                f"width_ang must be at most diameter_ang; got {self.width_ang:g} and "
                f"{self.diameter_ang:g}"
            )
        self._check_start()
        self._check_objective()
        self.gamma(labels=1)

    def _check_start(self) -> None:
        if self.frozen_layers < 0 or (self.frozen_layers and self.init in (RANDOM, GENERAL)):
            raise SettingsError(
                "frozen_layers must be at least 0, and needs --init with the path of a model to "
                f"fine-tune; got {self.frozen_layers} with --init {self.init}"
            )
        if self.general_model_weight is not None and self.init != GENERAL:
            raise SettingsError(
                "general_model_weight needs --init general; "
                f"got {self.general_model_weight} with --init {self.init}"
            )

    def _check_objective(self) -> None:
        if self.schedule not in get_args(LearningRateSchedule):
            raise SettingsError(
                f"there is no schedule {self.schedule!r}; choose one of "
                f"{', '.join(get_args(LearningRateSchedule))}"
            )
        if self.objective not in get_args(TrainingObjective):
            raise SettingsError(
                f"there is no objective {self.objective!r}; choose one of "
                f"{', '.join(get_args(TrainingObjective))}"
            )
        if self.objective == PEAKS and self.init == RANDOM:
            raise SettingsError(
                "the objective peaks needs a trained network, whose peaks are possible particles; "
                "use --init general or a model, or choose another objective"
            )
        if self.penalty_weight is not None and self.objective in _WITHOUT_PENALTY:
            raise SettingsError(
                f"the objective {self.objective} has no penalty to weight; "
                "leave --penalty-weight out or choose ge-kl or ge-binomial"
            )

    def evaluates_at(self, step: int) -> bool:
        """Return true if the network is evaluated on held-out micrographs after a step."""
        interval = self.checkpoint_every or _CHECKPOINT_INTERVAL
        return step % interval == 0 or step == self.steps

    def saves_at(self, step: int) -> bool:
        """Return true if a checkpoint is written after a step, with a row of the curves."""
        interval = min(_CHECKPOINT_INTERVAL, max(1, self.steps // _MIN_CHECKPOINTS))
        return self.evaluates_at(step) or step % (self.checkpoint_every or interval) == 0

    @property
    def working_size_ang(self) -> float:
        """Ångströms per working pixel."""
        return self.working_pixel_size_ang or (self.scale_ang or self.diameter_ang) / DIAMETER_PX

    @property
    def diameter_px(self) -> float:
        """Size of particles in working pixels: that of `scale_ang` or, by default, the diameter."""
        return (self.scale_ang or self.diameter_ang) / self.working_size_ang

    @property
    def sides_px(self) -> tuple[float, float] | None:
        """Length and width in working pixels of particles that are elongated."""
        if self.width_ang is None or not is_elongated(self.diameter_ang, self.width_ang):
            return None
        return self.diameter_ang / self.working_size_ang, self.width_ang / self.working_size_ang

    @property
    def uses_windows(self) -> bool:
        """Minibatches are windows of the micrographs instead of tiled crops."""
        is_padded = self.network.name == ENCODER_DECODER
        return self.init == GENERAL or self.objective == PEAKS or is_padded

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
