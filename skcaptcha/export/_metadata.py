"""What a network needs outside its recognizer: characters, input size, checksum."""

import hashlib
import json
from dataclasses import dataclass, field

from PIL import ImageColor

from skcaptcha._auto import MAX_STRETCH, MIN_STRETCH
from skcaptcha.images._likeness import is_summary
from skcaptcha.images._prepare import MAX_WIDTH, MIN_WIDTH
from skcaptcha.model.geometry import TIME_STRIDE
from skcaptcha.vocabulary import BLANK, Vocabulary

METADATA_KEY = "skcaptcha"
"""Key of this package in the metadata of an ONNX model."""

CHECKSUM_SIZE = 86
"""Bytes that `append_checksum` appends."""

DTYPES = ("float32", "float16", "int8")
"""What the weights of a file may be."""

# These are the same in every file of this format version, and its readers rely on it.
_FIXED = {
    "format_version": 2,
    "blank": BLANK,
    "min_width": MIN_WIDTH,
    "max_width": MAX_WIDTH,
    "width_multiple": TIME_STRIDE,
    "resampling": "bilinear",
    "normalization": "graph",
}


@dataclass(frozen=True)
class ModelMetadata:
    """How images are prepared for the network, and what its classes mean."""

    vocabulary: Vocabulary
    input_size: dict  # of `prepare_image`
    background: tuple
    has_empty_labels: bool = False
    multi_scale: bool = False
    training_images: dict | None = None  # of `summarize`
    dtype: str = "float32"  # of the weights
    # For a share of right texts the confidence that gave it on images held out.
    min_confidence: dict = field(default_factory=dict)

    @property
    def n_channels(self):
        """Channels of the images that the network takes."""
        return 3 if self.input_size["color_mode"] == "rgb" else 1


def pack_metadata(metadata):
    """Return metadata as JSON in ASCII."""
    size, background = metadata.input_size, metadata.background
    if isinstance(background, str):
        background = ImageColor.getrgb(background)
    return json.dumps(
        {
            **_FIXED,
            "vocabulary": list(metadata.vocabulary),
            "image_height": int(size["height"]),
            "width_stretch": float(size["stretch"]),
            "text_rows": [float(share) for share in size["rows"]],
            "color_mode": size["color_mode"],
            "background": [int(level) for level in background],
            "has_empty_labels": bool(metadata.has_empty_labels),
            "multi_scale": bool(metadata.multi_scale),
            "training_images": metadata.training_images,
            "dtype": metadata.dtype,
            "min_confidence": metadata.min_confidence,
        }
    )


def unpack_metadata(text):
    """Return the `ModelMetadata` in a JSON text, which may come from anybody.

    Raises
    ------
    ValueError
        If it is not what `pack_metadata` of this version writes; the message names the
        key.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    for key, expected in _FIXED.items():
        value = values.get(key)
        if type(value) is not type(expected) or value != expected:  # True is not 1
            raise ValueError(f"{key}={_shorten(value)} is not {expected!r}")
    older = {"has_empty_labels": False, "multi_scale": False}
    older |= {"dtype": "float32", "min_confidence": {}}
    values = older | values
    for key, (is_valid, expected) in _VARIABLE.items():
        if not is_valid(values.get(key)):
            raise ValueError(f"{key}={_shorten(values.get(key))} is not {expected}")
    characters = tuple(values["vocabulary"])
    vocabulary = Vocabulary(characters)
    if vocabulary.characters != characters:
        raise ValueError("vocabulary is not in Unicode's normal form NFC")
    size = {
        "height": values["image_height"],
        "stretch": float(values["width_stretch"]),
        "rows": tuple(values["text_rows"]),
        "color_mode": values["color_mode"],
    }
    return ModelMetadata(
        vocabulary=vocabulary,
        input_size=size,
        background=tuple(values["background"]),
        has_empty_labels=values["has_empty_labels"],
        multi_scale=values["multi_scale"],
        training_images=values.get("training_images"),
        dtype=values["dtype"],
        min_confidence=values["min_confidence"],
    )


def _shorten(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _is_int(value, low, high):
    return type(value) is int and low <= value <= high


def _is_list(value, types, length=None):
    return (
        isinstance(value, list)
        and all(type(item) in types for item in value)
        and (len(value) == length if length else len(value) > 0)
    )


def _is_thresholds(value):
    """Tell whether a value has a confidence for each of some shares of right texts."""
    if not isinstance(value, dict) or len(value) > 100:
        return False
    try:
        shares = [float(name) for name in value]
    except ValueError:
        return False
    levels = [*shares, *value.values()]  # a confidence may be rounded to above 1
    return all(type(x) in (int, float) and 0 <= x < 1.01 for x in levels)


# For each key a test of its value, and the end of "... is not" in the error.
_VARIABLE = {
    "vocabulary": (lambda v: _is_list(v, [str]), "a list of characters"),
    "image_height": (lambda v: _is_int(v, 8, 512), "an integer from 8 to 512"),
    "width_stretch": (
        lambda v: type(v) in (int, float) and MIN_STRETCH <= v <= MAX_STRETCH,
        f"a number from {MIN_STRETCH} to {MAX_STRETCH}",
    ),
    "text_rows": (
        lambda v: _is_list(v, [float], 2) and 0 <= v[0] < v[1] <= 1,
        "a list of two rising numbers from 0.0 to 1.0",
    ),
    "color_mode": (
        lambda v: isinstance(v, str) and v in ("grayscale", "rgb"),
        "'grayscale' or 'rgb'",
    ),
    "background": (
        lambda v: _is_list(v, [int], 3) and all(_is_int(c, 0, 255) for c in v),
        "a list of three integers from 0 to 255",
    ),
    "has_empty_labels": (lambda v: type(v) is bool, "true or false"),
    "multi_scale": (lambda v: type(v) is bool, "true or false"),
    "dtype": (
        lambda v: isinstance(v, str) and v in DTYPES,
        f"one of {', '.join(DTYPES)}",
    ),
    "min_confidence": (
        _is_thresholds,
        "a confidence from 0 to 1 for each share of right texts",
    ),
    "training_images": (  # not in older files
        lambda v: v is None or is_summary(v),
        "a range for each measure, and n_images",
    ),
}


def append_checksum(content):
    """Return a serialized ONNX model with its SHA-256 as one more metadata entry.

    What is appended to a message of Protocol Buffers counts as part of it, so the file
    stays an ONNX file for every other reader.

    References
    ----------
    Protocol Buffers, "Encoding", section "Last One Wins".
    """
    digest = hashlib.sha256(content).hexdigest().encode()
    entry = _encode_field(1, b"skcaptcha_sha256") + _encode_field(2, digest)
    return content + _encode_field(14, entry)  # 14 is metadata_props of ModelProto


def has_valid_checksum(content):
    """Tell whether a file ends with the checksum of everything before it."""
    return append_checksum(content[:-CHECKSUM_SIZE]) == content


def _encode_field(number, content):
    """Encode fewer than 128 bytes as a field of a Protocol Buffers message."""
    return bytes([number << 3 | 2, len(content)]) + content
