"""An ONNX model whose weights are stored in fewer bits."""

import numpy as np

# Of the operators that have nearly all of the weights: the inputs that are weights,
# and the axes of each that have one scale.
_QUANTIZED = {"Conv": ((1,), (1, 2, 3)), "LSTM": ((1, 2), (2,)), "MatMul": ((1,), (0,))}


def store_weights(graph, dtype):
    """Store the weights of an onnx.GraphProto as a type of fewer bits, in place.

    They are brought back to float32 in the graph, which a runtime does once, when it
    loads the file. So what is computed takes the same time and the same operators, and
    does not depend on what else is in a batch. With "float16" all weights are rounded
    to half precision. With "int8" those that are multiplied become integers from -127
    to 127 and a scale for each channel of the result [1]_.

    References
    ----------
    .. [1] R. Krishnamoorthi, "Quantizing deep convolutional networks for efficient
       inference: A whitepaper", 2018, section 3.1.1 (weight only, per channel).
    """
    if dtype == "float32":
        return
    from onnx import helper, numpy_helper

    axes = _find_axes(graph)
    nodes, scales = [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or not array.ndim:
            continue
        if dtype == "int8" and tensor.name not in axes:
            continue
        name, stored, wide = tensor.name, f"{tensor.name}_stored", f"{tensor.name}_wide"
        if dtype == "int8":
            array, scale = _quantize(array, axes[name])
            scales.append(numpy_helper.from_array(scale, f"{name}_scale"))
            nodes.append(_cast(stored, wide))
            factors = [wide, f"{name}_scale"]
            nodes.append(helper.make_node("Mul", factors, [name], name=name))
        else:
            limits = np.finfo(np.float16)
            array = np.clip(array, limits.min, limits.max).astype(np.float16)
            nodes.append(_cast(stored, name))
        tensor.CopyFrom(numpy_helper.from_array(array, stored))
    graph.initializer.extend(scales)
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)


def _cast(before, after):
    from onnx import TensorProto, helper

    return helper.make_node("Cast", [before], [after], name=after, to=TensorProto.FLOAT)


def _find_axes(graph):
    """Return name -> axes that have one scale, of the weights that are multiplied."""
    return {
        node.input[i]: axes
        for node in graph.node
        for positions, axes in [_QUANTIZED.get(node.op_type, ((), ()))]
        for i in positions
    }


def _quantize(array, axes):
    """Return the integers and the scales of an array."""
    scale = np.abs(array).max(axis=axes, keepdims=True) / np.float32(127)
    scale = np.where(scale > 0, scale, np.float32(1))
    return np.rint(array / scale).astype(np.int8), scale
