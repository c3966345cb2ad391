"""Reading with ONNX Runtime: the same answers, and files that are refused."""

import copy
import json
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, load_labels_csv
from skcaptcha.export import OnnxRecognizer, export_onnx, load_onnx
from skcaptcha.export._metadata import append_checksum


def export_and_load(recognizer, folder):
    export_onnx(recognizer, folder / "model.onnx")
    return load_onnx(folder / "model.onnx")


def check_same_answers(recognizer, loaded, X, rtol=0):
    """Check that an exported recognizer reads as the one it was exported from does."""
    expected, found = recognizer.frame_log_proba(X), loaded.frame_log_proba(X)
    for here, there in zip(expected, found, strict=True):
        assert there.shape == here.shape
        np.testing.assert_allclose(there, here, rtol=rtol, atol=1e-4)
        np.testing.assert_allclose(np.exp(there), np.exp(here), rtol=0, atol=1e-4)
    assert list(loaded.predict(X)) == list(recognizer.predict(X))
    np.testing.assert_allclose(
        loaded.predict_confidence(X), recognizer.predict_confidence(X), atol=1e-4
    )


def color(images):
    """Give gray images a color each, some of them none."""
    tints = [(1, 0.5, 0), (0.2, 1, 0.7), (1, 1, 1)]
    return [
        (image[:, :, None] * np.array(tints[i % 3])).astype(np.uint8)
        for i, image in enumerate(images)
    ]


# The same answers


def test_a_fitted_recognizer_reads_the_same(fitted, exported, captchas):
    images, texts = captchas
    loaded = load_onnx(exported)
    check_same_answers(fitted, loaded, images[:100])
    assert loaded.score(images, texts) > 0.9
    assert loaded.vocabulary_ == fitted.vocabulary_


@pytest.mark.parametrize(
    "params",
    [
        # Starts from the weights of the package.
        {"conv_channels": (24, 48, 96, 128, 128), "lstm_units": 128},
        {"lstm_layers": 0},
        {"lstm_layers": 2},
        {"color_mode": "rgb", "background": "navy"},
        {"color_mode": "rgb", "lstm_layers": 0, "image_height": 21},
        {"conv_channels": (8, 8), "image_height": 19},
        {"pretrained": False, "image_height": 24, "max_iter": 3},
        {"vocabulary": "3102"},
    ],
    ids=str,
)
def test_networks_of_any_form_read_the_same(quick, uneven, tmp_path, params):
    X, y = uneven
    if params.get("color_mode") == "rgb":
        X = color(X)
    recognizer = quick(X, y, **params)
    loaded = export_and_load(recognizer, tmp_path)
    check_same_answers(recognizer, loaded, X)
    background = {"navy": (0, 0, 128), "white": (255, 255, 255)}
    assert loaded.metadata.background == background[recognizer.background]


def test_rows_that_are_cut_off_are_cut_off_the_same(quick, margins, tmp_path):
    recognizer = quick(*margins, image_height="auto")
    assert recognizer.text_rows_ != (0.0, 1.0)
    check_same_answers(recognizer, export_and_load(recognizer, tmp_path), margins[0])


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
def test_an_image_as_narrow_or_wide_as_can_be_reads_the_same(fitted, exported):
    rng = np.random.RandomState(0)
    X = [
        np.zeros((50, 1), dtype=np.uint8),
        np.full((16, 40), 255, dtype=np.uint8),
        rng.randint(0, 256, (16, 4000)).astype(np.uint8),
    ]
    check_same_answers(fitted, load_onnx(exported), X)


def test_a_recognizer_of_tables_reads_their_images(captchas, tmp_path, quick):
    images = captchas[0]
    table = np.stack(images).reshape(len(images), -1) / 255
    recognizer = quick(table[:20], captchas[1][:20], image_shape=(16, 48))
    loaded = export_and_load(recognizer, tmp_path)
    expected = recognizer.frame_log_proba(table[:5])
    for here, there in zip(expected, loaded.frame_log_proba(images[:5]), strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="X is a 2-D array.* pass images"):
        loaded.predict(table[:5])


def test_threads_may_share_an_exported_recognizer(exported, captchas):
    loaded = load_onnx(exported, n_jobs=1)
    expected = loaded.predict_confidence(captchas[0])
    parts = [captchas[0][k::4] for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(loaded.predict_confidence, parts))
    for k in range(4):
        np.testing.assert_allclose(found[k], expected[k::4], atol=1e-6)


def test_the_runtime_has_as_many_threads_as_pytorch(exported):
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            options = load_onnx(exported).session.get_session_options()
            assert options.intra_op_num_threads == n_threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["captcha_images_v2", "cs4243", "digits4"])
def test_real_images_read_the_same(data_dir, tmp_path, name):
    archive = data_dir / f"{name}.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is absent")
    if name == "captcha_images_v2":
        images, texts = load_image_folder(archive)
    elif name == "cs4243":
        images, texts = load_image_folder(archive, label=r"(.+)-\d+$", pattern="test/*")
    else:
        images, texts = load_labels_csv(archive)
    recognizer = CaptchaRecognizer(max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        recognizer.fit(images[:20], texts[:20])
    loaded = export_and_load(recognizer, tmp_path)
    # PyTorch's log-probabilities are themselves 1e-4 off those of 64 bits, where the
    # LSTM stands between two answers.
    check_same_answers(recognizer, loaded, images[20:60], rtol=1e-4)
    assert any(loaded.predict(images[20:30]))


# Files that cannot be loaded


def test_a_path_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="path='.*gone.onnx' is not a file"):
        load_onnx(tmp_path / "gone.onnx")
    with pytest.raises(FileNotFoundError, match="is not a file"):
        load_onnx(tmp_path)
    with pytest.raises(TypeError, match="path=b'x' must be a path"):
        load_onnx(b"x")


def test_a_missing_package_is_named(fitted, exported, captchas, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    X = captchas[0][:1]
    assert len(load_onnx(exported).predict(X)) == 1  # needs the runtime only
    remedy = r'not installed: pip install "skcaptcha\[onnx\]"'
    with pytest.raises(ImportError, match=f"export_onnx needs onnx, .*{remedy}"):
        export_onnx(fitted, tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=f"load_onnx needs onnxruntime, .*{remedy}"):
        load_onnx(exported)


def test_files_from_elsewhere_and_damaged_ones_are_refused(exported, tmp_path):
    content = exported.read_bytes()
    model = onnx.load(exported)
    del model.metadata_props[:]
    foreign = model.SerializeToString()
    damaged = "is not a complete file of export_onnx: its checksum is wrong or missing"
    path = tmp_path / "foreign.onnx"
    for wrong, message in [
        (foreign, f"{damaged}. It comes from elsewhere"),
        (b"", damaged),
        (content[:5000], damaged),
        (content[:-1], damaged),
        (append_checksum(foreign), "has metadata that .* it is not JSON"),
        (append_checksum(b"no model"), "cannot be run by onnxruntime"),
    ]:
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=message):
            load_onnx(path)


# Runs in a process of its own, as the runtime might crash.
DAMAGE = """
import sys
import warnings
import numpy as np
import torch
from skcaptcha.export._metadata import CHECKSUM_SIZE, append_checksum
from skcaptcha.export import load_onnx

warnings.simplefilter("ignore")  # the image is unlike the training images
torch.set_num_threads(1)
image = np.eye(16, 48) * 255
with open(sys.argv[1], "rb") as file:
    content = file.read()[:-CHECKSUM_SIZE]
rng = np.random.RandomState(0)
n_refused = 0
for _ in range(200):
    damaged = bytearray(content)
    place = rng.randint(len(content))
    if rng.rand() < 0.5:  # outside the weights, which are most of the file
        place = place % 2000 - 1000
    damaged[place] ^= 1 << rng.randint(8)
    with open(sys.argv[2], "wb") as file:
        file.write(append_checksum(bytes(damaged)))
    try:
        load_onnx(sys.argv[2]).predict_confidence([image])
    except ValueError:
        n_refused += 1
print(n_refused)
"""


@pytest.mark.slow
def test_flipped_bits_with_a_new_checksum_are_errors_and_no_crashes(exported, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, exported, tmp_path / "damaged.onnx"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Early versions of the runtime print something of their own as well. Nobody can
    # tell that a weight was changed, so some of these files are read.
    assert 50 < int(done.stdout.splitlines()[-1]) < 200


@pytest.mark.parametrize(
    "values, message",
    [
        ({"vocabulary": list("01234")}, "the outputs are .* not .*6"),
        ({"image_height": 32}, "the inputs are .*16, 'W'.* not .*32, 'W'"),
        ({"color_mode": "rgb"}, "the inputs are .* not "),
        ({"format_version": 1}, "format_version=1 is not 2. Export the recognizer aga"),
        ({}, None),
    ],
)
def test_a_model_that_does_not_fit_its_metadata_is_refused(
    exported, tmp_path, values, message
):
    model = onnx.load(exported)
    metadata, checksum = model.metadata_props
    metadata.value = json.dumps({**json.loads(metadata.value), **values})
    model.metadata_props.remove(checksum)
    path = tmp_path / "changed.onnx"
    path.write_bytes(append_checksum(model.SerializeToString()))
    if message is None:
        assert path.read_bytes() == exported.read_bytes()
        return
    with pytest.raises(ValueError, match=f"has metadata that .*{message}"):
        load_onnx(path)


# Copies


COPIES = {
    "pickle": lambda reader, _: pickle.loads(pickle.dumps(reader)),
    "copy": lambda reader, _: copy.copy(reader),
    "deepcopy": lambda reader, _: copy.deepcopy(reader),
    "joblib": lambda reader, folder: joblib.load(
        joblib.dump(reader, folder / "reader.joblib")[0]
    ),
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_reads_the_same(exported, captchas, tmp_path, way):
    reader = load_onnx(exported, n_jobs=2)
    found = COPIES[way](reader, tmp_path)
    assert found.session is not reader.session
    assert vars(found).keys() == vars(reader).keys()
    assert found.n_jobs == 2
    assert found.vocabulary_ == reader.vocabulary_
    images = captchas[0][:9]
    for here, there in zip(
        reader.frame_log_proba(images), found.frame_log_proba(images), strict=True
    ):
        assert np.array_equal(here, there)


@pytest.mark.slow
def test_other_processes_read_the_same(exported, captchas):
    reader, images = load_onnx(exported), captchas[0][:8]
    found = joblib.Parallel(n_jobs=2, backend="loky")(
        joblib.delayed(reader.predict)(images[i : i + 4]) for i in (0, 4)
    )
    assert np.concatenate(found).tolist() == reader.predict(images).tolist()


def test_what_was_not_loaded_from_a_file_says_so(exported):
    reader = load_onnx(exported)
    reader = OnnxRecognizer(reader.session, reader.metadata)
    with pytest.raises(TypeError, match="was not made by load_onnx"):
        pickle.dumps(reader)


def test_a_damaged_pickle_is_refused(exported):
    state = load_onnx(exported).__getstate__()
    last = state["_content"][-1]
    state["_content"] = state["_content"][:-1] + bytes([last ^ 1])
    reader = OnnxRecognizer.__new__(OnnxRecognizer)
    with pytest.raises(ValueError, match="The saved OnnxRecognizer is not a complete"):
        reader.__setstate__(state)


# Weights


def change_weight(exported, path, which, value, *, as_floats=False):
    """Export again with another number in one of the weights."""
    model = onnx.load(exported)
    weights = [w for w in model.graph.initializer if w.data_type == 1 and w.dims]
    array = numpy_helper.to_array(weights[which]).copy()
    array.flat[array.size // 2] = value
    changed = numpy_helper.from_array(array, weights[which].name)
    if as_floats:  # the other form that ONNX has for them
        changed.ClearField("raw_data")
        changed.float_data.extend(array.ravel().tolist())
    weights[which].CopyFrom(changed)
    save_with_checksum(model, path)
    return len(weights)


def save_with_checksum(model, path):
    kept = [p for p in model.metadata_props if p.key != "skcaptcha_sha256"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    path.write_bytes(append_checksum(model.SerializeToString()))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("as_floats", [False, True])
def test_weights_that_are_not_finite_are_refused(exported, tmp_path, as_floats, value):
    path, which, n_weights = tmp_path / "model.onnx", 0, 1
    while which < n_weights:  # those of convolutions, which hide NaN, among them
        options = {"as_floats": as_floats}
        n_weights = change_weight(exported, path, which, value, **options)
        with pytest.raises(ValueError, match="is damaged: its weights are not all fin"):
            load_onnx(path)
        which += 1
    assert n_weights > 10
    change_weight(exported, path, 0, 0.5, as_floats=as_floats)
    load_onnx(path)


def as_constant(model, node, weight):
    return [helper.make_node("Constant", [], [weight.name], value=weight)]


def as_number(model, node, weight):
    return [helper.make_node("Constant", [], ["x"], value_float=np.nan)]


def as_numbers(model, node, weight):
    return [helper.make_node("Constant", [], ["x"], value_floats=[1.0, np.inf])]


def as_attribute(model, node, weight):
    norm = next(n for n in model.graph.node if n.op_type == "BatchNormalization")
    norm.attribute[0].f = np.nan
    return []


def as_sparse_initializer(model, node, weight):
    values = numpy_helper.from_array(np.array([np.nan], np.float32), "sparse")
    places = numpy_helper.from_array(np.array([0]), "places")
    tensor = helper.make_sparse_tensor(values, places, [9])
    model.graph.sparse_initializer.append(tensor)
    return []


@pytest.mark.parametrize(
    "change, message",
    [
        (as_constant, "its graph is not one that export_onnx writes"),
        (as_number, "its weights are not all finite"),
        (as_numbers, "its weights are not all finite"),
        (as_attribute, "its weights are not all finite"),
        (as_sparse_initializer, "its graph is not one that export_onnx writes"),
    ],
)
def test_weights_are_looked_for_everywhere(exported, tmp_path, change, message):
    model, path = onnx.load(exported), tmp_path / "model.onnx"
    node = next(n for n in model.graph.node if n.op_type == "Conv")
    weight = next(w for w in model.graph.initializer if w.name == node.input[1])
    added = change(model, node, weight)
    if change is as_constant:
        model.graph.initializer.remove(weight)
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    save_with_checksum(model, path)
    with pytest.raises(ValueError, match=f"is damaged: {message}"):
        load_onnx(path)
