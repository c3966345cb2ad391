"""Images in a file with what must be read in them."""

import base64
import io
import json
import re
import warnings

import numpy as np
import onnx
import pytest
from PIL import Image

from skcaptcha.exceptions import ImageReadError
from skcaptcha.export import _onnx, export_onnx, load_onnx
from skcaptcha.export._metadata import append_checksum


@pytest.fixture
def tested(fitted, captchas, tmp_path):
    path = tmp_path / "tested.onnx"
    export_onnx(fitted, path, test_images=captchas[0][160:170])
    return path


def read_test(path):
    properties = {p.key: p.value for p in onnx.load(path).metadata_props}
    return json.loads(properties["skcaptcha_self_test"])


def change_test(path, **values):
    """Write the file anew with other values in its test."""
    model = onnx.load(path)
    kept = {p.key: p.value for p in model.metadata_props}
    del kept["skcaptcha_sha256"], model.metadata_props[:]
    test = {**json.loads(kept["skcaptcha_self_test"]), **values}
    kept["skcaptcha_self_test"] = json.dumps(test)
    onnx.helper.set_model_props(model, kept)
    path.write_bytes(append_checksum(model.SerializeToString()))


def test_a_file_keeps_images_and_what_is_read_in_them(tested, fitted, captchas):
    images, test = captchas[0][160:170], read_test(tested)
    for image, encoded in zip(images, test["images"], strict=True):
        content = base64.b64decode(encoded)
        assert content.startswith(b"\x89PNG")
        with Image.open(io.BytesIO(content)) as kept:
            assert np.array_equal(np.asarray(kept), image)
    assert test["texts"] == list(fitted.predict(images))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader = load_onnx(tested, self_test=True)
    assert list(reader.predict(images)) == test["texts"]


def test_images_of_any_form_and_kind_are_kept(quick, tmp_path):
    color = np.full((16, 40, 4), [255, 0, 0, 255], np.uint8)
    color[:, :20, 3] = 0  # what is transparent shows the background
    buffer = io.BytesIO()
    Image.fromarray(color).save(buffer, "PNG")
    gray = np.full((20, 30), 0.5)
    recognizer = quick(color_mode="rgb", background="navy")
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_onnx(recognizer, path, test_images=(buffer.getvalue(), gray))
    first, second = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(image))))
        for image in read_test(path)["images"]
    )
    assert first[0, 0].tolist() == [0, 0, 128] and first[0, -1].tolist() == [255, 0, 0]
    assert second.shape == (20, 30) and (second == 128).all()
    load_onnx(path, self_test=True)


def test_what_is_read_by_beam_search_is_not_what_the_file_has_to_read(
    fitted, captchas, tmp_path
):
    beam = fitted.__class__(**fitted.get_params())
    vars(beam).update({**vars(fitted), "decoder": "beam", "beam_width": 3})
    path = tmp_path / "model.onnx"
    export_onnx(beam, path, test_images=captchas[0][:10])
    assert beam.decoder == "beam"
    assert read_test(path)["texts"] == list(fitted.predict(captchas[0][:10]))


def test_another_reading_fails_the_test_and_is_named(tested):
    texts = read_test(tested)["texts"]
    read, wrong = texts[3], [*texts[:3], "x", *texts[4:]]
    change_test(tested, texts=wrong)
    load_onnx(tested)  # nobody has asked
    with pytest.raises(
        ValueError,
        match=f"tested.onnx' fails its test: 1 of its 10 test images are .* position 3"
        f": '{read}' in place of 'x'. onnxruntime .* another version of Pillow",
    ):
        load_onnx(tested, self_test=True)


def test_a_file_without_a_test_says_so(exported):
    with pytest.raises(ValueError, match="has no test images; export .* test_images"):
        load_onnx(exported, self_test=True)


@pytest.mark.parametrize(
    "values",
    [
        {"texts": None},
        {"texts": ["0"]},
        {"texts": [0] * 10},
        {"images": ["?"] * 10},
        {"images": 3},
        {"images": ["aGVsbG8="] * 10},
        {"images": [], "texts": []},
    ],
)
def test_a_damaged_test_is_refused(tested, values):
    change_test(tested, **values)
    load_onnx(tested)
    with pytest.raises(ValueError, match="tested.onnx' is damaged: "):
        load_onnx(tested, self_test=True)


@pytest.mark.parametrize("n_images", [0, 101])
def test_none_and_too_many_images_are_refused(fitted, captchas, tmp_path, n_images):
    images = [captchas[0][0]] * n_images
    with pytest.raises(ValueError, match=f"test_images has {n_images} images; pass fr"):
        export_onnx(fitted, tmp_path / "model.onnx", test_images=images)
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_read_is_named(fitted, captchas, tmp_path):
    with pytest.raises(ImageReadError, match=r"test_images\[1\]=<8 bytes> is no"):
        export_onnx(
            fitted, tmp_path / "m.onnx", test_images=[captchas[0][0], b"no image"]
        )


def test_a_file_that_would_fail_is_not_written(fitted, captchas, tmp_path, monkeypatch):
    monkeypatch.setattr(_onnx, "read_texts", lambda reader, images: ["9"] * len(images))
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="4 of its 4 test images .* or choose a dtype"):
        export_onnx(fitted, path, dtype="int8", test_images=captchas[0][:4])
    assert path.read_bytes() == b"before"


def test_the_command_line_writes_and_runs_the_test(
    fitted, png_folder, tmp_path, capsys, monkeypatch
):
    import joblib

    from skcaptcha.cli import main

    model, path = tmp_path / "model.joblib", tmp_path / "model.onnx"
    joblib.dump(fitted, model)
    images = [str(png_folder / f"{i}.png") for i in range(160, 163)]
    options = ["--dtype", "float16", "--test-images", *images]
    assert main(["export", str(model), "--onnx", str(path), *options]) == 0
    assert len(read_test(path)["texts"]) == 3
    capsys.readouterr()
    assert main(["info", str(path), "--self-test"]) == 0
    out, err = capsys.readouterr()
    assert "float16" in out and "read as they must be" in err
    change_test(path, texts=["0", "x", "x"])
    assert main(["info", str(path), "--self-test"]) == 2
    out, err = capsys.readouterr()
    assert not out and re.search(
        "skcaptcha: error: .*fails its test: [23] of its 3", err
    )
    assert main(["info", str(model), "--self-test"]) == 2
    assert "model.joblib' does not end in .onnx" in capsys.readouterr().err
