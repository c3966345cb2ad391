"""A recognizer that reads before it has seen a label."""

from itertools import product

import numpy as np

from skcaptcha._auto import choose_rows
from skcaptcha._parameters import RECOGNIZER_PARAMS, check_params
from skcaptcha._reader import find_texts
from skcaptcha._validation import check_device, check_images
from skcaptcha.images import read_images
from skcaptcha.images._prepare import ALL_ROWS, measure_ink
from skcaptcha.images._read import parse_background
from skcaptcha.model.pretrained import load_whole
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import Vocabulary

# Heights and factors of the width at which an image is read; the texts found rank each
# other. Characters take half of one image's height and all of another's.
_SCALES = tuple(product((32, 40, 48, 56), (0.8, 1.0, 1.25)))
# Images from which one of them is chosen, and the least log-probability of one, so that
# no image decides alone.
_MAX_LOOKED_AT, _LEAST = 100, -10.0


def load_pretrained(
    X=None, *, network_size="auto", background="white", device="auto", n_jobs=None
):
    """Return a recognizer that reads images before any of them has a label.

    It has learned from drawn images alone: print, counters, plates, sums, captchas of
    many styles, in digits, Latin, Russian and Greek letters and ``+-*/=?×``, of 1 to 12
    characters. Text in one line and with the letters apart it reads well; hollow
    letters that overlap, or photographs, hardly. Say which characters there may be
    (``predict(X, vocabulary="0123456789")``) and how many (``length=4``), if you know:
    it then reads far better. The next step is some labels of your own: `fit` with
    ``CaptchaRecognizer()`` starts from the same weights.

    Parameters
    ----------
    X : sequence of images, default=None
        Some of the images to read, in any form that `CaptchaRecognizer.fit` takes; 20
        do, the first 100 are looked at. One size is then chosen for all images, at
        which the network is most confident: it reads 12 times as fast and can be
        exported. Without them each image is read at 12 sizes, and the text that is most
        probable at all of them together is taken (multi-scale testing [1]_), which is
        more accurate.
    network_size : {"auto", "small", "large"}, default="auto"
        Which of the pretrained networks. "auto" is the large one.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited.
    device : str, default="auto"
        Where to read, as for `CaptchaRecognizer`.
    n_jobs : int, default=None
        Threads that decode images, as for `CaptchaRecognizer`.

    Returns
    -------
    CaptchaRecognizer
        A fitted one. `fit` with ``warm_start=True`` goes on from it, at one size.

    Raises
    ------
    ValueError
        If a parameter is out of range, or an image of `X` cannot be read.

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
    >>> read = reader.predict(images, vocabulary="0123456789", length=5)
    >>> sum(read == texts) >= 3
    True
    """
    if network_size == "auto":
        network_size = "large"
    recognizer = CaptchaRecognizer(
        network_size=network_size,
        background=background,
        device=device,
        n_jobs=n_jobs,
    )
    check_params(recognizer, RECOGNIZER_PARAMS)
    parse_background(background)
    network, characters, config = load_whole(network_size)
    recognizer._set_fitted(
        {
            "vocabulary_": Vocabulary(characters),
            "has_empty_labels_": False,
            "background_": background,
            "image_height_": 40,
            "text_rows_": ALL_ROWS,
            "width_stretch_": 1.0,
            "scales_": _SCALES,
            "color_mode_": "rgb",
            "training_images_": None,
            "_network_config": config,
            "network_": network.to(check_device(device)),
            "loss_curve_": [],
            "learning_rate_curve_": [],
            "n_iter_": 0,
            "validation_scores_": None,
            "best_validation_score_": None,
            "n_restarts_": 0,
            "temperature_": 1.0,
            "converged_": True,
        }
    )
    if X is not None:
        _choose_size(recognizer, X)
    return recognizer


def _choose_size(recognizer, X):
    """Let a recognizer read at the size at which it is most confident on average."""
    options = {"background": recognizer.background, "n_jobs": recognizer.n_jobs}
    images = read_images(check_images(X)[:_MAX_LOOKED_AT], **options)
    ink = np.mean([measure_ink(image) for image in images], axis=0)
    recognizer.text_rows_ = choose_rows(ink, [image.shape[:2] for image in images])
    total = np.zeros(len(recognizer.scales_))
    for _, frames in recognizer.iter_frames(images):
        found = [find_texts(recognizer, [one], exact=True)[0][1] for one in frames]
        total += np.maximum(found, _LEAST)
    height, factor = recognizer.scales_[int(total.argmax())]
    recognizer.image_height_, recognizer.width_stretch_ = height, factor
    del recognizer.scales_
