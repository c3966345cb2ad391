"""The weights in an ONNX file, found without the package onnx."""

import numpy as np

# Fields of ONNX's messages (onnx.proto3) and the types of their numbers.
_GRAPH, _INITIALIZER, _DATA_TYPE, _FLOATS, _RAW = 7, 5, 2, 4, 9
_FLOAT_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}


def check_finite(content):
    """Raise a ValueError if a weight of an ONNX model is NaN or infinite.

    The runtime does not look: in a convolution it takes NaN for zero.
    """
    for _, graph in _list_fields(content, _GRAPH):
        for _, tensor in _list_fields(graph, _INITIALIZER):
            fields = list(_list_fields(tensor, _DATA_TYPE, _FLOATS, _RAW))
            kind = _FLOAT_TYPES.get(dict(fields).get(_DATA_TYPE))
            for number, data in fields if kind else ():
                if number != _DATA_TYPE:
                    values = np.frombuffer(data, "<f4" if number == _FLOATS else kind)
                    if not np.isfinite(values).all():
                        raise ValueError("its weights are not all finite")


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
