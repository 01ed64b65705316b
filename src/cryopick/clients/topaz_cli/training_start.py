"""Network that `train` starts from, with the scale of its input.

With `--pretrained`, the default, resnet8 and resnet16 stand for the general model, as in Topaz they
do for the pretrained detectors; other networks start from random weights. A file is fine-tuned.

- `TrainingStart`: initial network, scale and normalization.
- `choose_training_start`: the start that the options name.
- `NETWORKS`: our name for each network of Topaz.
"""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.detectors import (
    IN_PIXELS,
    PRETRAINED_NAMES,
    is_cryopick_model,
    load_model_of_name,
)
from cryopick.clients.topaz_cli.micrographs import LabelledImages
from cryopick.clients.topaz_cli.target_search import search_size
from cryopick.clients.topaz_models.detector import read_topaz_model
from cryopick.errors import NotFoundError
from cryopick.model.architectures import NetworkSettings, compute_geometry
from cryopick.model.device import AnyDevice
from cryopick.model.model_file import Model
from cryopick.model.networks import Scorer, build_scorer
from cryopick.preprocess.normalize import Normalization
from cryopick.train.settings import GENERAL, RANDOM

__all__ = ["NETWORKS", "TrainingStart", "choose_training_start"]

NETWORKS = {
    "resnet8": "resnet71",
    "resnet16": "resnet91",
    "conv31": "conv31",
    "conv63": "strided63",
    "conv127": "strided127",
}


@dataclass(frozen=True, kw_only=True)
class TrainingStart:
    """Start of a training; lengths are in pixels of the images as given.

    Attributes:
        init: Value of the setting `init`: general, random, or the path of a model.
        network: The network.
        scorer: Its initial weights; None for random ones, and for the general model, whose last
            layer is fitted to the labels first.
        diameter_px: Particle diameter.
        working_px: Pixels of the images per pixel of the network's input.
        normalization: Normalization of the network's input.
    """

    init: str
    network: NetworkSettings
    diameter_px: float
    working_px: float = 1.0
    normalization: Normalization = field(default_factory=lambda: Normalization("affine"))
    scorer: Scorer | None = None


def choose_training_start(
    values: Namespace, data: LabelledImages | None, device: Callable[[], AnyDevice]
) -> TrainingStart:
    """Choose the start that the options name.

    Args:
        values: Options of `train`.
        data: Training micrographs with labels, which show the size of particles; None starts
            networks of a name from random weights.
        device: Returns the device on which micrographs are scored to find the size.

    Raises:
        NotFoundError: `--model` is neither a file nor a known network.
    """
    path = Path(values.model)
    if path.is_file():
        return _start_from_file(path, data, device)
    if values.model not in NETWORKS:
        raise NotFoundError(f"{path}: no such model file; networks are {', '.join(NETWORKS)}")
    if data is not None and values.pretrained and values.model in PRETRAINED_NAMES:
        report(
            "# starting from the general model of cryopick; --units, --method, --autoencoder, --l2 "
            "and --epoch-size have no effect; --no-pretrained starts from random weights"
        )
        model = load_model_of_name(values.model)
        return _scale_to_particles(GENERAL, values.model, model, data, device())
    network = NetworkSettings(
        name=NETWORKS[values.model], width=values.units, dropout=values.dropout
    )
    field_px, _ = compute_geometry(network)
    # clients downsample to about this size
    return TrainingStart(init=RANDOM, network=network, diameter_px=field_px / 2)


def _start_from_file(
    path: Path, data: LabelledImages | None, device: Callable[[], AnyDevice]
) -> TrainingStart:
    """Start from a detector of Topaz, of this program, or from a model of `cryopick train`."""
    if not is_cryopick_model(path):
        network = read_topaz_model(path)
        return TrainingStart(
            init=str(path),
            network=network.settings,
            diameter_px=network.receptive_field_px / 2,
            scorer=build_scorer(network),
        )
    model = load_model_of_name(str(path))
    if model.summary.get("lengths") != IN_PIXELS and data is not None:
        return _scale_to_particles(str(path), str(path), model, data, device())
    return TrainingStart(
        init=str(path),
        network=model.network.settings,
        diameter_px=model.diameter_ang,
        working_px=model.working_pixel_size_ang,
        normalization=model.normalization,
        scorer=model.scorer,
    )


def _scale_to_particles(
    init: str, name: str, model: Model, data: LabelledImages, device: AnyDevice
) -> TrainingStart:
    """Start from a model at the scale at which it ranks the labels best."""
    labelled = [image for image, rows in data.labels.rows_by_micrograph().items() if len(rows)]
    images = {image: data.paths[image] for image in labelled}
    settings = search_size(name, images, data.labels, device).settings
    assert settings.diameter_ang is not None, "was chosen"
    return TrainingStart(
        init=init,
        network=model.network.settings,
        diameter_px=settings.diameter_ang,
        working_px=settings.diameter_ang / model.diameter_px,
        normalization=replace(model.normalization, inverted=settings.contrast == "bright"),
        scorer=None if init == GENERAL else model.scorer,
    )
