"""Images unlike the training images are warned of, and those like them never."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
from PIL import Image
from support.data import TINY

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer, persistence
from skcaptcha.datasets import (
    load_image_folder,
    load_labeled_images,
    make_captchas,
)
from skcaptcha.exceptions import UnlikeTrainingWarning
from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.images import read_images
from skcaptcha.images._likeness import (
    MEASURES,
    SeenImages,
    is_summary,
    measure_image,
    merge,
    summarize,
)


def pad(image, *sides, level=255):
    """Add rows above and below, and columns at the left and the right."""
    return np.pad(image, (sides[:2], sides[2:]), constant_values=level)


def describe(training, images):
    seen = SeenImages(summarize([measure_image(x) for x in training]))
    seen.add([measure_image(x) for x in images])
    return [str(message) for message, category in seen.describe()]


@pytest.fixture(scope="module")
def drawn():
    return make_captchas(240, random_state=0)[0]


KINDS = {
    "white above and below": (lambda x: pad(x, 32, 32, 0, 0), "place of the text"),
    "paper around": (
        lambda x: pad(x, 20, 20, 60, 60, level=int(np.median(x))),
        "place of the text",
    ),
    "margin below": (lambda x: pad(x, 0, 32, 0, 0), "width to height"),
    "half of it": (lambda x: x[:, : x.shape[1] // 2], "width to height"),
    "narrow": (
        lambda x: np.asarray(Image.fromarray(x).resize((90, 50))),
        "width to height of 120 (such as 1.8; 3 in training)",
    ),
    "a third of the size": (lambda x: x[::3, ::3], "height of 120 (such as 17; 50 in"),
    "inverted": (lambda x: 255 - x, "light text or dark of 120"),
    "0 and 1": (lambda x: (x > 127).astype(np.uint8), "brightness of 120 (such as 0.0"),
    "one color": (lambda x: np.full_like(x, 180), "contrast of 120 (such as 0.0001; "),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_noticed_and_named(drawn, kind):
    change, words = KINDS[kind]
    (message,) = describe(drawn[:120], [change(x) for x in drawn[120:]])
    assert message.startswith("120 of 120 images are unlike the 120 training images")
    assert words in message


def test_text_that_stood_in_margins_is_missed_where_they_are_gone(drawn):
    (message,) = describe([pad(x, 32, 32, 0, 0) for x in drawn[:120]], drawn[120:])
    assert "place of the text" in message


def test_a_remedy_is_named_for_what_differs(drawn):
    (message,) = describe(drawn[:120], [255 - x for x in drawn[120:]])
    assert "preprocessing.DarkOnLight" in message and "0 to 255" in message
    (message,) = describe(drawn[:120], [pad(x, 60, 60, 99, 99) for x in drawn[120:]])
    assert "preprocessing.MarginCropper" in message


def test_images_like_them_are_not_warned_of(drawn):
    assert describe(drawn[:120], drawn[120:]) == []
    assert not any(describe(drawn[:120], [x]) for x in drawn[120:])
    large = [np.kron(x, np.ones((3, 3), np.uint8)) for x in drawn[120:]]
    assert describe(drawn[:120], large) == []  # they are read as well


def test_a_tenth_may_be_unlike_and_one_alone_may_not(drawn):
    odd = [255 - x for x in drawn[:2]]
    assert describe(drawn[:120], [*drawn[120:138], *odd]) == []
    assert "3 of 21" in describe(drawn[:120], [*drawn[120:138], *odd, odd[0]])[0]
    assert "1 of 1" in describe(drawn[:120], odd[:1])[0]


def test_few_training_images_show_nothing(drawn):
    assert describe(drawn[:24], [255 - x for x in drawn[24:48]]) == []
    assert describe(drawn[:25], [255 - x for x in drawn[25:50]])


def test_measures_solved_on_paper():
    image = np.full((20, 40), 255, np.uint8)
    image[5:10, 10:20] = 0  # a sixteenth of it
    measures = dict(zip(MEASURES, measure_image(image), strict=True))
    assert (measures["height"], measures["proportions"]) == (20, 2)
    assert measures["brightness"] == pytest.approx(15 / 16)
    assert measures["contrast"] == pytest.approx((15 / 16 / 16) ** 0.5, rel=1e-5)
    assert measures["polarity"] == -1
    assert measures["row"] == measures["column"] == pytest.approx(7.5 / 20)
    assert measures["row_spread"] == pytest.approx(2**0.5 / 20, rel=1e-4)
    color = dict(zip(MEASURES, measure_image(np.dstack([image] * 3)), strict=True))
    assert color == pytest.approx(measures, rel=1e-4)
    light = measure_image(255 - image)
    assert light[MEASURES.index("polarity")] == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (300, 2), (41, 81, 3)])
def test_every_image_has_finite_measures(shape):
    for image in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
        image.flat[0] = 9
        assert is_summary(summarize([measure_image(image)]))


def test_summaries_are_merged():
    a, b = (summarize([measure_image(np.eye(n, dtype=np.uint8))]) for n in (9, 20))
    merged = merge([a, b])
    assert merged["n_images"] == 2 and merged["height"] == (9.0, 20.0)
    assert merge([a, None]) is None


# Readers


@pytest.fixture(scope="module")
def inverted(captchas):
    return [255 - image for image in captchas[0][160:]]


@pytest.fixture(scope="module")
def ensemble(captchas):
    params = {**TINY, "max_iter": 1, "random_state": None}
    ensemble = CaptchaEnsemble(CaptchaRecognizer(**params), cv=2, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        return ensemble.fit(captchas[0][:60], captchas[1][:60])


def export(fitted, tmp_path):
    export_onnx(fitted, tmp_path / "m.onnx")
    return load_onnx(tmp_path / "m.onnx")


def dump_and_load(fitted, tmp_path):
    persistence.dump(fitted, tmp_path / "m.skops")
    return persistence.load(tmp_path / "m.skops")


FORMS = {
    "fitted": lambda fitted, _: fitted,
    "pickle": lambda fitted, _: pickle.loads(pickle.dumps(fitted)),
    "skops": dump_and_load,
    "ONNX": export,
    "pickle of ONNX": lambda fitted, path: copy.deepcopy(export(fitted, path)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_reader_warns(fitted, captchas, inverted, tmp_path, form):
    reader = FORMS[form](fitted, tmp_path)
    with pytest.warns(UnlikeTrainingWarning, match="40 of 40 .* the 160 training"):
        reader.predict(inverted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.predict(captchas[0][160:])


def test_an_ensemble_counts_each_image_once(ensemble, inverted):
    assert ensemble.training_images_["n_images"] == 60
    with pytest.warns(UnlikeTrainingWarning, match="40 of 40 .* the 60 training"):
        ensemble.predict(inverted)


@pytest.mark.parametrize(
    "method",
    ["predict", "predict_confidence", "predict_topk", "predict_characters"]
    + ["frame_log_proba"],
)
def test_a_call_warns_once(fitted, inverted, method):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(fitted, method)(inverted * 15)  # more than are batched together
    assert [str(w.message)[:17] for w in caught] == ["600 of 600 images"]
    assert caught[0].category is UnlikeTrainingWarning
    assert caught[0].filename == __file__


def test_scores_and_readings_warn_as_well(fitted, captchas, inverted):
    with pytest.warns(UnlikeTrainingWarning):
        fitted.score(inverted, captchas[1][160:])
    notices = []
    assert len(list(fitted.iter_readings(inverted, notices=notices))) == 40
    assert [category for _, category in notices] == [UnlikeTrainingWarning]


def test_a_model_from_before_never_warns(fitted, inverted, tmp_path):
    old = copy.deepcopy(fitted)
    del old.training_images_
    for form in ("pickle", "skops", "ONNX"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            FORMS[form](old, tmp_path).predict(inverted)


def test_what_was_learned_later_counts_too(quick, captchas, inverted):
    X, y = captchas
    recognizer = quick(X[:30], y[:30], warm_start=True)
    assert recognizer.training_images_["n_images"] == 30
    recognizer.partial_fit(inverted[:20], y[160:180])
    assert recognizer.training_images_["n_images"] == 50
    recognizer.predict(inverted)
    del recognizer.training_images_  # a model from before
    recognizer.partial_fit(X[:30], y[:30])
    assert recognizer.training_images_ is None
    pickle.loads(pickle.dumps(recognizer)).predict(inverted)


def test_the_attribute_is_plain(fitted):
    found = fitted.training_images_
    assert json.loads(json.dumps(found)).keys() == {"n_images", *MEASURES}
    assert (found["n_images"], found["height"]) == (160, (16.0, 16.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, options",
    [
        ("captcha_images_v2", None),
        ("cs4243", r"(.+)-\d+$"),
        *(
            (name, ...)
            for name in "digits4 fssp_cyrillic kaptcha_pku swust4_2019b sysu4_mixed "
            "upper4_panther weixin4_3d".split()
        ),
    ],
)
def test_halves_of_real_sets_are_alike(data_dir, name, options):
    path = data_dir / f"{name}.zip"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    if options is ...:
        images, _ = load_labeled_images(path)
    else:
        images, _ = load_image_folder(path, **({"label": options} if options else {}))
    rng = np.random.default_rng(0)
    images = [images[i] for i in rng.permutation(len(images))[:500]]
    measures = np.array([measure_image(x) for x in read_images(images)])
    for _ in range(50):
        order = rng.permutation(len(measures))
        seen = SeenImages(summarize(measures[order[::2]]))
        seen.add(measures[order[1::2]])
        assert seen.describe() == []
