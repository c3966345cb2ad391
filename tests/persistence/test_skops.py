"""persistence.dump and load: files that run nothing."""

import copy
import io
import json
import os
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sklearn
import skops.io
from sklearn.base import clone

from skcaptcha import CaptchaRecognizer, persistence


def test_a_dump_reads_the_same(fitted, captchas, tmp_path):
    path = tmp_path / "model.skops"
    persistence.dump(fitted, path)
    loaded = persistence.load(path)
    images = captchas[0][160:]
    assert loaded.predict(images).tolist() == fitted.predict(images).tolist()
    assert list(tmp_path.iterdir()) == [path]


def test_metadata_requests_are_left_out_and_said(fitted, tmp_path):
    path = tmp_path / "model.skops"
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = copy.copy(fitted).set_fit_request(sample_weight=True)
        with pytest.warns(UserWarning, match="set_fit_request.sample_weight=True"):
            persistence.dump(weighted, path)
        assert weighted.get_metadata_routing().fit.requests == {"sample_weight": True}
    assert persistence.load(path).vocabulary_ == fitted.vocabulary_


class Unknown:
    """A type that nobody trusts."""


def test_other_objects_are_refused(fitted, tmp_path):
    path = tmp_path / "model.skops"
    with pytest.raises(TypeError, match=r"recognizer=\[\] must be a Captcha"):
        persistence.dump([], path)
    with pytest.raises(FileNotFoundError):
        persistence.load(path)
    skops.io.dump([1, 2], path)
    with pytest.raises(ValueError, match="holds a list, not a CaptchaRecognizer"):
        persistence.load(path)
    skops.io.dump(clone(fitted).set_params(random_state=Unknown), path)
    with pytest.raises(ValueError, match="holds .*Unknown, which this function does"):
        persistence.load(path)


class Subclass(CaptchaRecognizer):
    """A recognizer of somebody else."""


def test_a_dump_refuses_callbacks(fitted, tmp_path, callbacks):
    bar = callbacks.ProgressBar()
    with pytest.raises(ValueError, match="not saved, .*ProgressBar.*set_callbacks"):
        persistence.dump(clone(fitted).set_callbacks(bar), tmp_path / "model.skops")
    assert list(tmp_path.iterdir()) == []


def test_a_dump_refuses_what_load_would(fitted, tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(b"the one before")
    with pytest.raises(TypeError, match=r"recognizer=Subclass\(\) must be a Captcha"):
        persistence.dump(Subclass(), path)
    odd = clone(fitted).set_params(vocabulary=frozenset, device=Unknown())
    with pytest.raises(ValueError, match="not saved, as .*Unknown, which"):
        persistence.dump(odd, path)
    with pytest.raises(ValueError, match="not saved, .*weights are not all finite"):
        persistence.dump(spoil(fitted), path)
    assert path.read_bytes() == b"the one before"
    for callbacks in [()]:
        persistence.dump(clone(fitted).set_callbacks(*callbacks), path)
    assert isinstance(persistence.load(path), CaptchaRecognizer)


def spoil(recognizer):
    state = recognizer.__getstate__()
    copy = CaptchaRecognizer.__new__(CaptchaRecognizer)
    copy.__setstate__(state)
    copy.network_.head.bias.data[0] = np.nan
    return copy


def test_a_path_becomes_a_str(fitted, captchas, tmp_path):
    recognizer = spoil(fitted)
    recognizer.network_.load_state_dict(fitted.network_.state_dict())
    recognizer.checkpoint = Path("fit.ckpt")
    persistence.dump(recognizer, tmp_path / "model.skops")
    assert recognizer.checkpoint == Path("fit.ckpt")
    loaded = persistence.load(tmp_path / "model.skops")
    assert loaded.checkpoint == "fit.ckpt"
    images = captchas[0][:5]
    assert loaded.predict(images).tolist() == fitted.predict(images).tolist()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in [tmp_path / "pipe", tmp_path, os.devnull]:
        with pytest.raises(ValueError, match="is no regular file"):
            persistence.load(path)


def make_array(shape, n_bytes, dtype="<f4"):
    """Return a file of an array that states a shape and has some zeros."""
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(n_bytes)


def zip_many(folder):
    """Return an archive of zeros, as scipy saves sparse arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", make_array((2**24,), 2**26))
    return file.getvalue()


def repeat(schema, name):
    """Name one file ten thousand times."""
    node = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode"}
    many = [{**node, "type": "numpy", "file": name, "__id__": i} for i in range(10_000)]
    loss = schema["content"]["content"]["loss_curve_"]
    loss["content"] = many


@pytest.mark.parametrize(
    ("first", "change", "reason"),
    [
        (make_array((2**25,), 2**27), None, "it unpacks to more than"),
        (make_array((2**40,), 64), None, "has another size than its shape"),
        (make_array((2**40, 0, 2**40), 64), None, "has another size than its shape"),
        (make_array((-4, -4), 64), None, "is no plain array"),
        (make_array((8,), 64, "|O"), None, "is no plain array"),
        (zip_many, None, "the magic string is not correct"),
        (b"", None, "EOF: reading magic string"),
        (make_array((2**14,), 2**16), repeat, "its arrays have more than"),
    ],
)
def test_what_unpacks_to_more_than_it_says_is_refused_unread(
    fitted, tmp_path, first, change, reason
):
    path = tmp_path / "model.skops"
    persistence.dump(fitted, path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    name = next(entry for entry in entries if entry.endswith(".npy"))
    entries[name] = first(tmp_path) if callable(first) else first
    if change is not None:
        schema = json.loads(entries["schema.json"])
        change(schema, name)
        entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"model.skops' is damaged .*{reason}"):
        persistence.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "builtins.eval"])
@pytest.mark.parametrize("loader", ["ObjectNode", "FunctionNode", "TypeNode"])
def test_nothing_runs_that_a_file_names(fitted, tmp_path, loader, name):
    path = tmp_path / "model.skops"
    persistence.dump(fitted, path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    node = schema["content"]["content"]["vocabulary_"]
    assert node["__class__"] == "Vocabulary"
    node["__module__"], _, node["__class__"] = name.rpartition(".")
    node["__loader__"] = loader
    entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    with pytest.raises(ValueError, match=f"model.skops' holds .*{name}, which this"):
        persistence.load(path)


def test_a_damaged_file_gives_an_error_or_the_same_answers(quick, captchas, tmp_path):
    recognizer = quick()
    path = tmp_path / "model.skops"
    persistence.dump(recognizer, path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    images = captchas[0][:4]
    expected = [f.tobytes() for f in recognizer.frame_log_proba(images)]
    refused = 0
    for position in rng.integers(len(data), size=200):
        flipped = bytearray(data)
        flipped[position] ^= int(rng.integers(1, 256))
        path.write_bytes(flipped)
        try:
            loaded = persistence.load(path)
            found = [f.tobytes() for f in loaded.frame_log_proba(images)]
            assert found == expected
        except (ValueError, OSError) as error:
            assert "model.skops" in str(error)
            refused += 1
    assert refused > 100


def test_a_missing_package_is_named(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    remedy = r'needs skops, .*: pip install "skcaptcha\[skops\]"'
    with pytest.raises(ImportError, match=rf"persistence\.dump {remedy}"):
        persistence.dump(fitted, tmp_path / "model.skops")
    with pytest.raises(ImportError, match=rf"persistence\.load {remedy}"):
        persistence.load(tmp_path / "model.skops")
