"""The recognizer under scikit-learn's callbacks."""

import pickle
from unittest.mock import Mock

import joblib
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from support.data import TINY
from support.weights import changed_weights

from skcaptcha import CaptchaRecognizer
from skcaptcha.exceptions import LabelConversionWarning
from skcaptcha.metrics import SCORERS

callback = pytest.importorskip("sklearn.callback", reason="new in scikit-learn 1.9")
ProgressBar, ScoringMonitor = callback.ProgressBar, callback.ScoringMonitor

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")


class Recorder:
    """Keeps what the hooks are given; stops after the epoch `stop_after`."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.events, self.fitted = [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.events.append(f"begin {context.task_name}")
        self.X, self.y = X, y

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        self.fitted.append(fitted_estimator)
        return context.task_name == "epoch" and context.task_id == self.stop_after


@pytest.fixture
def small(captchas):
    images, texts = captchas
    return images[:48], texts[:48]


def test_epochs_are_tasks_of_the_fit(small):
    recorder = Recorder()
    CaptchaRecognizer(max_iter=2, **TINY).set_callbacks(recorder).fit(*small)
    assert recorder.events == [
        "setup",
        "begin fit",
        "begin epoch",
        "end epoch",
        "begin epoch",
        "end epoch",
        "end fit",
        "teardown",
    ]
    assert (recorder.X, recorder.y) == small


def test_hooks_get_an_estimator_that_reads_as_after_their_epoch(small):
    recorder = Recorder()
    recognizer = CaptchaRecognizer(max_iter=3, **TINY).set_callbacks(recorder)
    recognizer.fit(*small)
    epochs, final = recorder.fitted[:-1], recorder.fitted[-1]
    assert [len(one.loss_curve_) for one in epochs] == [1, 2, 3]
    assert [one.n_iter_ for one in epochs] == [1, 2, 3]
    first, second, third = (
        list(one.predict_confidence(small[0][:5])) for one in epochs
    )
    assert first != second != third  # what was handed out no longer changes
    expected = list(recognizer.predict_confidence(small[0][:5]))
    assert third == expected == list(final.predict_confidence(small[0][:5]))


def test_a_callback_stops_the_fit_and_the_best_weights_are_kept(small):
    recorder = Recorder(stop_after=4)
    params = {**TINY, "max_iter": 40, "early_stopping": True}
    recognizer = CaptchaRecognizer(**params).set_callbacks(recorder).fit(*small)
    assert recognizer.n_iter_ == len(recognizer.validation_scores_) == 5
    best = max(recognizer.validation_scores_)
    assert recognizer.best_validation_score_ == best
    scores = recognizer.validation_scores_
    last_best = len(scores) - 1 - scores[::-1].index(best)
    assert not changed_weights(recorder.fitted[last_best], recognizer)


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_was_stopped_does_not_warn(captchas):
    """However early: its user knows; what it says of itself is what it can do."""
    images, texts = captchas[0][:160], captchas[1][:160]
    early = CaptchaRecognizer(**TINY).set_callbacks(Recorder(stop_after=1))
    assert not early.fit(images, texts).converged_

    class StopWhenRead(Recorder):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            return fitted_estimator.score(images, texts) > 0.6

    late = CaptchaRecognizer(**TINY).set_callbacks(StopWhenRead())
    assert late.fit(images, texts).converged_


def test_stopped_without_validation_keeps_the_weights_of_the_least_loss(small):
    recorder = Recorder(stop_after=19)
    params = {**TINY, "max_iter": 40, "learning_rate_init": 0.02, "batch_size": 4}
    recognizer = CaptchaRecognizer(**params).set_callbacks(recorder).fit(*small)
    assert recognizer.n_iter_ == 20
    curves = [
        (one.loss_curve_[-1], list(one.predict_confidence(small[0][:5])))
        for one in recorder.fitted[:-1]
    ]
    read = list(recognizer.predict_confidence(small[0][:5]))
    ctc = curves[10:]  # the losses of the alignment are of another kind
    assert read in [confidences for _, confidences in ctc]
    assert read == min(ctc)[1]


def test_a_refit_of_another_shape_is_monitored_too(captchas):
    """What is handed out belongs to this fit, though the last one is still in place."""
    images, texts = captchas
    recorder = Recorder()
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    recognizer.fit(images[:16], texts[:16]).set_callbacks(recorder)
    for y, params in [
        (["ab", "cd"] * 8, {"warm_start": True}),
        (["ef", "gh"] * 8, {"warm_start": False, "lstm_units": 8, "image_height": 24}),
    ]:
        recognizer.set_params(**params).fit(images[:16], y)
        one = recorder.fitted[-2]  # after the epoch; the last is after the fit
        assert one.vocabulary_ == recognizer.vocabulary_
        read = list(one.predict_confidence(images[:3]))
        assert read == list(recognizer.predict_confidence(images[:3]))


def test_what_a_hook_keeps_can_be_saved_and_learn_on(small):
    recorder = Recorder()
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 2})
    recognizer.set_callbacks(recorder, ProgressBar()).fit(*small)
    kept = pickle.loads(pickle.dumps(recorder.fitted[0].set_callbacks()))
    n_iter = kept.n_iter_
    kept.set_params(warm_start=True, max_iter=1).fit(*small)
    assert kept.partial_fit(*small).n_iter_ == n_iter + 2
    assert recorder.fitted[1].partial_fit(*small).n_iter_ == 3  # its bar is long gone


def test_scores_are_monitored_epoch_by_epoch(small):
    monitor = ScoringMonitor(scoring=SCORERS)
    recognizer = CaptchaRecognizer(max_iter=3, **TINY).set_callbacks(monitor)
    recognizer.fit(*small)
    rows = monitor.get_logs().data
    epochs = [row for row in rows if row["task_name"] == "epoch"]
    assert len(epochs) == 3
    assert set(SCORERS) < set(epochs[0])
    (fit,) = [row for row in rows if row["task_name"] == "fit"]
    for name, scorer in SCORERS.items():
        assert fit[name] == epochs[-1][name] == scorer(recognizer, *small)


def test_integer_labels_warn_once_however_often_they_are_monitored(captchas):
    monitor = ScoringMonitor(scoring=SCORERS["exact_match"])
    recognizer = CaptchaRecognizer(max_iter=2, **TINY).set_callbacks(monitor)
    with pytest.warns(LabelConversionWarning) as caught:
        recognizer.fit(captchas[0][:16], list(range(16)))
    assert [w.category for w in caught].count(LabelConversionWarning) == 1


def test_a_progress_bar_counts_the_epochs(small, capsys):
    CaptchaRecognizer(max_iter=2, **TINY).set_callbacks(ProgressBar()).fit(*small)
    shown = capsys.readouterr().out
    assert "CaptchaRecognizer - fit" in shown
    assert "100%" in shown


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_shows_the_epochs_under_its_candidates(small, capsys, n_jobs):
    search = GridSearchCV(
        CaptchaRecognizer(max_iter=1, **TINY),
        {"lstm_layers": [0, 1]},
        cv=2,
        n_jobs=n_jobs,
    )
    # Processes would do, but joblib's have been seen to wait for each other forever.
    with joblib.parallel_config("threading"):
        search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(*small)
    shown = capsys.readouterr().out
    for number in range(4):  # two candidates, two folds
        nested = f"candidate-split-evaluation | CaptchaRecognizer - fit #{number}"
        assert nested in shown
    assert "refit-with-best-params | CaptchaRecognizer - fit" in shown


def test_a_failing_fit_tears_its_callbacks_down(small):
    recorder = Recorder()
    recognizer = CaptchaRecognizer(max_iter=2, **TINY).set_callbacks(recorder)
    recorder.on_fit_task_end = Mock(side_effect=RuntimeError("no more"))
    before = dict(vars(recognizer))
    with pytest.raises(RuntimeError, match="no more"):
        recognizer.fit(*small)
    assert recorder.events[-1] == "teardown"
    assert vars(recognizer) == before


def test_clones_share_the_callbacks(small):
    recorder = Recorder()
    clone(CaptchaRecognizer(max_iter=1, **TINY).set_callbacks(recorder)).fit(*small)
    assert recorder.events.count("end epoch") == 1
