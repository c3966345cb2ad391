"""Files of skops without skops: what they may unpack to, and what they describe."""

import json
import math
import os
import zipfile

import numpy as np

# What the entries of a file of n bytes may hold in all: weights hardly compress, and
# the list of the attributes is small.
_MOST_TIMES, _MOST_MORE = 4, 2**24


def check_entries(archive, n_bytes):
    """Raise a ValueError if a file unpacks to more than its size makes plausible.

    Returns the description of the object in it.
    """
    limit = _MOST_TIMES * n_bytes + _MOST_MORE
    entries = archive.infolist()
    sizes = {entry.filename: entry.file_size for entry in entries}
    # zipfile reads no more of an entry than it states.
    if sum(entry.file_size for entry in entries) > limit:
        raise ValueError(f"it unpacks to more than {limit:,} bytes")
    schema = json.loads(archive.read("schema.json"))
    names = _list_files(schema)
    if sum(sizes[name] for name in names) > limit:  # skops reads them each time
        raise ValueError(f"its arrays have more than {limit:,} bytes")
    for name in set(names):
        with archive.open(name) as file:
            _check_array(file, name, sizes[name])
    return schema


def _list_files(schema):
    """Return the names of the files in the description of an object, as often as there.

    Only arrays have files of their own in what `dump` writes.
    """
    names, nodes = [], [schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if isinstance(node.get("file"), str):
                names.append(node["file"])
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
    return names


def _check_array(file, name, size):
    """Raise a ValueError unless a file is an array of as many bytes as it has."""
    shape, dtype = _read_header(file)
    if min(shape, default=0) < 0 or dtype.hasobject:
        raise ValueError(f"{name} is no plain array")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"{name} has another size than its shape {shape}")


def _read_header(file):
    """Return the shape and the dtype of an array in a file."""
    if np.lib.format.read_magic(file) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def read_description(path, classes):
    """Return the object that a file describes, its arrays with shapes and no values.

    `classes` has those of its objects by name. What else than plain values and arrays
    it has is an error.
    """
    with zipfile.ZipFile(path) as archive:
        return _build(check_entries(archive, os.path.getsize(path)), archive, classes)


def _build(node, archive, classes):
    kind, content = node["__loader__"], node.get("content")
    if kind == "JsonNode":
        return json.loads(content)
    if kind in ("ListNode", "TupleNode"):
        make = {"ListNode": list, "TupleNode": tuple}[kind]
        return make(_build(item, archive, classes) for item in content)
    if kind == "DictNode":
        if any(key["__class__"] != "str" for key in node["key_types"]["content"]):
            raise ValueError("a key is no str")
        return {key: _build(item, archive, classes) for key, item in content.items()}
    if kind == "NdArrayNode" and node["type"] == "numpy":
        with archive.open(node["file"]) as file:
            if node["__class__"] != "ndarray":
                return np.lib.format.read_array(file, allow_pickle=False)[()]
            shape, dtype = _read_header(file)
            return np.broadcast_to(np.zeros((), dtype), shape)
    if kind == "ObjectNode":
        found = classes[f"{node['__module__']}.{node['__class__']}"]
        made, state = found.__new__(found), _build(content, archive, classes)
        restore = getattr(made, "__setstate__", vars(made).update)
        restore(state)
        return made
    raise ValueError(f"a {kind} is no plain value")
