"""A recognizer that reads before it has seen a label."""

from itertools import product
from numbers import Integral

import numpy as np

from skcaptcha._auto import choose_rows
from skcaptcha._device_errors import explain_device_errors
from skcaptcha._texts import find_texts
from skcaptcha._threads import count_threads
from skcaptcha._validation import check_images, issue_warnings
from skcaptcha.ensemble import CaptchaEnsemble
from skcaptcha.images import read_images
from skcaptcha.images._prepare import ALL_ROWS, measure_ink
from skcaptcha.images._read import copy_color, parse_background
from skcaptcha.model.decoding import sequence_log_probability
from skcaptcha.model.device import choose_device, fallback_notices
from skcaptcha.model.pretrained import FORMS, find_form, load_whole, read_weights
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import BLANK, Vocabulary

# The networks that read together.
_NETWORKS = "pooling", "large"
# Heights and factors of the width at which an image is read; the texts found rank each
# other. Characters take half of one image's height and all of another's.
_SCALES = tuple(product((32, 40, 48, 56), (0.8, 1.0, 1.25)))
MAX_SIZES = len(_NETWORKS) * len(_SCALES)
# Images from which some of them are chosen, and the least log-probability of one, so
# that no image decides alone.
MAX_SCANNED, _LEAST = 100, -10.0


def load_pretrained(
    X=None,
    *,
    n_sizes=None,
    vocabulary=None,
    background="white",
    backend="torch",
    device="auto",
    n_jobs=None,
):
    """Return a reader for images that have no labels yet.

    It has learned from drawn images alone: print, counters, plates, sums, captchas of
    many styles, in digits, Latin, Russian and Greek letters and ``+-*/=?×``, of 1 to 12
    characters. Text in one line and with the letters apart it reads well; hollow
    letters that overlap, or photographs, hardly. Say which characters there may be
    (``predict(X, vocabulary="0123456789")``) and how many (``length=4``), if you know:
    it then reads better. The next step is some labels of your own, for
    ``CaptchaRecognizer().fit``, which starts from pretrained weights as well. Without
    `X` its confidence is calibrated on drawn images; :doc:`/before_labels` says what
    that is worth on real ones.

    Parameters
    ----------
    X : sequence of images, default=None
        Some of the images to read, in any form that `CaptchaRecognizer.fit` takes; 20
        do, the first 100 are looked at. Of the 24 pairs of a network and a size those
        are then kept that agree most with what all of them read together.
    n_sizes : int, default=None
        How many pairs are kept, from 1 to 24. None is all, or one if there is an `X`,
        which reads less well. Six read images that look alike about as well as all
        do, and take a quarter of the time. Only allowed with `X`.
    vocabulary : str or sequence of str, default=None
        The characters that the images may show, if you know, for the choice alone: pass
        them to `predict` as well. Without them a network may be chosen that takes
        Cyrillic letters for Latin ones. Only allowed with `X`.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited.
    backend : {"torch", "onnx"}, default="torch"
        What computes the networks, as for `CaptchaRecognizer`.
    device : str, default="auto"
        Where to read, as for `CaptchaRecognizer`.
    n_jobs : int, default=None
        Threads that decode images, as for `CaptchaRecognizer`.

    Returns
    -------
    CaptchaEnsemble or CaptchaRecognizer
        Without `X` an ensemble of two networks, each of which reads an image at 12
        sizes: the text is taken that is most probable for all of them together
        (multi-scale testing [1]_). It was fitted on no folds and has no `cv_scores_`.
        With `X` and an `n_sizes` above 1 the same with fewer networks or sizes; else,
        with `X`, a fitted recognizer, which can be exported, and from which `fit` with
        ``warm_start=True`` continues.

    Raises
    ------
    ValueError
        If a parameter is out of range, `device` cannot be used, `vocabulary` has
        characters that are not known, or it or `n_sizes` is given without `X`.
    OSError
        If an image of `X` cannot be read.
    ImportError
        If `backend` is "onnx" and onnx or onnxruntime is not installed.

    See Also
    --------
    CaptchaRecognizer : Learns from labeled images.

    References
    ----------
    .. [1] A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep
       Convolutional Neural Networks", NeurIPS 2012, section 4.1, averages over views
       of an image; here the views are sizes.

    Examples
    --------
    >>> from skcaptcha import load_pretrained
    >>> from skcaptcha.datasets import make_captchas
    >>> images, texts = make_captchas(4, vocabulary="0123456789", random_state=0)
    >>> reader = load_pretrained()
    >>> reader.predict(images, vocabulary="0123456789", length=5)
    array(['73719', '77709', '36478', '59972'], dtype=object)
    >>> texts
    ['73719', '77709', '36478', '59972']
    """
    parse_background(background)
    count_threads(n_jobs)  # raises where they cannot be
    _check_n_sizes(n_sizes)
    if X is None:
        _check_alone(n_sizes=n_sizes, vocabulary=vocabulary)
    characters = list_characters()
    options = {"background": background, "backend": backend}
    options |= {"device": device, "n_jobs": n_jobs}
    readers = [_load_reader(form, characters, options) for form in _NETWORKS]
    issue_warnings(fallback_notices(device, choose_device(device)))
    ensemble = CaptchaEnsemble(readers[0])
    ensemble.estimators_ = readers
    if X is None:
        return ensemble
    _choose_sizes(ensemble, X, n_sizes or 1, vocabulary)
    return ensemble.estimators_[0] if n_sizes in (None, 1) else ensemble


def list_characters():
    """Return the characters that the pretrained weights know, a str."""
    return max((read_weights(form)[1] for form in _NETWORKS), key=len)


def _check_n_sizes(n_sizes):
    is_int = isinstance(n_sizes, Integral) and not isinstance(n_sizes, bool)
    if n_sizes is not None and not (is_int and 1 <= n_sizes <= MAX_SIZES):
        raise ValueError(
            f"n_sizes={n_sizes!r} must be None or an int from 1 to {MAX_SIZES}."
        )


def _check_alone(**params):
    """Raise a ValueError if a parameter is set that is of use with images alone."""
    for name, value in params.items():
        if value is not None:
            raise ValueError(
                f"{name}={value!r} needs images that tell which sizes suit them: pass "
                f"some of those to read as `X`, or leave {name} out."
            )


def leave_characters(recognizer, characters):
    """Let a recognizer of `load_pretrained` read some characters alone."""
    form, _ = find_form(recognizer._network_config)
    recognizer._set_fitted(_load_network(form, characters, recognizer.device))


def _load_network(form, characters, device):
    """Return a pretrained network as attributes of a recognizer that reads with it."""
    network, config = load_whole(form, characters)
    with explain_device_errors("loading a network"):
        network.to(choose_device(device))
    return {
        "vocabulary_": Vocabulary(characters),
        "_network_config": config,
        "network_": network,
    }


def _load_reader(form, characters, options):
    """Return a recognizer that reads at several sizes."""
    downsampling = "pooling" if FORMS[form]["pooling"] else "stride"
    recognizer = CaptchaRecognizer(downsampling=downsampling, **options)
    recognizer._check_params()
    recognizer._set_fitted(
        {
            **_load_network(form, characters, recognizer.device),
            "has_empty_labels_": False,
            "background_": copy_color(recognizer.background),
            "image_height_": 40,
            "text_rows_": ALL_ROWS,
            "width_stretch_": 1.0,
            "scales_": _SCALES,
            "color_mode_": "rgb",
            "training_images_": None,
            "loss_curve_": [],
            "learning_rate_curve_": [],
            "n_iter_": 0,
            "validation_scores_": None,
            "best_validation_score_": None,
            "n_restarts_": 0,
            "temperature_": 1.0,
            "converged_": True,
            "auto_choices_": {},
        }
    )
    return recognizer


def _choose_sizes(ensemble, X, n_sizes, vocabulary=None):
    """Leave the networks and sizes that agree most with what all read together."""
    readers = ensemble.estimators_
    allowed = None if vocabulary is None else ensemble._find_allowed(vocabulary)
    options = {"background": readers[0].background, "n_jobs": readers[0].n_jobs}
    images = read_images(check_images(X)[:MAX_SCANNED], **options)
    ink = np.mean([measure_ink(image) for image in images], axis=0)
    rows = choose_rows(ink, [image.shape[:2] for image in images])
    for reader in readers:
        reader.text_rows_ = rows
    total = np.zeros((len(readers), len(_SCALES)))
    for _, frames in ensemble.iter_frames(images):
        text = find_texts(ensemble, frames, allowed=allowed)[0][0]
        symbols = [tuple(map(int, ensemble.vocabulary_.encode(text)))]
        found = [
            sequence_log_probability(one[:, None], [len(one)], symbols, blank=BLANK)
            for one in frames
        ]
        total += np.maximum(found, _LEAST).reshape(total.shape)
    chosen = np.zeros(total.size, dtype=bool)
    chosen[np.argsort(-total, axis=None, kind="stable")[:n_sizes]] = True
    for reader, is_chosen in zip(readers, chosen.reshape(total.shape), strict=True):
        reader.scales_ = tuple(_SCALES[i] for i in np.flatnonzero(is_chosen))
    ensemble.estimators_ = [reader for reader in readers if reader.scales_]
    ensemble.estimator = ensemble.estimators_[0]
    if n_sizes == 1:
        (reader,) = ensemble.estimators_
        ((reader.image_height_, reader.width_stretch_),) = reader.scales_
        del reader.scales_
