"""Weights of fewer bits: smaller files that read the same."""

import warnings

import numpy as np
import onnx
import pytest
import torch

from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.export._precision import _quantize


@pytest.fixture(scope="module", params=["float16", "int8"])
def small(request, fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / f"{request.param}.onnx"
    export_onnx(fitted, path, dtype=request.param)
    return request.param, path


def count_bytes(path):
    """Return the size of the weights of a file, without what names and graph take."""
    model = onnx.load(path)
    return sum(
        onnx.numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer
    )


def test_fewer_bits_read_the_same(fitted, small, captchas):
    dtype, path = small
    reader = load_onnx(path)
    assert reader.metadata.dtype == dtype
    assert list(reader.predict(captchas[0])) == list(fitted.predict(captchas[0]))
    np.testing.assert_allclose(
        reader.predict_confidence(captchas[0]),
        fitted.predict_confidence(captchas[0]),
        atol={"float16": 0.01, "int8": 0.1}[dtype],
    )


def test_the_weights_are_smaller(exported, small):
    dtype, path = small
    share = count_bytes(path) / count_bytes(exported)
    assert share < {"float16": 0.51, "int8": 0.3}[dtype]


def test_no_runtime_needs_other_operators(exported, small):
    usual, found = onnx.load(exported), onnx.load(small[1])
    assert {node.op_type for node in found.graph.node} == {
        node.op_type for node in usual.graph.node
    }
    assert all(not node.domain for node in found.graph.node)
    assert found.opset_import == usual.opset_import
    onnx.checker.check_model(found, full_check=True)


def test_integers_are_at_most_half_a_step_off():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(3, 4, 2)).astype(np.float32)
    array[1] = 0  # a channel of zeros has no scale
    values, scale = _quantize(array, (1, 2))
    assert (values.dtype, scale.shape) == (np.int8, (3, 1, 1))
    assert np.abs(values).max(axis=(1, 2)).tolist() == [127, 0, 127]
    assert (np.abs(values * scale - array) <= scale / 2 + 1e-7).all()


def test_a_weight_beyond_half_precision_stays_finite(quick, tmp_path, captchas):
    recognizer = quick()
    with torch.no_grad():
        recognizer.network_.head.weight[0, 0] = 1e9
    export_onnx(recognizer, tmp_path / "half.onnx", dtype="float16")
    found = load_onnx(tmp_path / "half.onnx").frame_log_proba(captchas[0][:1])
    assert np.isfinite(found[0]).all()


def test_what_is_read_does_not_depend_on_the_other_images(small, captchas, uneven):
    reader = load_onnx(small[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = [*captchas[0][:5], *uneven[0]]
        together = reader.frame_log_proba(images)
        alone = [reader.frame_log_proba([image])[0] for image in images]
    for here, there in zip(together, alone, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.mark.parametrize("dtype", ["int4", None, np.float32])
def test_an_unknown_type_is_refused(fitted, tmp_path, dtype):
    with pytest.raises(ValueError, match="dtype=.* one of float32, float16, int8"):
        export_onnx(fitted, tmp_path / "model.onnx", dtype=dtype)
    assert not list(tmp_path.iterdir())


def test_metadata_say_the_type_and_nothing_of_the_tool(small):
    model = onnx.load(small[1])
    assert [p.key for p in model.metadata_props] == ["skcaptcha", "skcaptcha_sha256"]
    assert model.producer_name == "skcaptcha"
