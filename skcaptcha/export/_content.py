"""What is in an ONNX file, weights and metadata, found without the package onnx."""

import numpy as np

# Fields of ONNX's messages (onnx.proto3) and the types of their numbers.
_GRAPH, _NODE, _ATTRIBUTE = 7, 1, 5
_INITIALIZER, _DATA_TYPE, _FLOATS, _RAW = 5, 2, 4, 9
_FLOAT_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
_METADATA, _KEY, _VALUE = 14, 1, 2
# Where else weights may be: functions of a model, sparse initializers of a graph, and
# attributes of operators that are numbers, or tensors and graphs.
_FUNCTIONS, _SPARSE, _NUMBERS, _OTHERS = 25, 15, (2, 7), (5, 6, 10, 11, 22, 23)


def check_finite(content):
    """Raise a ValueError if a weight of an ONNX model is NaN or infinite.

    The runtime does not look: in a convolution it takes NaN for zero. A weight that is
    no initializer, as `build_graph` makes them, is refused whatever it is.
    """
    others = list(_list_fields(content, _FUNCTIONS))
    for _, graph in _list_fields(content, _GRAPH):
        others += _list_other_weights(graph)
        for _, tensor in _list_fields(graph, _INITIALIZER):
            fields = list(_list_fields(tensor, _DATA_TYPE, _FLOATS, _RAW))
            kind = _FLOAT_TYPES.get(dict(fields).get(_DATA_TYPE))
            for number, data in fields if kind else ():
                if number != _DATA_TYPE:
                    values = np.frombuffer(data, "<f4" if number == _FLOATS else kind)
                    if not np.isfinite(values).all():
                        raise ValueError("its weights are not all finite")
    if others:
        raise ValueError("its graph is not one that export_onnx writes")


def find_property(content, key):
    """Return a text of an ONNX model's metadata by its key, "" where there is none."""
    for _, entry in _list_fields(content, _METADATA):
        found = dict(_list_fields(entry, _KEY, _VALUE))
        if found.get(_KEY) == key.encode():
            return bytes(found.get(_VALUE, b"")).decode()
    return ""


def _list_other_weights(graph):
    """Return what of a graph may be weights, and is neither initializer nor number."""
    others = list(_list_fields(graph, _SPARSE))
    for _, node in _list_fields(graph, _NODE):
        for _, attribute in _list_fields(node, _ATTRIBUTE):
            others += _list_fields(attribute, *_OTHERS)
            for _, data in _list_fields(attribute, *_NUMBERS):
                if not np.isfinite(np.frombuffer(data, "<f4")).all():
                    raise ValueError("its weights are not all finite")
    return others


def _list_fields(message, *wanted):
    """Yield number and value of some fields of a Protocol Buffers message.

    References
    ----------
    Protocol Buffers, "Encoding".
    """
    message, position = memoryview(message), 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _read_varint(message, position)
        elif kind in (1, 2, 5):
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, position = _read_varint(message, position)
            value = message[position : position + size]
            position += size
        else:
            raise ValueError("its graph cannot be read")
        if number in wanted:
            yield number, value


def _read_varint(message, position):
    """Return an integer of seven bits a byte, and the position after it."""
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError("its graph cannot be read")
