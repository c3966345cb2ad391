"""Going on from a fitted recognizer: warm start, partial_fit, new characters."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score
from support.data import TINY, make_easy
from support.small_fits import NETWORK_CONFIG
from support.training import fail_at, interrupt_at, lose_updates
from support.weights import changed_weights, copy_weights

from skcaptcha import CaptchaRecognizer
from skcaptcha.exceptions import ImageReadError
from skcaptcha.model.network import build_network, extend_network

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")


@pytest.fixture
def learned(fitted):
    """A copy of `fitted` that may be changed."""
    return copy.deepcopy(fitted)


@pytest.fixture(scope="session")
def with_new_digits():
    """Images like `captchas`, of the digits 2 to 5."""
    return make_easy(120, "2345", seed=7)


@pytest.fixture(params=["fit", "partial_fit"])
def method(request):
    """Each method that learns."""
    return request.param


@pytest.mark.parametrize("warm_start", [False, True])
def test_what_was_measured_of_the_network_before_is_dropped(
    learned, some, method, warm_start
):
    learned.test_scores_ = {"min_confidence": {"0.99": 0.03}}
    learned.set_params(warm_start=warm_start, max_iter=1)
    getattr(learned, method)(*some)
    assert not hasattr(learned, "test_scores_")


# Warm start


def test_a_saved_network_goes_on_as_the_one_in_memory(learned, some):
    learned.partial_fit(*some)  # which leaves a second head in memory alone
    loaded = pickle.loads(pickle.dumps(learned))
    for recognizer in (learned, loaded):
        recognizer.set_params(warm_start=True, max_iter=1, random_state=0).fit(*some)
    expected, found = (r.network_.state_dict() for r in (learned, loaded))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_warm_start_goes_on_from_the_fitted_network(learned, captchas):
    images, texts = captchas
    loss = learned.loss_curve_[-1]
    n_iter, rates = learned.n_iter_, learned.learning_rate_curve_
    learned.set_params(warm_start=True, max_iter=1).fit(images[:160], texts[:160])
    assert learned.learning_rate_curve_[:-1] == rates
    assert learned.n_iter_ == len(learned.loss_curve_) == n_iter + 1
    assert learned.loss_curve_[-1] < 2 * loss + 0.1  # a new network begins above 1
    assert learned.score(images[160:], texts[160:]) >= 0.8


def test_learning_rates_from_before_they_were_kept_are_unknown(learned, some):
    n_iter = learned.n_iter_
    del learned.learning_rate_curve_  # as in a recognizer saved by an earlier version
    learned.partial_fit(*some)
    learned.set_params(warm_start=True, max_iter=1).fit(*some)
    assert np.isnan(learned.learning_rate_curve_[:n_iter]).all()
    # Two updates of each, of the sixty in which the rate rises.
    assert learned.learning_rate_curve_[n_iter:] == pytest.approx([1e-4, 1e-4])


@pytest.mark.slow
def test_new_characters_are_learned_and_old_ones_kept(
    learned, captchas, with_new_digits
):
    images, texts = with_new_digits
    old_images, old_texts = captchas
    learned.set_params(warm_start=True, max_iter=25)
    learned.fit(images[:90] + old_images[:60], texts[:90] + old_texts[:60])
    assert "".join(learned.vocabulary_.characters) == "012345"
    assert learned.score(images[90:], texts[90:]) >= 0.8
    assert learned.score(old_images[160:], old_texts[160:]) >= 0.8


def test_known_characters_keep_their_weights():
    draw = torch.Generator().manual_seed(0)
    network = build_network(NETWORK_CONFIG, draw)
    before = copy.deepcopy(network.state_dict())
    grown = extend_network(network, 5, draw)
    for head in ("head", "auxiliary"):
        weight, bias = before[f"{head}.weight"], before[f"{head}.bias"]
        assert torch.equal(getattr(grown, head).weight[:3], weight)
        assert torch.equal(getattr(grown, head).bias[:3], bias)
        assert getattr(grown, head).out_features == 5
        assert getattr(grown, head).weight[3:].abs().min() > 0
    assert not changed_weights(before, network.state_dict())  # it was copied
    grown.auxiliary = None
    assert extend_network(grown, 5, draw).auxiliary is None
    assert extend_network(grown, 5, draw, auxiliary=True).auxiliary.out_features == 5


def test_frozen_convolutions_stay_bit_for_bit(learned, captchas, with_new_digits):
    some = [values[:32] for values in with_new_digits]
    before = copy_weights(learned)
    learned.set_params(warm_start=True, freeze_convolutions=True, max_iter=2)
    learned.fit(*some)
    changed = changed_weights(before, learned)
    assert "lstms.0.ahead.weight_hh_l0" in changed
    # The running statistics of the norms are among the blocks.
    assert not any(name.startswith("blocks.") for name in changed)
    learned.set_params(freeze_convolutions=False).fit(*some)
    changed = changed_weights(before, learned)
    assert any(name.startswith("blocks.") for name in changed)


def test_freezing_what_has_learned_nothing_is_refused(captchas):
    recognizer = CaptchaRecognizer(freeze_convolutions=True, pretrained=False)
    for method in (recognizer.fit, recognizer.partial_fit):
        with pytest.raises(
            ValueError, match="freeze_convolutions=True needs convolutions that have"
        ):
            method(*captchas)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"lstm_units": 8}, "lstm_units=8 is not what .* fitted with, 16, .*anew"),
        ({"lstm_layers": 2}, "lstm_layers=2"),
        ({"conv_channels": (8, 16)}, r"conv_channels=\(8, 16\)"),
        ({"image_height": 32}, "image_height=32"),
        ({"color_mode": "rgb"}, "color_mode='rgb' .* 'grayscale'"),
        ({"background": "black"}, "background='black'"),
        ({"vocabulary": "01"}, "vocabulary='01' lacks '2', which the recognizer"),
        ({"vocabulary": "01239"}, None),
        ({"image_height": "auto", "dropout": 0.2, "batch_size": 4}, None),
    ],
)
def test_what_cannot_change_is_named(learned, some, params, match, method):
    learned.set_params(warm_start=True, max_iter=1, **params)
    before = dict(vars(learned))
    learn = getattr(learned, method)
    if match is None:
        assert learn(*some).vocabulary_.characters[:4] == tuple("0123")
        return
    with pytest.raises(ValueError, match=match):
        learn(*some)
    assert vars(learned) == before


def test_a_table_learns_on_as_a_table_of_the_same_shape(quick, some, method):
    rows, texts = np.stack(some[0]).reshape(16, -1), some[1]
    recognizer = quick(rows, image_shape=(16, 48), warm_start=True)
    learn = getattr(recognizer, method)
    assert learn(rows, texts).n_iter_ == 2
    with pytest.raises(ValueError, match="X has 767 features, but"):
        learn(rows[:, 1:], texts)
    recognizer.set_params(image_shape=(48, 16))
    with pytest.raises(ValueError, match=r"image_shape=\(48, 16\) is not what"):
        learn(rows, texts)


def test_destroyed_weights_are_nothing_to_go_on_from(learned, some, method):
    learned.set_params(warm_start=True, max_iter=1)
    with torch.no_grad():
        learned.network_.head.bias[0] = float("nan")
    with pytest.raises(ValueError, match="not finite: its training .* Fit anew"):
        getattr(learned, method)(*some)


def test_a_background_may_be_a_list_or_a_tuple(quick, some):
    recognizer = quick(background=(255, 255, 255), warm_start=True)
    recognizer.set_params(background=[255, 255, 255])
    assert recognizer.fit(*some).n_iter_ == 2


def test_ctrl_c_at_once_leaves_what_could_read(learned, captchas, monkeypatch):
    images, texts = captchas
    before = list(learned.predict_confidence(images[:5]))
    interrupt_at(monkeypatch, 3)
    learned.set_params(warm_start=True)
    with pytest.warns(UserWarning, match="Training was interrupted"):
        learned.fit(images[:160], texts[:160])
    assert list(learned.predict_confidence(images[:5])) == before
    assert learned.converged_


def test_labels_too_long_for_the_chosen_width_are_named(learned, captchas):
    learned.set_params(warm_start=True)
    texts = ["0" * 12, *captchas[1][1:8]]
    with pytest.raises(
        ValueError, match=r"the first fit has chosen .*y\[0\]='0+' needs 23 .*anew"
    ):
        learned.fit(captchas[0][:8], texts)


def test_a_failed_attempt_to_go_on_changes_nothing(
    learned, captchas, some, method, monkeypatch
):
    learned.set_params(warm_start=True, max_iter=1).partial_fit(*some)
    before, weights = dict(vars(learned)), copy_weights(learned)
    moments = copy.deepcopy(list(learned._trainer.optimizer.state.values()))
    learn = getattr(learned, method)
    with pytest.raises(ImageReadError):
        learn([b"x", b"y"], ["12", "4"])
    fail_at(monkeypatch, 2, RuntimeError("in the middle"))
    with pytest.raises(RuntimeError, match="in the middle"):
        learn(captchas[0][:32], captchas[1][:32])
    assert vars(learned) == before
    assert not changed_weights(weights, learned)
    now = list(learned._trainer.optimizer.state.values())
    assert len(moments) == len(now) > 0
    for one, other in zip(moments, now, strict=True):
        assert torch.equal(one["exp_avg"], other["exp_avg"])


# partial_fit


@pytest.mark.slow
def test_partial_fit_learns_from_chunk_to_chunk(captchas, monkeypatch):
    images, texts = captchas
    recognizer = CaptchaRecognizer(**TINY)
    for rate, n_rounds in [(3e-3, 24), (3e-4, 6)]:
        recognizer.set_params(learning_rate_init=rate)
        for _ in range(n_rounds):
            for start in (0, 80):
                chunk = slice(start, start + 80)
                recognizer.partial_fit(images[chunk], texts[chunk])
    assert recognizer.n_iter_ == len(recognizer.loss_curve_) == 60
    score = recognizer.score(images[160:], texts[160:])
    assert score >= 0.8
    assert recognizer.converged_
    # A few updates that are lost do not cost what was learned.
    recognizer.set_params(learning_rate_init=3e-3)
    lose_updates(monkeypatch, range(4, 9))
    recognizer.partial_fit(images[:160], texts[:160])
    assert recognizer.n_restarts_ == 1
    assert recognizer.score(images[160:], texts[160:]) >= score - 0.3
    recognizer.partial_fit(images[:160], texts[:160])
    assert recognizer.n_restarts_ == 0
    assert recognizer._trainer.schedule.learning_rate > 0.5  # warming up to the full


def test_partial_fit_gives_the_same_weights_each_time(captchas):
    def learn():
        recognizer = CaptchaRecognizer(**TINY)
        for start in (0, 16, 32):
            chunk = slice(start, start + 16)
            recognizer.partial_fit(captchas[0][chunk], captchas[1][chunk])
        return recognizer

    assert not changed_weights(learn(), learn())


def test_partial_fit_keeps_the_optimizer_between_calls(some):
    recognizer = CaptchaRecognizer(**TINY)
    recognizer.partial_fit(*some)
    steps = [s["step"] for s in recognizer._trainer.optimizer.state.values()]
    recognizer.set_params(learning_rate_init=1e-4, dropout=0.1).partial_fit(*some)
    again = [s["step"] for s in recognizer._trainer.optimizer.state.values()]
    assert {float(step) for step in steps} == {2.0}
    assert {float(step) for step in again} == {4.0}


def test_characters_come_as_the_chunks_do(some, with_new_digits):
    recognizer = CaptchaRecognizer(**TINY).partial_fit(*some)
    read_before = recognizer.network_
    recognizer.partial_fit(with_new_digits[0][:16], with_new_digits[1][:16])
    assert recognizer.vocabulary_.characters == tuple("012345")
    assert recognizer.network_.head.out_features == 7
    assert read_before.head.out_features == 5  # another thread may be reading with it
    assert len(recognizer.predict(some[0][:3])) == 3


def test_partial_fit_goes_on_after_fit_and_after_loading(learned, captchas):
    images, texts = captchas
    first = learned.loss_curve_[-1]
    learned.partial_fit(images[:80], texts[:80])
    loaded = pickle.loads(pickle.dumps(learned))
    assert not hasattr(loaded, "_trainer")
    loaded.partial_fit(images[:80], texts[:80])
    assert loaded.n_iter_ == learned.n_iter_ + 1
    assert max(loaded.loss_curve_[-2:]) < 2 * first + 0.3
    assert loaded.score(images[160:], texts[160:]) >= 0.7
    assert len(pickle.dumps(loaded)) < 1.1 * len(pickle.dumps(learned))


def test_a_fit_without_warm_start_begins_anew(some, quick):
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    for _ in range(2):
        recognizer.partial_fit(*some).fit(*some)
        assert recognizer.n_iter_ == 1
        assert not hasattr(recognizer, "_trainer")
        assert not changed_weights(recognizer, quick())


def test_partial_fit_with_early_stopping_is_refused(captchas):
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        CaptchaRecognizer(early_stopping=True).partial_fit(*captchas)


def test_parameters_are_checked_in_each_call(learned, captchas):
    learned.set_params(device=None)
    with pytest.raises(ValueError, match="The 'device' parameter of CaptchaRecognizer"):
        learned.partial_fit(captchas[0][:4], captchas[1][:4])


def test_partial_fit_takes_a_single_image(learned, captchas):
    n_iter = learned.n_iter_
    learned.partial_fit(captchas[0][:1], captchas[1][:1])
    assert learned.n_iter_ == n_iter + 1
    assert np.isfinite(learned.loss_curve_).all()


def test_model_selection_starts_from_nothing(learned, some):
    """It clones, and a clone has no network to go on from."""
    learned.set_params(warm_start=True, max_iter=1)
    scores = cross_val_score(learned, *some, cv=2)
    assert max(scores) < 0.5
