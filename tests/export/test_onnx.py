"""Exporting to ONNX: the file as other languages see it, and what stays as it was."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skcaptcha import CaptchaRecognizer
from skcaptcha.export import export_onnx
from skcaptcha.model.network import CRNN
from skcaptcha.preprocessing import ImageResizer


def run_graph(path, images, widths):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images, "widths": np.array(widths)})


@pytest.mark.parametrize("lstm_layers", [0, 2])
@pytest.mark.parametrize("padding", [0, 255, "noise"])
def test_neither_the_batch_nor_padding_changes_an_image(
    quick, uneven, tmp_path, lstm_layers, padding
):
    path = tmp_path / "model.onnx"
    export_onnx(quick(*uneven, lstm_layers=lstm_layers), path)
    rng = np.random.RandomState(0)
    widths = [64, 16, 40, 20]
    images = rng.randint(0, 256, (4, 1, 16, 72)).astype(np.uint8)
    for image, width in zip(images, widths, strict=True):
        if padding != "noise":
            image[:, :, width:] = padding
    log_probs, lengths = run_graph(path, images, widths)
    assert log_probs.shape == (4, 18, 5)
    assert lengths.tolist() == [16, 4, 10, 5]
    for i, width in enumerate(widths):
        alone, length = run_graph(path, images[i : i + 1, :, :, :width], [width])
        assert length.tolist() == [width // 4]
        np.testing.assert_allclose(
            log_probs[i, : lengths[i]], alone[0], rtol=0, atol=1e-5
        )
        np.testing.assert_allclose(np.exp(alone[0]).sum(axis=1), 1, atol=1e-5)


def test_the_file_is_the_documented_one(exported):
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert model.producer_name == "skcaptcha"
    session = onnxruntime.InferenceSession(exported)
    variables = session.get_inputs() + session.get_outputs()
    assert [(v.name, v.type, v.shape) for v in variables] == [
        ("images", "tensor(uint8)", ["N", 1, 16, "W"]),
        ("widths", "tensor(int64)", ["N"]),
        ("log_probs", "tensor(float)", ["N", "T", 5]),
        ("lengths", "tensor(int64)", ["N"]),
    ]


# What exporting leaves alone


def test_exporting_changes_nothing(quick, tmp_path, capfd):
    recognizer = quick()
    network = recognizer.network_.train()  # as in the middle of a fit
    network.freeze_convolutions(True)

    def look():
        return (
            [module.training for module in network.modules()],
            [(p.requires_grad, p.device, p.tolist()) for p in network.parameters()],
            dict(vars(recognizer)),
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
        )

    before = look()
    export_onnx(recognizer, tmp_path / "model.onnx")
    assert look() == before
    assert capfd.readouterr() == ("", "")
    network.eval()
    export_onnx(recognizer, str(tmp_path / "again.onnx"))
    first, second = sorted(tmp_path.iterdir())
    assert first.read_bytes() == second.read_bytes()


# Errors


def test_only_a_recognizer_is_exported(fitted, tmp_path):
    pipeline = make_pipeline(ImageResizer(), fitted)
    for thing in (None, "model", CaptchaRecognizer, CRNN, pipeline):
        with pytest.raises(
            TypeError, match=r"(?s)recognizer=.* is not a Captcha.*pipeline\[-1\]"
        ):
            export_onnx(thing, tmp_path / "model.onnx")
    export_onnx(pipeline[-1], tmp_path / "model.onnx")


def test_an_unfitted_recognizer_is_refused(fitted, tmp_path):
    with pytest.raises(NotFittedError, match="This CaptchaRecognizer instance is not"):
        export_onnx(clone(fitted), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_named(fitted, tmp_path):
    with pytest.raises(FileNotFoundError, match="folder '.*nowhere' does not exist"):
        export_onnx(fitted, tmp_path / "nowhere" / "model.onnx")
    with pytest.raises(IsADirectoryError, match="path='.*' is a folder; add the name"):
        export_onnx(fitted, tmp_path)
    with pytest.raises(TypeError, match="path=3 must be a path"):
        export_onnx(fitted, 3)
