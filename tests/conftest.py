"""Data and fitted estimators that several tests share."""

import os
import signal
import warnings
from pathlib import Path

# Before SciPy is imported; it makes scikit-learn run its array API check as well.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest
import torch
from PIL import Image
from support.data import ROOT, TINY, make_easy

from skcaptcha import CaptchaRecognizer, _pseudo_labels, load_pretrained
from skcaptcha._sklearn_compat import HAS_CALLBACKS

# A shell lets what it starts in the background ignore Ctrl-C, which some tests press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread is enough for tiny networks, and sums come out the same in each fit.
torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter):
    """Say how many tests ran in a browser, which may be missing."""

    def count(outcome):
        found = terminalreporter.stats.get(outcome, [])
        return sum("test_browser.py" in getattr(one, "nodeid", "") for one in found)

    ran, skipped = count("passed") + count("failed"), count("skipped")
    if ran or skipped:
        why = ", as no Chromium with its chromedriver is installed" if skipped else ""
        terminalreporter.write_line(
            f"{ran} tests ran in a browser, {skipped} were skipped{why}"
        )


@pytest.fixture(scope="session")
def captchas():
    """200 easy images of the digits 0 to 3, and their texts."""
    return make_easy(200, "0123", seed=0)


@pytest.fixture(scope="session")
def some(captchas):
    """16 of `captchas`, and their texts."""
    return captchas[0][:16], captchas[1][:16]


@pytest.fixture(scope="session")
def margins(captchas):
    """40 of `captchas` with 16 empty rows above and 32 below, and their texts."""
    X, y = captchas
    rows = ((16, 32), (0, 0))
    X = [np.pad(x, rows, constant_values=int(np.median(x))) for x in X[:40]]
    return X, y[:40]


@pytest.fixture(scope="session")
def png_folder(captchas, tmp_path_factory):
    """Folder of `captchas` as files, from 0.png to 199.png."""
    folder = tmp_path_factory.mktemp("captchas")
    for i, image in enumerate(captchas[0]):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def fitted(captchas):
    """Recognizer that has learned to read `captchas`; not to be changed."""
    images, texts = captchas
    return CaptchaRecognizer(max_iter=35, **TINY).fit(images[:160], texts[:160])


@pytest.fixture
def quick(some):
    """Function that fits a recognizer of some parameters for a moment."""

    def fit(X=None, y=None, **params):
        X = some[0] if X is None else X
        y = some[1] if y is None else y
        recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1, **params})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The network has not learned to read")
            return recognizer.fit(X, y)

    return fit


@pytest.fixture(scope="module")
def pretrained_at_one_size():
    """Let self-training read at one size of twelve before it learns: it is quicker."""

    def load(X, *, n_sizes, vocabulary, **options):
        if n_sizes == 1:
            return load_pretrained(X, vocabulary=vocabulary, **options)
        reader = load_pretrained(**options)
        for network in reader.estimators_:
            network.scales_ = network.scales_[4:5]
        return reader

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pseudo_labels, "load_pretrained", load)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip a test that sets callbacks where scikit-learn has none."""
    try:
        return (yield)
    except ImportError as error:
        if HAS_CALLBACKS or "Callbacks need scikit-learn 1.9" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture
def callbacks():
    """scikit-learn's module of callbacks, which came with its version 1.9."""
    return pytest.importorskip("sklearn.callback")


@pytest.fixture
def close_figures(monkeypatch):
    """Close all figures before and after the test, in which none may be shown."""
    from matplotlib import pyplot

    def fail():
        raise AssertionError("the display must leave showing to the caller")

    monkeypatch.setattr(pyplot, "show", fail)
    pyplot.close("all")
    yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def data_dir():
    """Folder of the real data sets; tests that need it skip where it is absent."""
    default = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("SKCAPTCHA_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set SKCAPTCHA_DATA to its folder")
    return folder
