"""A model, labeled images and the command line itself."""

import warnings

import joblib
import pytest
from PIL import Image

from skcaptcha.cli import main


@pytest.fixture(scope="session")
def model(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.joblib"
    joblib.dump(fitted, path)
    return str(path)


@pytest.fixture
def labeled(captchas, tmp_path):
    """Folder of 40 images with a table of their texts."""
    images, texts = captchas
    folder = tmp_path / "labeled"
    folder.mkdir()
    rows = ["filename,text"]
    for i in range(160, 200):
        Image.fromarray(images[i]).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{texts[i]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def run(capsys):
    """Function that runs the command line; returns exit code, output and notes."""

    def run(*arguments):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The network has not learned to read")
            code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
