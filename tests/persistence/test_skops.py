"""persistence.dump and load: files that run nothing."""

import json
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.base import clone

from skcaptcha import persistence


def test_a_dump_reads_the_same(fitted, captchas, tmp_path):
    path = tmp_path / "model.skops"
    persistence.dump(fitted, path)
    loaded = persistence.load(path)
    images = captchas[0][160:]
    assert loaded.predict(images).tolist() == fitted.predict(images).tolist()
    assert list(tmp_path.iterdir()) == [path]


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
