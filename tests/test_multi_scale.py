"""What is not read surely is read again, at other widths."""

import copy
import pickle

import numpy as np
import pytest

from skcaptcha import CaptchaEnsemble
from skcaptcha._base import merge_frames
from skcaptcha._texts import label_log_probability
from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.images._prepare import MAX_WIDTH, change_width


@pytest.fixture(scope="module")
def blurred(captchas):
    """Images of which some are hard to read: every second one has noise."""
    rng = np.random.default_rng(0)
    images = []
    for i, image in enumerate(captchas[0][160:]):
        noise = rng.normal(0, 40 if i % 2 else 0, image.shape)
        images.append(np.clip(image + noise, 0, 255).astype(np.uint8))
    return images


@pytest.fixture(scope="module")
def once(fitted):
    """The same recognizer, which reads each image once."""
    return copy.copy(fitted).set_params(multi_scale=False)


def list_frames(reader, images, **options):
    return [frames for _, frames in sorted(reader.iter_frames(images, **options))]


def test_only_doubtful_images_are_read_at_four_widths(fitted, once, blurred):
    frames = list_frames(fitted, blurred)
    assert {len(f) for f in frames} == {1, 4}
    confidence = once.predict_confidence(blurred)
    np.testing.assert_array_equal([len(f) == 1 for f in frames], confidence >= 0.95)
    assert all(len(f) == 1 for f in list_frames(once, blurred))
    for several in frames:
        if len(several) == 4:
            steps = [len(one) for one in several]
            assert steps[1] <= steps[0] <= steps[2] <= steps[3]
            assert steps[1] < steps[3]
            assert len({one.shape[1] for one in several}) == 1


def test_sure_images_read_the_same_bit_for_bit(fitted, once, blurred):
    n = [len(frames) for frames in list_frames(fitted, blurred)]
    for method in ("predict", "predict_confidence"):
        wide, narrow = (getattr(r, method)(blurred) for r in (fitted, once))
        for is_sure, a, b in zip(np.equal(n, 1), wide, narrow, strict=True):
            assert a == b or not is_sure


def test_a_doubtful_text_is_the_most_probable_one_on_average(fitted, blurred):
    doubtful = [
        (image, frames)
        for image, frames in zip(blurred, list_frames(fitted, blurred), strict=True)
        if len(frames) == 4
    ]
    assert doubtful
    n_compared = 0
    for image, frames in doubtful:
        ((text, confidence), *others) = fitted.predict_topk([image], 5)[0]
        if not text:  # it keeps its place, though it has no probability
            continue
        n_compared += 1

        def probability(of, frames=frames):
            each = [np.exp(label_log_probability(fitted, [f], of)) for f in frames]
            return np.mean(each)

        assert confidence == pytest.approx(probability(text), abs=1e-5)
        assert all(probability(other) <= confidence + 1e-6 for other, _ in others)
        # The best paths may find fewer texts than the beams, but nothing better.
        assert probability(fitted.predict([image])[0]) <= confidence + 1e-6
    assert n_compared


def test_an_image_reads_the_same_alone(fitted, blurred):
    together = fitted.predict(blurred)
    assert [fitted.predict([image])[0] for image in blurred] == together.tolist()


def test_the_length_is_kept(fitted, blurred):
    assert {len(text) for text in fitted.predict(blurred, length=6)} == {6}


def test_a_length_that_fits_at_some_widths_alone_is_read(fitted, blurred):
    steps = [[len(one) for one in f] for f in list_frames(fitted, blurred)]
    # Of which images is not the same on all processors.
    image, n_steps = next(
        (image, n)
        for image, n in zip(blurred, steps, strict=True)
        if len(n) == 4 and n[1] < n[0] < n[3]  # of its own width, 0.9 and 1.12 times
    )
    for length in (n_steps[0], n_steps[3]):
        assert len(fitted.predict([image], length=length)[0]) == length
        assert len(fitted.predict_topk([image], 2, length=length)[0][0][0]) == length
    with pytest.raises(ValueError, match="No text of length=99 fits"):
        fitted.predict([image], length=99)


def test_frame_log_proba_is_that_of_one_width(fitted, once, blurred):
    a, b = (reader.frame_log_proba(blurred) for reader in (fitted, once))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def test_members_of_an_ensemble_count_alike(fitted, once, blurred):
    ensemble = CaptchaEnsemble(fitted)
    ensemble.estimators_ = [fitted, once]
    for both, frames in zip(
        list_frames(ensemble, blurred), list_frames(fitted, blurred), strict=True
    ):
        assert len(both) == 2 * len(frames)
        for one in both[len(frames) :]:
            np.testing.assert_array_equal(one, frames[0])
    errors = list(merge_frames([[(0, ValueError("x"))], [(0, [1, 2, 3])]]))
    assert isinstance(errors[0][1], ValueError)


@pytest.mark.parametrize("multi_scale", [True, False])
def test_an_exported_model_does_as_its_recognizer(
    fitted, blurred, tmp_path, multi_scale
):
    pytest.importorskip("onnxruntime")
    recognizer = copy.copy(fitted).set_params(multi_scale=multi_scale)
    export_onnx(recognizer, tmp_path / "model.onnx")
    reader = load_onnx(tmp_path / "model.onnx")
    assert reader.metadata.multi_scale is multi_scale
    ours, its = (list_frames(r, blurred) for r in (recognizer, reader))
    assert [len(f) for f in ours] == [len(f) for f in its]
    np.testing.assert_array_equal(reader.predict(blurred), recognizer.predict(blurred))
    assert all(f.ndim == 2 for f in reader.frame_log_proba(blurred))


def test_models_from_before_read_each_image_once(fitted, blurred):
    state = fitted.__getstate__()
    del state["multi_scale"]
    older = type(fitted).__new__(type(fitted))
    older.__setstate__(state)
    assert older.multi_scale is False
    assert pickle.loads(pickle.dumps(fitted)).multi_scale is True


@pytest.mark.parametrize("value", [None, 2, "auto"])
def test_what_is_no_bool_is_refused(some, value, quick):
    with pytest.raises(ValueError, match="'multi_scale' parameter .* 'bool'"):
        quick(multi_scale=value)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_images_are_widened(n_channels):
    image = np.zeros((8, 40, n_channels), np.uint8)
    image[:, 20:] = 200
    wide = change_width(image, 1.3)
    assert wide.shape == (8, 52, n_channels)
    assert wide[0, 0, 0] == 0
    assert wide[0, -1, -1] == 200
    widest = np.zeros((8, MAX_WIDTH, n_channels), np.uint8)
    assert change_width(widest, 1.3).shape == widest.shape
