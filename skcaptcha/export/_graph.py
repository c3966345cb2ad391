"""The network as an ONNX graph."""

import numpy as np

from skcaptcha.model.geometry import TIME_STRIDE

# Those of ONNX 1.12 of 2022, so that older runtimes read the graph as well.
OPSET_VERSION, IR_VERSION = 17, 8


def list_inputs(n_channels, height):
    """Return name, type and shape of each input; a dimension with a name is free."""
    return [
        ("images", "uint8", ["N", n_channels, height, "W"]),
        ("widths", "int64", ["N"]),
    ]


def list_outputs(n_classes):
    """Return name, type and shape of each output; a dimension with a name is free."""
    return [("log_probs", "float", ["N", "T", n_classes]), ("lengths", "int64", ["N"])]


def build_graph(network, height):
    """Return what a `CRNN` computes in evaluation mode, as an onnx.GraphProto.

    Not made by PyTorch's exporter, which would fix the number of time steps. ONNX's
    bidirectional LSTM takes the lengths of its sequences, so one operator does what
    `BidirectionalLSTM` needs two and an indexed reversal for.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    x, mask = _add_standardization(graph)
    for block in network.blocks:
        x, mask = _add_block(graph, block, x, mask)
    x = graph.add("ReduceMax", x, axes=[2], keepdims=0)  # (N, C, H', T) -> (N, C, T)
    x = graph.add("Transpose", x, perm=[2, 0, 1])  # (T, N, C)
    stride = graph.add_array(np.int64(TIME_STRIDE))
    lengths = graph.add("Div", "widths", stride, name="lengths")  # (N,)
    lengths = graph.add("Cast", lengths, to=TensorProto.INT32)
    for lstm in network.lstms:
        x = _add_lstm(graph, lstm, x, lengths)  # (T, N, 2 * units)
    x = graph.add("Transpose", x, perm=[1, 0, 2])  # (N, T, 2 * units)
    x = graph.add("MatMul", x, graph.add_array(_read(network.head.weight).T))
    x = graph.add("Add", x, graph.add_array(_read(network.head.bias)))
    graph.add("LogSoftmax", x, axis=-1, name="log_probs")  # (N, T, K)
    n_channels = network.blocks[0].conv.in_channels
    return helper.make_graph(
        graph.nodes,
        "skcaptcha",
        _declare(list_inputs(n_channels, height)),
        _declare(list_outputs(network.head.out_features)),
        graph.arrays,
    )


class _Graph:
    """The operators and constants added so far."""

    def __init__(self):
        self.nodes, self.arrays = [], []

    def add(self, operator, *inputs, name=None, **attributes):
        """Add an operator with one output, and return the name of that."""
        from onnx import helper

        name = name or f"{operator}_{len(self.nodes)}"
        node = helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.nodes.append(node)
        return name

    def add_array(self, array):
        """Add a constant, and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name


def _read(parameter):
    return parameter.detach().cpu().float().numpy()


def _declare(variables):
    from onnx import TensorProto, helper

    return [
        helper.make_tensor_value_info(name, getattr(TensorProto, kind.upper()), shape)
        for name, kind, shape in variables
    ]


def _add_standardization(graph):
    """Add what `standardize` does; return its result and the mask of the columns."""
    from onnx import TensorProto

    last = graph.add_array(np.array([3]))
    x = graph.add("Cast", "images", to=TensorProto.FLOAT)  # (N, C, H, W)
    n_columns = graph.add("Gather", graph.add("Shape", "images"), last)  # (1,)
    n_columns = graph.add("Squeeze", n_columns)
    zero, one = (graph.add_array(np.int64(n)) for n in (0, 1))
    columns = graph.add("Range", zero, n_columns, one)  # (W,)
    axes = graph.add_array(np.array([1, 2, 3]))
    widths = graph.add("Unsqueeze", "widths", axes)  # (N, 1, 1, 1)
    mask = graph.add("Less", columns, widths)  # (N, 1, 1, W)
    mask = graph.add("Cast", mask, to=TensorProto.FLOAT)
    widths = graph.add("Cast", widths, to=TensorProto.FLOAT)

    def add_mean(values):
        # Of each column first, because sums of a few numbers lose less to rounding.
        values = graph.add("ReduceMean", values, axes=[1, 2])  # (N, 1, 1, W)
        values = graph.add("Mul", values, mask)
        return graph.add("Div", graph.add("ReduceSum", values, last), widths)

    x = graph.add("Mul", graph.add("Sub", x, add_mean(x)), mask)
    deviation = graph.add("Sqrt", add_mean(graph.add("Mul", x, x)))  # (N, 1, 1, 1)
    deviation = graph.add("Add", deviation, graph.add_array(np.float32(1)))
    return graph.add("Div", x, deviation), mask


def _add_block(graph, block, x, mask):
    """Add a `ConvBlock`; return its result and the mask of its columns."""
    if block.residual:
        added = _add_convolution(graph, block.conv, x)
        added = _add_normalization(graph, block.norm, added, mask)
        return graph.add("Add", x, added), mask
    stride = list(block.stride)
    x = _add_convolution(graph, block.conv, x)
    if block.pooling:
        x = graph.add("MaxPool", x, kernel_shape=stride, strides=stride, ceil_mode=1)
    if stride[1] > 1:  # mask[..., :: stride[1]]
        start, stop, axis, step = 0, np.iinfo(np.int64).max, 3, stride[1]
        arrays = [graph.add_array(np.array([n])) for n in (start, stop, axis, step)]
        mask = graph.add("Slice", mask, *arrays)
    return _add_normalization(graph, block.norm, x, mask), mask


def _add_convolution(graph, conv, x):
    return graph.add(
        "Conv",
        x,
        graph.add_array(_read(conv.weight)),
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        strides=list(conv.stride),
    )


def _add_normalization(graph, norm, x, mask):
    """Add a `MaskedBatchNorm2d`, whose result is zero in padding."""
    statistics = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    arrays = [graph.add_array(_read(values)) for values in statistics]
    x = graph.add("BatchNormalization", x, *arrays, epsilon=norm.eps)
    return graph.add("Mul", graph.add("Relu", x), mask)


def _add_lstm(graph, lstm, x, lengths):
    """Add a `BidirectionalLSTM` over `x` of shape (T, N, C)."""
    directions = (lstm.ahead, lstm.back)
    weights = [_reorder(_read(d.weight_ih_l0)) for d in directions]
    recurrent = [_reorder(_read(d.weight_hh_l0)) for d in directions]
    biases = [
        np.concatenate([_reorder(_read(d.bias_ih_l0)), _reorder(_read(d.bias_hh_l0))])
        for d in directions
    ]
    arrays = [graph.add_array(np.stack(a)) for a in (weights, recurrent, biases)]
    states = graph.add(
        "LSTM",
        x,
        *arrays,
        lengths,
        direction="bidirectional",
        hidden_size=lstm.ahead.hidden_size,
    )  # (T, 2, N, units)
    states = graph.add("Transpose", states, perm=[0, 2, 1, 3])  # (T, N, 2, units)
    shape = graph.add_array(np.array([0, 0, -1]))
    return graph.add("Reshape", states, shape)


def _reorder(gates):
    """Put PyTorch's gates (input, forget, cell, output) in ONNX's order."""
    ingoing, forget, cell, outgoing = np.split(gates, 4)
    return np.concatenate([ingoing, outgoing, forget, cell])
