"""An ONNX model whose weights have fewer bits."""

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from skcaptcha._optional import import_optional

# The operators that have nearly all of the weights.
_QUANTIZED = ("Conv", "LSTM", "MatMul")


def reduce_precision(model, dtype):
    """Return an onnx.ModelProto with weights of a type, "float32" as it is."""
    if dtype == "float16":
        _halve_weights(model.graph)
    return _quantize(model) if dtype == "int8" else model


def _halve_weights(graph):
    """Store weights in half precision, and cast each back when the file is loaded.

    Few processors compute faster with 16 bits than with 32, so what is computed keeps
    32, and the graph needs no other operators.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts, limits = [], np.finfo(np.float16)
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or not array.ndim:
            continue
        name, half = tensor.name, f"{tensor.name}_half"
        array = np.clip(array, limits.min, limits.max).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(array, half))
        cast = helper.make_node("Cast", [half], [name], name=name, to=TensorProto.FLOAT)
        casts.append(cast)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _quantize(model):
    """Return the model with weights of 8 bits, a scale for each tensor.

    What is multiplied with them is brought to 8 bits while the model runs, by the range
    that it has in the batch.

    References
    ----------
    ONNX Runtime, "Quantize ONNX Models", section "Dynamic Quantization".
    """
    import onnx

    quantization = import_optional(
        "onnxruntime.quantization", "onnx", "export_onnx with dtype='int8'"
    )
    with tempfile.TemporaryDirectory() as folder, _no_advice():
        path = Path(folder, "quantized.onnx")
        quantization.quantize_dynamic(
            model,
            path,
            op_types_to_quantize=list(_QUANTIZED),
            weight_type=quantization.QuantType.QInt8,
        )
        quantized = onnx.load(path)
    del quantized.metadata_props[:]  # which say how it was made
    return quantized


@contextmanager
def _no_advice():
    """Hide what the runtime's tool logs: advice that does not go for this graph."""
    logger = logging.getLogger()
    logger.addFilter(_is_no_advice)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_advice)


def _is_no_advice(record):
    return "pre-processing before quantization" not in record.getMessage()
