"""What a network outside of its recognizer has to carry: characters and input size."""

import hashlib
import json
from dataclasses import dataclass

from PIL import ImageColor

from skcaptcha._auto import MAX_STRETCH
from skcaptcha.images._prepare import MAX_WIDTH, MIN_WIDTH
from skcaptcha.model.network import TIME_STRIDE
from skcaptcha.vocabulary import BLANK, Vocabulary

__all__ = [
    "METADATA_KEY",
    "Recipe",
    "is_sealed",
    "pack_recipe",
    "seal",
    "unpack_recipe",
]

METADATA_KEY = "skcaptcha"
"""Name under which the recipe stands in the metadata of an ONNX model."""

# What is the same in each recipe of this version, whoever reads one may rely on it.
_FIXED = {
    "format_version": 2,
    "blank": BLANK,
    "min_width": MIN_WIDTH,
    "max_width": MAX_WIDTH,
    "width_multiple": TIME_STRIDE,
    "resampling": "bilinear",
    "normalization": "graph",
}
_SEAL_KEY = b"skcaptcha_sha256"
_SEAL_SIZE = 86


@dataclass(frozen=True)
class Recipe:
    """How images are brought to the network, and what its classes mean."""

    vocabulary: Vocabulary
    height: int
    stretch: float
    rows: tuple
    color_mode: str
    background: tuple

    @property
    def n_channels(self):
        """Channels of the images that the network takes."""
        return 3 if self.color_mode == "rgb" else 1


def pack_recipe(recipe):
    """Return a recipe as JSON in ASCII."""
    background = recipe.background
    if isinstance(background, str):
        background = ImageColor.getrgb(background)
    return json.dumps(
        {
            **_FIXED,
            "vocabulary": list(recipe.vocabulary),
            "image_height": int(recipe.height),
            "width_stretch": float(recipe.stretch),
            "text_rows": [float(share) for share in recipe.rows],
            "color_mode": recipe.color_mode,
            "background": [int(level) for level in background],
        }
    )


def unpack_recipe(text):
    """Return the recipe that `pack_recipe` wrote.

    Parameters
    ----------
    text : str
        The JSON, which may come from anybody.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        If it is no recipe, or not one of this version; the message names the key.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    for key, value in _FIXED.items():
        if not _is_same(values.get(key), value):
            raise ValueError(f"{key}={_show(values.get(key))} is not {value!r}")
    for key, (is_sound, needed) in _VARIABLE.items():
        if not is_sound(values.get(key)):
            raise ValueError(f"{key}={_show(values.get(key))} is not {needed}")
    characters = tuple(values["vocabulary"])
    vocabulary = Vocabulary(characters)
    if vocabulary.characters != characters:
        raise ValueError("vocabulary is not in Unicode's normal form NFC")
    return Recipe(
        vocabulary=vocabulary,
        height=values["image_height"],
        stretch=float(values["width_stretch"]),
        rows=tuple(values["text_rows"]),
        color_mode=values["color_mode"],
        background=tuple(values["background"]),
    )


def _is_same(value, expected):
    return type(value) is type(expected) and value == expected  # True is no 1


def _is_int(value, low, high):
    return type(value) is int and low <= value <= high


# For each key a test of its value, and what the error says is needed.
_VARIABLE = {
    "vocabulary": (
        lambda v: isinstance(v, list) and v and all(isinstance(c, str) for c in v),
        "a list of characters",
    ),
    "image_height": (lambda v: _is_int(v, 8, 512), "an integer from 8 to 512"),
    "width_stretch": (
        lambda v: type(v) in (int, float) and 1 <= v <= MAX_STRETCH,
        f"a number from 1 to {MAX_STRETCH}",
    ),
    "text_rows": (
        lambda v: (
            isinstance(v, list)
            and [type(share) for share in v] == [float, float]
            and 0 <= v[0] < v[1] <= 1
        ),
        "a list of two numbers from 0.0 to 1.0, of which the second is greater",
    ),
    "color_mode": (
        lambda v: isinstance(v, str) and v in ("grayscale", "rgb"),
        "'grayscale' or 'rgb'",
    ),
    "background": (
        lambda v: (
            isinstance(v, list) and len(v) == 3 and all(_is_int(c, 0, 255) for c in v)
        ),
        "a list of three integers from 0 to 255",
    ),
}


def _show(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def seal(content):
    """Return the bytes to append to an ONNX file, by which damage is noticed.

    Parameters
    ----------
    content : bytes
        A serialized ONNX model.

    Returns
    -------
    bytes
        One more entry of the model's metadata: the SHA-256 of `content`. What is
        appended to a message of Protocol Buffers counts as part of it, so the file
        stays an ONNX file to everybody else.

    References
    ----------
    Protocol Buffers, "Encoding", section "Last One Wins".
    """
    digest = hashlib.sha256(content).hexdigest().encode()
    entry = _encode_field(1, _SEAL_KEY) + _encode_field(2, digest)
    return _encode_field(14, entry)  # 14 is metadata_props of ModelProto


def is_sealed(content):
    """Tell whether a file ends with the seal of all that stands before it."""
    return content[-_SEAL_SIZE:] == seal(content[:-_SEAL_SIZE])


def _encode_field(number, content):
    """Encode bytes, fewer than 128, as a field of a Protocol Buffers message."""
    return bytes([number << 3 | 2, len(content)]) + content
