"""The format without pickle: it runs nothing, and is whole or not there."""

import json
import zipfile

import numpy as np
import pytest
from sklearn.base import clone
from skops import io as skops_io

from skcaptcha import persistence


def test_the_safe_format_loads_what_it_dumped(fitted, captchas, tmp_path):
    path = tmp_path / "model.skops"
    persistence.dump(fitted, path)
    loaded = persistence.load(path)
    images = captchas[0][160:]
    assert loaded.predict(images).tolist() == fitted.predict(images).tolist()
    assert list(tmp_path.iterdir()) == [path]


def test_the_safe_format_refuses_what_it_does_not_know(fitted, tmp_path):
    path = tmp_path / "model.skops"
    with pytest.raises(TypeError, match=r"recognizer=\[\] must be a Captcha"):
        persistence.dump([], path)
    with pytest.raises(FileNotFoundError):
        persistence.load(path)
    skops_io.dump([1, 2], path)
    with pytest.raises(ValueError, match="holds a list and no CaptchaRecognizer"):
        persistence.load(path)
    skops_io.dump(clone(fitted).set_params(random_state=Path_), path)
    with pytest.raises(ValueError, match="holds .*Path_, which this function does"):
        persistence.load(path)


@pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "builtins.eval"])
@pytest.mark.parametrize("loader", ["ObjectNode", "FunctionNode", "TypeNode"])
def test_the_safe_format_runs_nothing_that_a_file_names(fitted, tmp_path, loader, name):
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


class Path_:
    """A type that nobody trusts."""


def test_a_dump_that_fails_leaves_the_old_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "model.skops"
    path.write_text("old")

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        persistence.dump(fitted, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_tampered_file_gives_an_error_or_the_same_answers(quick, captchas, tmp_path):
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
