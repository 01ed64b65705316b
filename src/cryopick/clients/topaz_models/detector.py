"""Detectors that Topaz trained, as networks of ours with the same scores.

What a file says is compared with what is known of the architecture: the number of its filters,
their shapes and, where the network itself was saved, their strides and dilations. A network of
another kind is refused. Rectified linear units become PReLU of slope 0, a bias goes into the batch
normalisation behind it, and a network without that gets one that only adds the bias.

- `read_topaz_model`: a `.sav` file as a network.

Source: Bepler et al. 2019, Methods, and the names, shapes and attributes in files of Topaz 0.3.20.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryopick.array_types import Shaped
from cryopick.clients.topaz_models.archive import Saved, read_tensors
from cryopick.errors import FormatError
from cryopick.model.networks import NETWORKS, NetworkSettings, Scorer

__all__ = ["read_topaz_model"]

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

_BODY = "features.features"
_RESIDUAL = {8: "resnet71", 16: "resnet91"}  # by the number of convolutions
_PLAIN = {3: "conv31", 4: "strided63", 5: "strided127"}
_PARTS = ("Conv2d", "BatchNorm2d", "ReLU", "PReLU", "Sequential", "Dropout", "Dropout2d")
_EPSILON = 1e-5  # PyTorch's own, which batch normalisation adds to the variance


class _Step(NamedTuple):
    """One convolution, the batch normalisation behind it, and the activation: their names."""

    filter: str
    norm: str
    slope: str


def read_topaz_model(path: Path) -> Scorer:
    """Read a detector of Topaz's, a whole network or its weights, without running its code.

    Known are resnet8, resnet16, conv31, conv63 and conv127 of any number of units, with and
    without batch normalisation.

    Returns:
        The network in evaluation mode. It scores as the original does, given images that were
        prepared as the original's were.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no detector of Topaz's, or one of another architecture.
    """
    saved = read_tensors(path)
    try:
        return _assemble(saved)
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(
            f"{path}: expected a Topaz detector (resnet8, resnet16, conv31, conv63 or conv127, its "
            f"units doubling, no pooling), found another network: {reason[:200]}"
        ) from None


def _assemble(saved: Saved) -> Scorer:
    """Find out which network it is, and give ours its weights.

    Raises:
        ValueError: It is none of those known.
    """
    import torch

    tensors = saved.tensors
    if "classifier.weight" not in tensors:
        raise ValueError("it has no linear classifier")
    theirs = list(_their_steps(tensors))
    is_residual = any(f"{_BODY}.{place}.conv1.weight" in tensors for place in range(2))
    name = (_RESIDUAL if is_residual else _PLAIN).get(len(theirs))
    if name is None:
        raise ValueError(f"it has {len(theirs)} convolutions")
    width = len(tensors[f"{theirs[0].filter}.weight"])
    with torch.device("meta"):  # shapes without memory
        scorer = Scorer(NetworkSettings(name=name, width=width, dropout=0.0))
    state: dict[str, np.ndarray] = {}
    for step, our_step in zip(theirs, _our_steps(name), strict=True):
        _compare(saved, step.filter, scorer, our_step.filter)
        state |= _converted(tensors, step, our_step)
        shortcut = our_step.filter.replace(".second", ".shortcut")
        if ".second" in our_step.filter and f"{shortcut}.weight" in scorer.state_dict():
            state[f"{shortcut}.weight"] = _projection(saved, step.filter, scorer, shortcut)
    state["head.weight"] = tensors["classifier.weight"].reshape(1, -1)
    state["head.bias"] = tensors["classifier.bias"]
    if not all(np.isfinite(values).all() for values in state.values()):
        raise ValueError("a weight is not finite")
    made = {key: torch.from_numpy(values.astype(np.float32)) for key, values in state.items()}
    counts = {key: torch.tensor(0) for key in scorer.state_dict() if key.endswith("_tracked")}
    scorer.load_state_dict(made | counts, assign=True)
    return scorer.eval()


def _their_steps(tensors: Arrays) -> Iterator[_Step]:
    """The convolutions in the order of the data, by the names that Topaz gives them."""
    numbers = {int(name.split(".")[2]) for name in tensors if name.startswith(f"{_BODY}.")}
    for number in sorted(numbers):
        block = f"{_BODY}.{number}"
        for which in ("", "0", "1"):
            if f"{block}.conv{which}.weight" in tensors:
                yield _Step(*(f"{block}.{part}{which}" for part in ("conv", "bn", "act")))
        if f"{block}.weight" in tensors and tensors[f"{block}.weight"].ndim > 1:
            norm, after = f"{_BODY}.{number + 1}", number + 1
            after += f"{norm}.running_mean" in tensors
            yield _Step(block, norm, f"{_BODY}.{after}")


def _our_steps(network: str) -> Iterator[_Step]:
    """The same, by the names that our network gives them."""
    for number, layer in enumerate(NETWORKS[network]):
        block = f"encoder.{number}"
        if layer.residual:
            yield _Step(f"{block}.first.0", f"{block}.first.1", f"{block}.first.2")
            yield _Step(f"{block}.second", f"{block}.after.0", f"{block}.after.1")
        else:
            yield _Step(f"{block}.0", f"{block}.1", f"{block}.2")


def _compare(saved: Saved, theirs: str, scorer: Scorer, ours: str) -> None:
    """Hold stride, dilation and padding of a saved filter against ours, where they are told.

    Raises:
        ValueError: They differ, or the network has parts that ours has not.
    """
    for name, (kind, _) in saved.parts.items():
        if kind.startswith("torch.") and kind.rpartition(".")[2] not in _PARTS:
            raise ValueError(f"{name} is {kind}")
    if theirs in saved.parts:
        facts, filter_ = saved.parts[theirs][1], scorer.get_submodule(ours)
        for fact in ("stride", "dilation", "padding"):
            if tuple(facts[fact]) != getattr(filter_, fact):
                raise ValueError(f"{theirs} has {fact} {facts[fact]}, not {getattr(filter_, fact)}")


def _converted(tensors: Arrays, step: _Step, ours: _Step) -> dict[str, np.ndarray]:
    """Weights of one step by our names: filter, batch normalisation, slope."""
    weight = tensors[f"{step.filter}.weight"]
    channels = len(weight)
    bias = tensors.get(f"{step.filter}.bias", np.zeros(channels, np.float32))
    norm = {
        "weight": np.full(channels, math.sqrt(1 + _EPSILON)),  # undoes what 1 + ε divides by
        "bias": bias,
        "running_mean": np.zeros(channels),
        "running_var": np.ones(channels),
    }
    if f"{step.norm}.running_mean" in tensors:
        norm = {name: tensors[f"{step.norm}.{name}"] for name in norm}
        norm["running_mean"] = norm["running_mean"] - bias
    slope = tensors.get(f"{step.slope}.weight", np.zeros(1, np.float32))
    return {
        f"{ours.filter}.weight": weight,
        **{f"{ours.norm}.{name}": values for name, values in norm.items()},
        f"{ours.slope}.weight": np.broadcast_to(slope, channels),
    }


def _projection(saved: Saved, theirs: str, scorer: Scorer, ours: str) -> np.ndarray:
    """The filter of a shortcut, or where theirs only leaves places out, one that does no more."""
    name = theirs.replace(".conv1", ".proj")
    if f"{name}.weight" in saved.tensors:
        _compare(saved, name, scorer, ours)
        return saved.tensors[f"{name}.weight"]
    channels = len(saved.tensors[f"{theirs}.weight"])
    return np.eye(channels)[:, :, None, None]
