"""Score on processors with OpenVINO.

The graph is built from the weights when the network is loaded. Importing OpenVINO takes a tenth of
the time of importing torch, and its convolutions are faster (decision 0024).

- `OpenVinoNetwork`: a network compiled for the processor.
- `has_fast_bfloat16`: test if bfloat16 is faster than float32 on this processor.
"""

import sys
from functools import cache
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from cryopick.array_types import Float32
from cryopick.inference.dense_graph import Channels, Filters, build_dense_graph
from cryopick.inference.settings import NumberFormat
from cryopick.model.architectures import ENCODER_DECODER, EncoderDecoderShape
from cryopick.model.trained_network import TrainedNetwork
from cryopick.runs.parallel import available_cores

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVinoNetwork", "has_fast_bfloat16"]

Node = Any  # nodes of OpenVINO, which has no complete type information

_CONVERTER = "openvino.tools.ovc"
_MAX_STREAMS = 8  # images computed at once; further cores share the work on each
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
_IMPORT_LOCK = Lock()


class OpenVinoNetwork:
    """A network compiled for the processor; several threads may use it at once.

    Args:
        network: The network.
        step_px: Pixels between scores.
        number_format: Format of the products; sums, biases and logits are float32.
    """

    def __init__(self, network: TrainedNetwork, step_px: int, number_format: NumberFormat) -> None:
        runtime = _import_openvino()
        opset13 = runtime.opset13
        is_padded = network.settings.name == ENCODER_DECODER
        side_px = EncoderDecoderShape.ALIGNMENT_PX if is_padded else network.receptive_field_px
        side = runtime.Dimension(side_px, -1)  # at least
        parameter = opset13.parameter(runtime.PartialShape([1, 1, side, side]), np.float32)
        operations = _Operations(opset13, number_format)
        logits = build_dense_graph(network, step_px, operations, parameter)
        cores = available_cores()
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[number_format],
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": min(cores, _MAX_STREAMS),
            "ENABLE_CPU_PINNING": False,  # other processes use the same cores
        }
        model = runtime.Model([logits], [parameter], network.settings.name)
        self._compiled = _open_core().compile_model(model, "CPU", settings)
        self._idle: list[openvino.InferRequest] = []  # append and pop are atomic

    def score(
        self, image: Float32[np.ndarray, "height width"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Compute the logits of an image."""
        try:
            request = self._idle.pop()
        except IndexError:  # all are in use
            request = self._compiled.create_infer_request()
        try:
            request.infer([image[None, None]], share_inputs=True)
            logits: np.ndarray = request.get_output_tensor(0).data[0, 0].copy()
        finally:
            self._idle.append(request)
        return logits


@cache
def has_fast_bfloat16() -> bool:
    """Return true if the processor computes faster in bfloat16 than in float32."""
    preferred = _open_core().get_property("CPU", "INFERENCE_PRECISION_HINT")
    return bool(preferred.get_type_name() == "bf16")


@cache
def _open_core() -> "openvino.Core":
    return _import_openvino().Core()


def _import_openvino() -> ModuleType:
    """Import OpenVINO, in one thread at a time."""
    with _IMPORT_LOCK:
        return _import_alone()


@cache
def _import_alone() -> ModuleType:
    """Import OpenVINO without its converter of models, which takes as long and loads telemetry."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None forbids
    is_unloaded = _CONVERTER not in modules
    if is_unloaded:
        modules[_CONVERTER] = None
    try:
        import openvino
    finally:
        if is_unloaded:
            modules.pop(_CONVERTER, None)
    # The first use of its tables of data types releases the interpreter while it holds their lock:
    # two threads that use them first at the same time would wait for each other for ever.
    openvino.Type.f32.to_dtype()
    assert openvino.Tensor(np.zeros(1, np.float32), shared_memory=True).data.dtype == np.float32
    return openvino


class _Operations:
    """Operations as nodes of a graph of OpenVINO."""

    def __init__(self, opset: ModuleType, number_format: NumberFormat) -> None:
        self._opset, self._number_format = opset, number_format

    def convolve(  # as in the protocol
        self,
        image: Node,
        filters: Filters,
        bias: Channels | None = None,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
    ) -> Node:
        margins, dilations = [padding] * 2, [dilation] * 2
        result = self._opset.convolution(image, filters, [stride] * 2, margins, margins, dilations)
        return result if bias is None else self._opset.add(result, _as_channels(bias))

    def upsample(self, image: Node, filters: Filters) -> Node:
        double = {"pads_begin": [1, 1], "pads_end": [1, 1], "output_padding": [1, 1]}
        if self._number_format == "float32":
            groups = filters[:, :, None]  # one group per channel
            return self._opset.group_convolution_backprop_data(
                image, groups, [2, 2], **double, dilations=[1, 1]
            )
        # Products of all channels, most of them 0, take a quarter of the time of groups.
        channels = np.eye(len(filters), dtype=np.float32)
        return self._opset.convolution_backprop_data(
            image, channels[:, :, None, None] * filters, [2, 2], **double
        )

    def rectify(self, image: Node, slopes: Channels | None = None) -> Node:
        return self._opset.relu(image) if slopes is None else self._opset.prelu(image, slopes)

    def scale(self, image: Node, factors: Channels) -> Node:
        return self._opset.multiply(image, _as_channels(factors))

    def add(self, image: Node, other: Node) -> Node:
        return self._opset.add(image, other)

    def crop(self, image: Node, margin: int) -> Node:
        start, stop, step, axes = (
            np.array(values, np.int64) for values in ([margin] * 2, [-margin] * 2, [1, 1], [2, 3])
        )
        return self._opset.slice(image, start, stop, step, axes)

    def classify(self, features: Node, weights: Channels, bias: float) -> Node:
        # A convolution in bfloat16 rounds its filters, and its result where nothing follows. Two
        # filters whose sum has twice the digits, and a sum in float32, avoid both.
        rounded = _round_to_bfloat16(weights)
        filters = np.stack([rounded, weights - rounded])[:, :, None, None]
        parts = self.convolve(features, filters)
        total = self._opset.reduce_sum(parts, np.array([1], np.int64), keep_dims=True)
        return self._opset.add(total, np.full((1, 1, 1, 1), bias, np.float32))


def _as_channels(values: Channels) -> Float32[np.ndarray, "1 channels 1 1"]:
    return values.reshape(1, -1, 1, 1)


def _round_to_bfloat16(values: Channels) -> Channels:
    """Round to the upper 16 bits of the numbers, to the nearest or even."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)
