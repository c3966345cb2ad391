"""Ctrl-C ends what the user called; a fit that the user called keeps its weights."""

import os
import signal
import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from support.training import before_updates

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha.inspection import find_label_issues

FORM = {"conv_channels": (8, 16), "lstm_layers": 0, "image_height": 16}
RECOGNIZER = CaptchaRecognizer(**FORM, max_iter=2, batch_size=4, random_state=0)


class Wrapper(BaseEstimator):
    """An estimator around another one, as other packages have them."""

    def fit(self, X, y):
        pipeline = make_pipeline(RECOGNIZER)
        self.best_ = pipeline.fit(X, y)
        return self


def fit_in_transformer(X):
    clone(RECOGNIZER).fit(X, ["0123"] * len(X))
    return X


SEARCH = GridSearchCV(RECOGNIZER, {"dropout": [0.0, 0.1, 0.2]}, cv=2, refit=False)
REFIT = GridSearchCV(RECOGNIZER, {"dropout": [0.1]}, cv=[([0, 1, 2, 3], [4])])
WHOLES = {
    "a search": SEARCH.fit,
    "its last fit": REFIT.fit,
    "a pipeline": make_pipeline(RECOGNIZER).fit,
    "a search of pipelines": GridSearchCV(
        make_pipeline(RECOGNIZER), {"captcharecognizer__dropout": [0.0, 0.1]}, cv=2
    ).fit,
    "scores": lambda X, y: cross_val_score(RECOGNIZER, X, y, cv=2),
    "a curve": lambda X, y: learning_curve(RECOGNIZER, X, y, cv=2),
    "an ensemble": CaptchaEnsemble(RECOGNIZER, cv=2).fit,
    "joblib": lambda X, y: joblib.Parallel(n_jobs=1)(
        joblib.delayed(clone(RECOGNIZER).fit)(X, y) for _ in range(2)
    ),
    "labels": lambda X, y: find_label_issues(clone(RECOGNIZER), X, y, cv=2),
    "a transformer": lambda X, y: FunctionTransformer(fit_in_transformer).transform(X),
    "another estimator": Wrapper().fit,
    "a part": clone(RECOGNIZER).partial_fit,
}


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
@pytest.mark.parametrize("name", WHOLES)
def test_an_interrupt_ends_the_whole(some, monkeypatch, name):
    update = 5 if name == "its last fit" else 2
    updates = []

    def interrupt(number):
        updates.append(number)
        if len(updates) == update:
            raise KeyboardInterrupt

    before_updates(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        WHOLES[name](*some)
    assert len(updates) == update


@pytest.mark.parametrize("way", ["fit", "a function", "a callback's", "warm start"])
def test_a_fit_that_the_user_called_keeps_its_weights(some, monkeypatch, way):
    recognizer = clone(RECOGNIZER)
    if way == "a callback's":
        callback = pytest.importorskip("sklearn.callback")
        recognizer.set_callbacks(callback.ProgressBar())

    def interrupt(number):
        if number == 7:
            raise KeyboardInterrupt

    before_updates(monkeypatch, interrupt)

    def call():
        return recognizer.fit(*some)

    with pytest.warns(UserWarning, match="interrupted in epoch 2; the best weights"):
        found = call() if way == "a function" else recognizer.fit(*some)
    assert found is recognizer
    assert recognizer.n_iter_ == 1
    assert np.isfinite(recognizer.frame_log_proba(some[0])[0]).all()


SCRIPT = """
import signal, sys
from sklearn.model_selection import GridSearchCV
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.training.step import Trainer

images, texts = make_captchas(16, vocabulary="01", length=2, size=(16, 40))
step = Trainer.train_step

def train_step(trainer, *args):
    print("update", flush=True)
    return step(trainer, *args)

Trainer.train_step = train_step
recognizer = CaptchaRecognizer(max_iter=300, batch_size=4)
if sys.argv[1] == "search":
    recognizer = GridSearchCV(recognizer, {"dropout": [0.0, 0.1]}, cv=2, n_jobs=1)
recognizer.fit(images, texts)
print("ended")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("what", ["search", "fit"])
def test_a_signal_ends_a_search_and_a_fit(what):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for _ in range(6):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    if what == "search":
        assert process.returncode in (-signal.SIGINT, 130)
        assert "KeyboardInterrupt" in err
        assert "ended" not in out
    else:
        assert process.returncode == 0
        assert "Training was interrupted" in err
        assert out.endswith("ended\n")
