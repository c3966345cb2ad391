"""The metadata and the checksum of an exported file."""

import dataclasses
import json

import pytest

from skcaptcha.export._metadata import (
    CHECKSUM_SIZE,
    ModelMetadata,
    append_checksum,
    has_valid_checksum,
    pack_metadata,
    unpack_metadata,
)
from skcaptcha.export._reader import load_metadata
from skcaptcha.images._likeness import MEASURES
from skcaptcha.vocabulary import Vocabulary

# As docs/deployment.rst has them.
DOCUMENTED = {
    "format_version": 2,
    "blank": 0,
    "min_width": 16,
    "max_width": 2**15,
    "width_multiple": 4,
    "resampling": "bilinear",
    "normalization": "graph",
    "vocabulary": ["3", "x\u0323\u0301", "\ud55c"],
    "image_height": 24,
    "width_stretch": 1.5,
    "text_rows": [0.25, 0.75],
    "color_mode": "rgb",
    "background": [0, 0, 128],
    "has_empty_labels": False,
    "multi_scale": True,
    "training_images": {"n_images": 30, **{name: [1.0, 2.0] for name in MEASURES}},
    "dtype": "float32",
    "min_confidence": {"0.9": 0.5, "0.99": 0.75},
}


def test_the_metadata_are_the_documented_ones_and_come_back():
    size = {"height": 24, "stretch": 1.5, "rows": (0.25, 0.75), "color_mode": "rgb"}
    characters = DOCUMENTED["vocabulary"]
    metadata = ModelMetadata(
        Vocabulary(characters),
        size,
        (0, 0, 128),
        has_empty_labels=False,
        multi_scale=True,
        training_images=DOCUMENTED["training_images"],
        min_confidence=DOCUMENTED["min_confidence"],
    )
    text = pack_metadata(dataclasses.replace(metadata, background="navy"))
    assert text.isascii()
    assert json.loads(text) == DOCUMENTED
    found = unpack_metadata(text)
    assert found == metadata
    assert found.vocabulary.characters == tuple(characters)
    assert found.n_channels == 3


@pytest.mark.parametrize(
    "key, values",
    {
        "format_version": [True, None, 1],
        "vocabulary": [
            None,
            [],
            "0123",
            ["0", 1],
            ["0", "0"],
            ["0", "12"],
            ["a\u0308"],
        ],
        "blank": [4, False],
        "image_height": [16.0, 0, 10**9, True],
        "width_stretch": [float("nan"), float("inf"), 0.1, 1e6, "1"],
        "text_rows": [
            None,
            [0.0],
            [0, 1],
            [0.5, 0.5],
            [-0.1, 1.0],
            [0.0, 1.1],
            [0.0, float("nan")],
        ],
        "color_mode": ["cmyk", ["rgb"]],
        "background": [[0, 0], [0, 0, 256], [0.0, 0, 0], "white", {"0": 0}],
        "min_width": [0],
        "max_width": [10**9],
        "width_multiple": [0],
        "resampling": ["nearest"],
        "normalization": [1],
    }.items(),
)
def test_a_wrong_value_is_named(key, values):
    name = "vocabulary|characters" if key == "vocabulary" else key
    for value in values:
        with pytest.raises(ValueError, match=name):
            unpack_metadata(json.dumps({**DOCUMENTED, key: value}))
    without = {k: v for k, v in DOCUMENTED.items() if k != key}
    with pytest.raises(ValueError, match=f"{key}=None is not"):
        unpack_metadata(json.dumps(without))


def test_older_metadata_know_no_empty_labels():
    older = {k: v for k, v in DOCUMENTED.items() if k != "has_empty_labels"}
    assert unpack_metadata(json.dumps(older)).has_empty_labels is False
    knows = {**DOCUMENTED, "has_empty_labels": True}
    assert unpack_metadata(json.dumps(knows)).has_empty_labels is True
    with pytest.raises(ValueError, match="has_empty_labels=1 is not true or false"):
        unpack_metadata(json.dumps({**DOCUMENTED, "has_empty_labels": 1}))


def test_thresholds_are_confidences_which_older_metadata_do_not_have():
    older = {k: v for k, v in DOCUMENTED.items() if k != "min_confidence"}
    assert unpack_metadata(json.dumps(older)).min_confidence == {}
    odd = (None, [0.9], {"much": 0.5}, {"0.9": "0.5"}, {"0.9": 2}, {"nan": 0.5})
    for wrong in (*odd, {"0.9": float("nan")}):
        with pytest.raises(ValueError, match="min_confidence=.* is not a confidence"):
            unpack_metadata(json.dumps({**DOCUMENTED, "min_confidence": wrong}))


def test_weights_have_a_known_type_which_older_metadata_do_not_say():
    older = {k: v for k, v in DOCUMENTED.items() if k != "dtype"}
    assert unpack_metadata(json.dumps(older)).dtype == "float32"
    for wrong in ("int4", None, ["int8"]):
        with pytest.raises(ValueError, match="dtype=.* is not one of float32, float16"):
            unpack_metadata(json.dumps({**DOCUMENTED, "dtype": wrong}))


@pytest.mark.parametrize(
    "change",
    [{"n_images": 0}, {"n_images": True}, {"row": [2.0, 1.0]}, {"row": [1]}]
    + [{"height": [0.0, 1.0]}, {"height": [1.0, float("inf")]}, {"other": [1.0, 2.0]}],
)
def test_training_images_are_ranges_or_not_known(change):
    seen = {**DOCUMENTED["training_images"], **change}
    with pytest.raises(ValueError, match="training_images=.* is not a range for each"):
        unpack_metadata(json.dumps({**DOCUMENTED, "training_images": seen}))
    older = {k: v for k, v in DOCUMENTED.items() if k != "training_images"}
    assert unpack_metadata(json.dumps(older)).training_images is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 100_000, "{}"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="not JSON|not a JSON|format_version=None is"):
        unpack_metadata(text)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x72\x03\x0a\x09a", b"\x0f"])
def test_metadata_of_what_is_no_model_are_refused_without_the_runtime(
    tmp_path, content
):
    path = tmp_path / "model.onnx"
    path.write_bytes(append_checksum(content))
    with pytest.raises(ValueError, match=r"model.onnx' (is damaged|has metadata that)"):
        load_metadata(path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="model.onnx' is not a complete file"):
        load_metadata(path)


def test_the_checksum_notices_every_changed_byte():
    content = append_checksum(b"some model")
    assert len(content) == len(b"some model") + CHECKSUM_SIZE
    assert has_valid_checksum(content)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        assert not has_valid_checksum(bytes(damaged))
        assert not has_valid_checksum(content[:position])
