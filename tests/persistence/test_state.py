"""States that no fit leaves are refused when they are loaded, in every form."""

import pickle
import time

import joblib
import numpy as np
import pytest
import skops.io

from skcaptcha import CaptchaRecognizer, persistence
from skcaptcha.persistence._state import check_fitted
from skcaptcha.vocabulary import Vocabulary


def make_vocabulary(characters, indices=None):
    """Return a Vocabulary that was never checked."""
    vocabulary = Vocabulary.__new__(Vocabulary)
    vocabulary._characters = characters
    if indices is None:
        indices = {c: i for i, c in enumerate(characters, start=1)}
    vocabulary._indices = indices
    return vocabulary


def change_weight(name, change):
    def damage(state):
        weights = {key: array.copy() for key, array in state["_weights"].items()}
        weights[name] = change(weights[name])
        state["_weights"] = weights

    return damage


def put(array, value):
    array.flat[-1] = value
    return array


def change_config(**changes):
    def damage(state):
        state["_network_config"] = state["_network_config"] | changes

    return damage


def change(**changes):
    return lambda state: state.update(changes)


VARIANCE = "blocks.1.norm.running_var"
DAMAGES = {
    "NaN in a weight": (
        change_weight("head.weight", lambda w: put(w, np.nan)),
        "weights are not all finite, such as head.weight",
    ),
    "infinite statistics": (
        change_weight(VARIANCE, lambda w: put(w, np.inf)),
        f"weights are not all finite, such as {VARIANCE}",
    ),
    "a variance below 0": (
        change_weight(VARIANCE, lambda w: put(w, -1)),
        f"weights hold a variance below 0, in {VARIANCE}",
    ),
    "texts for weights": (
        change_weight("head.bias", lambda w: w.astype(str)),
        "head.bias is no array",
    ),
    "complex weights": (
        change_weight("head.bias", lambda w: w.astype(complex)),
        "head.bias is no array",
    ),
    "weights transposed": (
        change_weight("head.weight", lambda w: w.T),
        r"head.weight has shape \(\d+, 5\), not \(5, \d+\)",
    ),
    "a list of weights": (change(_weights=[1.0, 2.0]), "weights are no dict"),
    "CMYK": (change(color_mode_="cmyk"), "color_mode_='cmyk' is not 'grayscale'"),
    "a list of color modes": (change(color_mode_=["rgb"]), "color_mode_=.* is not"),
    "another number of channels": (
        change(color_mode_="rgb"),
        "in_channels=1 should be 3",
    ),
    "four channels": (change_config(in_channels=4), "_network_config=.* is not"),
    "ints as characters": (
        change(vocabulary_=make_vocabulary([0, 1, 2, 3])),
        "vocabulary_=.* is not a Vocabulary",
    ),
    "a list as vocabulary": (change(vocabulary_=[0, 1, 2, 3]), "vocabulary_=.* is not"),
    "a text as vocabulary": (change(vocabulary_="0123"), "vocabulary_='0123' is not"),
    "empty characters": (
        change(vocabulary_=make_vocabulary(("0", "1", "", "3"))),
        "vocabulary_=.* is not a Vocabulary",
    ),
    "characters twice": (
        change(vocabulary_=make_vocabulary(("0", "1", "1", "3"))),
        "vocabulary_=.* is not a Vocabulary",
    ),
    "other indices": (
        change(
            vocabulary_=make_vocabulary(
                ("0", "1", "2", "3"), {"0": 4, "1": 3, "2": 2, "3": 1}
            )
        ),
        "vocabulary_=.* is not a Vocabulary",
    ),
    "a character too few": (
        change(vocabulary_=Vocabulary("012")),
        "n_classes=5 should be 4",
    ),
    "100,000 layers": (
        change_config(lstm_layers=10**5),
        "weights are too few for a network of 10000. layers",
    ),
    "a layer more": (change_config(lstm_layers=2), "weights do not fit its network"),
    "a trillion units": (
        change_config(lstm_units=10**12),
        "overflowed",
    ),
    "a million channels": (
        change_config(conv_channels=(10**6, 10**6)),
        "weights do not fit its network",
    ),
    "a hundred blocks": (change_config(conv_channels=(8,) * 100), "_network_config"),
    "an unknown parameter": (change_config(depth=3), "_network_config=.* is not"),
    "a low image": (change(image_height_=0), "image_height_=0 is not an int from 8"),
    "a high image": (change(image_height_=10**9), "image_height_=1000000000 is not"),
    "a wide stretch": (change(width_stretch_=1e9), "width_stretch_=1000000000.0 is"),
    "no number": (change(width_stretch_=float("nan")), "width_stretch_=nan is not"),
    "no rows": (change(text_rows_=(0.5, 0.5)), "text_rows_=.* is not two rising"),
    "training images": (
        change(training_images_={"n_images": 30, "height": (1.0, 2.0)}),
        "training_images_=.* is not a range for each measure",
    ),
    "rows outside": (change(text_rows_=(-3.0, 1.0)), "text_rows_=.* is not two rising"),
    "an unknown color": (change(background_="no color"), "'no color'"),
    "two levels": (change(background_=(1, 2)), "background_=.* is not a color"),
    "a level of 300": (change(background_=(1, 2, 300)), "background_=.* is not a"),
    "a temperature of 0": (change(temperature_=0.0), "temperature_=0.0 is not"),
    "texts as losses": (change(loss_curve_=["a"]), "loss_curve_=.* is not a list"),
    "an image of other features": (
        change(image_shape_=(3, 4), n_features_in_=13, feature_range_=(0.0, 1.0)),
        "image_shape_ holds 12 numbers",
    ),
    "a method": (change(predict=np.sqrt), "'predict' is no attribute of a state"),
    "a property": (change(n_jobs_=1, __class__=int), "'__class__' is no attribute"),
    "nothing of the images": (
        lambda state: state.pop("image_height_"),
        "it lacks 'image_height_'",
    ),
    "no vocabulary": (lambda state: state.pop("vocabulary_"), "it lacks 'vocabulary_'"),
}


def load_state(state):
    recognizer = CaptchaRecognizer.__new__(CaptchaRecognizer)
    recognizer.__setstate__(state)
    return recognizer


@pytest.mark.parametrize("name", DAMAGES)
def test_a_state_that_no_fit_leaves_is_refused_at_once(fitted, name):
    damage, reason = DAMAGES[name]
    state = fitted.__getstate__()
    damage(state)
    begun = time.perf_counter()
    with pytest.raises(ValueError, match=f"Recognizer is damaged: .*{reason}.*copy"):
        load_state(state)
    assert time.perf_counter() - begun < 2


class Damaged(CaptchaRecognizer):
    """A recognizer that is saved with a state of any kind."""

    def __reduce__(self):
        make = CaptchaRecognizer.__new__
        return make, (CaptchaRecognizer,), self.state


@pytest.mark.parametrize("name", ["NaN in a weight", "CMYK", "ints as characters"])
@pytest.mark.parametrize("kind", ["pickle", "joblib", "skops", "persistence"])
def test_every_form_of_file_is_checked(fitted, tmp_path, kind, name):
    damage, _ = DAMAGES[name]
    path = tmp_path / "model"
    damaged = Damaged()
    damaged.state = fitted.__getstate__()
    damage(damaged.state)
    if kind == "pickle":
        content = pickle.dumps(damaged)
        with pytest.raises(ValueError, match="CaptchaRecognizer is damaged"):
            pickle.loads(content)
    elif kind == "joblib":
        joblib.dump(damaged, path)
        with pytest.raises(ValueError, match="CaptchaRecognizer is damaged"):
            joblib.load(path)
    else:
        write_skops(damaged.state, path)
        with pytest.raises(ValueError, match="CaptchaRecognizer is damaged"):
            if kind == "skops":
                trusted = skops.io.get_untrusted_types(file=path)
                skops.io.load(path, trusted=trusted)
            else:
                persistence.load(path)


def write_skops(state, path):
    """Write a recognizer of any state, as skops would."""

    class Recognizer:
        def __getstate__(self):
            return state

    Recognizer.__module__ = "skcaptcha.recognizer"
    Recognizer.__name__ = Recognizer.__qualname__ = "CaptchaRecognizer"
    path.write_bytes(skops.io.dumps(Recognizer()))


@pytest.mark.parametrize("state", [None, [], 3, "state"])
def test_a_state_that_is_no_dict_is_named(state):
    with pytest.raises(ValueError, match="is damaged: its state is"):
        load_state(state)


@pytest.mark.parametrize("kind", ["images", "a table", "color", "colors of a list"])
def test_what_fits_leave_is_taken(quick, some, kind):
    X, y = some
    params = {}
    if kind == "a table":
        X = np.stack(X).reshape(len(X), -1) / 255
        params = {"image_shape": some[0][0].shape}
    elif kind == "color":
        params = {"color_mode": "rgb", "background": "rebeccapurple"}
    elif kind == "colors of a list":
        params = {"background": [1, np.int64(2), 3.0], "early_stopping": True}
    recognizer = quick(X, y, **params)
    loaded = pickle.loads(pickle.dumps(recognizer))
    assert loaded.predict(X).tolist() == recognizer.predict(X).tolist()
    check_fitted(vars(loaded))


def test_a_beam_of_any_width_is_refused_before_it_is_tried(fitted, captchas):
    state = fitted.__getstate__() | {"decoder": "beam", "beam_width": 10**12}
    with pytest.raises(ValueError, match="'beam_width' parameter .* Got 100000000000"):
        load_state(state).predict(captchas[0][:1])
