"""Learn to tell particles from the rest, from labelled and unlabelled regions.

- `TrainSettings`, `train`: a run, from a store of prepared micrographs to a network.
- `Scorer`, `NETWORKS`, `Decoder`: networks.
- `objective`, `OBJECTIVES`: what is minimised.
- `Sampler`, `Geometry`: minibatches.
- `Model`, `save_model`, `load_model`: model files.
- `GENERAL_MODEL`: the one that ships.
"""

from cryopick.learn.checkpoint import GENERAL_MODEL, Model, load_model, save_model
from cryopick.learn.curves import Curves, Row
from cryopick.learn.device import choose_device
from cryopick.learn.geometry import Geometry
from cryopick.learn.guide import Guide
from cryopick.learn.loss import OBJECTIVES, objective
from cryopick.learn.network import NETWORKS, Decoder, NetworkSettings, Scorer
from cryopick.learn.prior import disc_pixels, unlabelled_prior
from cryopick.learn.sampling import Batch, Sampler, SamplingSettings
from cryopick.learn.settings import TrainSettings
from cryopick.learn.train import HeldOut, Outcome, train

__all__ = [
    "GENERAL_MODEL",
    "NETWORKS",
    "OBJECTIVES",
    "Batch",
    "Curves",
    "Decoder",
    "Geometry",
    "Guide",
    "HeldOut",
    "Model",
    "NetworkSettings",
    "Outcome",
    "Row",
    "Sampler",
    "SamplingSettings",
    "Scorer",
    "TrainSettings",
    "choose_device",
    "disc_pixels",
    "load_model",
    "objective",
    "save_model",
    "train",
    "unlabelled_prior",
]
