"""What a fit settles before it trains, and what it says of the training after."""

import math

from skcaptcha._validation import check_ints
from skcaptcha.images._samples import MANY
from skcaptcha.model.pretrained import load_pretrained
from skcaptcha.training.fit import TrainingConfig
from skcaptcha.vocabulary import Vocabulary

__all__ = [
    "check_unchanged",
    "choose_start",
    "make_settings",
    "make_vocabulary",
]

# Samples from which on batches are larger.
_FOR_LARGE_BATCHES = 2000
# Passes over the samples that a fit may take, and over `MANY` samples.
_USUAL, _USUAL_OF_MANY = 20, 30
# What these may cost; and how many passes and updates a fit may take all the same.
_MOST_UPDATES, _MOST_PIXELS = 20_000, 3e9
_LEAST_PASSES, _LEAST_UPDATES = 5, 2500


def make_settings(recognizer, samples, device):
    """Return the settings of the training, those that are "auto" chosen by the samples.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Has the parameters.
    samples : Samples
        What is to be learned from.
    device : torch.device
        What trains.

    Returns
    -------
    TrainingConfig
    """
    n_samples = len(samples)
    batch_size, max_iter = recognizer.batch_size, recognizer.max_iter
    if batch_size == "auto":
        batch_size = 8 if n_samples < _FOR_LARGE_BATCHES else 16
    if max_iter == "auto":
        updates = math.ceil(n_samples / batch_size)  # of an epoch
        pixels = sum(math.prod(image.shape[:2]) for image in samples.images)
        affordable = min(math.ceil(_MOST_UPDATES / updates), int(_MOST_PIXELS / pixels))
        usual = _USUAL if n_samples < MANY else _USUAL_OF_MANY
        least = max(math.ceil(_LEAST_UPDATES / updates), _LEAST_PASSES)
        max_iter = max(least, min(usual, affordable))
    return TrainingConfig(
        batch_size=batch_size,
        learning_rate_init=recognizer.learning_rate_init,
        weight_decay=recognizer.weight_decay,
        max_iter=max_iter,
        n_iter_no_change=recognizer.n_iter_no_change,
        tol=recognizer.tol,
        augmentation=recognizer.augmentation,
        freeze_convolutions=recognizer.freeze_convolutions,
        device=device,
        verbose=bool(recognizer.verbose),
    )


def make_vocabulary(asked, known, texts):
    """Return the vocabulary of a fit.

    Parameters
    ----------
    asked : Vocabulary, str, sequence of str or None
        The parameter; None learns the characters from the labels.
    known : Vocabulary or None
        What the recognizer can read where its training goes on.
    texts : list of str
        The labels.

    Returns
    -------
    Vocabulary
        Begins with the characters of `known`.

    Raises
    ------
    ValueError
        If `asked` is no vocabulary, or lacks a character of `known`.
    """
    if asked is None:
        return Vocabulary.from_texts(texts) if known is None else known.extend(texts)
    vocabulary = asked
    if not isinstance(vocabulary, Vocabulary):
        try:
            vocabulary = Vocabulary(vocabulary)
        except (TypeError, ValueError) as error:
            raise ValueError(f"vocabulary={vocabulary!r}: {error}") from error
    if known is None:
        return vocabulary
    lost = [symbol for symbol in known if symbol not in vocabulary]
    if lost:
        raise ValueError(
            f"vocabulary={asked!r} lacks {lost[0]!r}, which the recognizer can read, "
            "and its training is to go on; add it, or fit anew with warm_start=False."
        )
    return known.extend(vocabulary)


def choose_start(recognizer, shape, vocabulary, generator, going_on):
    """Return the network to train on, None for a new one, and whether it can read.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Has the parameters, and the network where its training goes on.
    shape : dict
        The parameters of `CRNN`.
    vocabulary : Vocabulary
        The characters to read.
    generator : torch.Generator
        Draws what pretrained weights leave open.
    going_on : bool
        Whether the training goes on.

    Returns
    -------
    network : CRNN or None
    aligned : bool

    Raises
    ------
    ValueError
        If there are no pretrained weights for what insists on them.
    """
    if going_on:
        return recognizer.network_, recognizer.converged_
    start, pretrained = None, recognizer.pretrained
    if pretrained:
        start = load_pretrained(shape, vocabulary, generator)
    if start is None and pretrained not in ("auto", False):
        raise ValueError(
            f"pretrained={pretrained!r} needs the default conv_channels, "
            "lstm_units and lstm_layers, which are those of the weights; leave "
            "these parameters out, or set pretrained='auto'."
        )
    if start is None and recognizer.freeze_convolutions:
        raise ValueError(
            "freeze_convolutions=True needs convolutions that have learned "
            "something: leave the parameters of the network at their defaults and "
            "`pretrained` at 'auto', or fit with freeze_convolutions=False first, "
            "then set it and go on with warm_start=True or `partial_fit`."
        )
    return start, start is not None


def check_unchanged(recognizer, conv_channels):
    """Check that the parameters ask for what the network is, before it trains on.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        One that is fitted.
    conv_channels : tuple of int
        That parameter, checked.

    Raises
    ------
    ValueError
        If one asks for another network, or the weights are not finite.
    """
    shape = recognizer._network_shape
    pairs = {
        "conv_channels": (conv_channels, tuple(shape["conv_channels"])),
        "lstm_units": (recognizer.lstm_units, shape["lstm_units"]),
        "lstm_layers": (recognizer.lstm_layers, shape["lstm_layers"]),
        "image_height": (recognizer.image_height, recognizer.image_height_),
        "color_mode": (recognizer.color_mode, recognizer.color_mode_),
        "background": (
            _untuple(recognizer.background),
            _untuple(recognizer.background_),
        ),
    }
    if recognizer.image_shape is not None and hasattr(recognizer, "image_shape_"):
        image_shape = check_ints("image_shape", recognizer.image_shape, (2, 3))
        pairs["image_shape"] = (image_shape, recognizer.image_shape_)
    for name, (value, fitted) in pairs.items():
        if value not in ("auto", fitted):
            raise ValueError(
                f"{name}={value!r} is not what the recognizer was fitted with, "
                f"{fitted!r}, and its training is to go on; set {name}={fitted!r}, "
                "or fit anew with warm_start=False."
            )
    if not all(p.isfinite().all() for p in recognizer.network_.parameters()):
        raise ValueError(
            "The weights of the recognizer are not finite: its training has "
            "destroyed them, and there is nothing to go on from. Fit anew with "
            "warm_start=False and a lower `learning_rate_init`."
        )


def _untuple(background):
    """Return a color in the one form in which colors can be compared."""
    return background if isinstance(background, str) else list(background)
