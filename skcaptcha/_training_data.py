"""The data of a fit: labels, images and vocabulary, read before training."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from skcaptcha._auto import (
    RESIDUAL_BLOCKS,
    choose_height,
    choose_network_size,
    choose_rows,
    choose_stretch,
    describe_widening,
    name_size,
)
from skcaptcha._frames import input_size_of
from skcaptcha._tables import TABLE_ATTRIBUTES, is_table, learn_table, read_table
from skcaptcha._validation import (
    check_ints,
    check_same_length,
    check_texts,
    check_weights,
    iterate_items,
    name_bad_character,
)
from skcaptcha.images._likeness import merge, summarize
from skcaptcha.images._prepare import ALL_ROWS
from skcaptcha.images._samples import Samples, load_samples, scan_images
from skcaptcha.model.device import choose_device, fallback_notices
from skcaptcha.model.geometry import N_TIME_STRIDES
from skcaptcha.vocabulary import Vocabulary


@dataclass
class TrainingData:
    """Everything that a fit reads and chooses before it trains."""

    X: object  # for callbacks
    texts: list
    samples: Samples
    input_size: dict
    vocabulary: Vocabulary
    network_config: dict
    device: torch.device
    resume: bool
    training_images: dict | None  # of `summarize`
    table: dict  # attributes of `_tables.TABLE_ATTRIBUTES`
    notices: list  # warnings, for the end of the fit


def read_training_data(estimator, X, y, sample_weight=None, *, resume, n_least):
    """Check and read at least `n_least` images and labels, and return `TrainingData`.

    The estimator is not changed. `resume` continues the training of a fitted one. Of
    samples whose weight is 0 the image and the label are read and checked alone; they
    are not among the samples to train on.
    """
    device = choose_device(estimator.device, training=True)
    texts, notices = check_texts(y, whole_floats=is_table(X))
    items, table = _list_items(estimator, X, resume)
    check_same_length(items, texts)
    weights = check_weights(sample_weight, len(texts))
    n_samples = len(texts) if weights is None else np.count_nonzero(weights)
    above_zero = "" if weights is None else " whose sample_weight is above 0"
    if n_samples < n_least:
        raise ValueError(
            f"n_samples={n_samples}{above_zero} is too few to train on; pass at least "
            f"{n_least} images{above_zero}."
        )
    used = texts if weights is None else itertools.compress(texts, weights)
    if not resume and not any(used):
        raise ValueError(
            f"All {n_samples} labels in y{above_zero} are empty, so that there is no "
            "text to learn from; pass images that show text as well."
        )
    network_config = _choose_network(estimator, n_samples, resume)
    known = estimator.vocabulary_ if resume else None
    vocabulary = choose_vocabulary(estimator.vocabulary, known, texts)
    targets = [vocabulary.encode(text, f"y[{i}]") for i, text in enumerate(texts)]
    reading = {
        "background": estimator.background,
        "n_jobs": estimator.n_jobs,
        "cache_size": estimator.cache_size,
    }
    scan = scan_images(items, **reading)
    training_images = summarize(scan.measures)
    if resume:  # which may be of a model that is older than the attribute
        known_images = getattr(estimator, "training_images_", None)
        training_images = merge([known_images, training_images])
    size = _choose_input_size(estimator, scan, targets, texts, resume, items)
    if not resume:
        notices += describe_widening(scan.sizes, targets, texts, size, items)
    samples = load_samples(items, targets, scan.decoded, size, **reading)
    if weights is not None:
        samples = weigh(samples, weights)
    network_config |= {
        "n_classes": vocabulary.n_classes,
        "in_channels": 3 if size["color_mode"] == "rgb" else 1,
        "dropout": estimator.dropout,
    }
    return TrainingData(
        # The items of a table are copies, which training doesn't need.
        X=X if is_table(X) else items,
        texts=texts,
        samples=samples,
        input_size=size,
        vocabulary=vocabulary,
        network_config=network_config,
        device=device,
        resume=resume,
        training_images=training_images,
        table=table,
        notices=notices + fallback_notices(estimator.device, device, training=True),
    )


def weigh(samples, weights):
    """Return the samples with a weight above 0, and their weights with the mean 1.

    Equal weights become None, so that they change no bit of the result.
    """
    kept = np.flatnonzero(weights)
    samples, weights = samples.pick(kept), weights[kept]
    if (weights != weights[0]).any():
        weights = weights / weights.max()  # whose sum is finite
        samples.weights = (weights / weights.mean()).astype(np.float32)
    return samples


def _list_items(estimator, X, resume):
    """Return the images as a list, not decoded yet, and the attributes of a table."""
    table = {}
    if resume:
        table = {n: v for n, v in vars(estimator).items() if n in TABLE_ATTRIBUTES}
    if not is_table(X):
        images = iterate_items(X)
    elif resume:
        images = read_table(estimator, X)
    else:
        images, table = learn_table(estimator, X)
    return list(images), table


def choose_vocabulary(param, known, texts):
    """Return the vocabulary of a fit, which begins with the `known` one, if any."""
    if param is None:
        return Vocabulary.from_texts(texts) if known is None else known.extend(texts)
    vocabulary = param
    if not isinstance(vocabulary, Vocabulary):
        try:
            vocabulary = Vocabulary(vocabulary)
        except (TypeError, ValueError) as error:
            raise ValueError(f"vocabulary={vocabulary!r}: {error}") from error
    for character in vocabulary:
        if bad := name_bad_character(character):
            raise ValueError(
                f"vocabulary={param!r} holds {bad}, which no image shows; leave it out."
            )
    if known is None:
        return vocabulary
    lost = [symbol for symbol in known if symbol not in vocabulary]
    if lost:
        raise ValueError(
            f"vocabulary={param!r} lacks {lost[0]!r}, which the recognizer can read, "
            "and its training is to continue; add it, or fit anew with "
            "warm_start=False."
        )
    return known.extend(vocabulary)


def _choose_input_size(estimator, scan, targets, texts, resume, items):
    """Return the arguments of `prepare_image`."""
    if resume:
        size = input_size_of(estimator)
    else:
        size = {"height": estimator.image_height, "stretch": None, "rows": ALL_ROWS}
        size["color_mode"] = estimator.color_mode
        if estimator.color_mode == "auto":
            size["color_mode"] = "rgb" if scan.colored else "grayscale"
        if estimator.image_height == "auto":
            size["rows"] = choose_rows(scan.ink, scan.sizes)
            size["height"] = choose_height(scan.sizes, size["rows"])
        size["height"] = int(size["height"])  # which may be NumPy's
    size["stretch"] = choose_stretch(
        scan.sizes,
        targets,
        texts,
        size["height"],
        size["stretch"],
        size["rows"],
        items,
    )
    return size


def _choose_network(estimator, n_samples, resume):
    """Return the parameters of the network but for its inputs and outputs."""
    channels = check_ints("conv_channels", estimator.conv_channels, (2, 12))
    size, pooling = estimator.network_size, estimator.downsampling == "pooling"
    # The pretrained weights with strides lack the blocks that a large network adds.
    stuck = estimator.freeze_convolutions and not pooling
    if size == "auto" and resume:
        size = name_size(estimator._network_config)
    elif size == "auto":
        size = choose_network_size(n_samples, len(channels), stuck=stuck)
    elif size == "large" and not resume:
        _check_large(channels, stuck)
    config = {
        "conv_channels": channels,
        "pooling": pooling,
        "lstm_units": int(estimator.lstm_units),
        "lstm_layers": int(estimator.lstm_layers),
        "residual_blocks": RESIDUAL_BLOCKS[size],
    }
    if resume:
        _check_unchanged(estimator, config)
    return config


def _check_large(channels, stuck):
    """Raise a ValueError where the blocks of a large network were of no use."""
    reason = None
    if len(channels) <= N_TIME_STRIDES:
        reason = (
            f"adds to the convolution blocks from number {N_TIME_STRIDES + 1} on, and "
            f"conv_channels={channels!r} has {len(channels)}; give more"
        )
    elif stuck:
        reason = (
            "adds convolutions that have no pretrained weights with "
            "downsampling='stride', and freeze_convolutions=True keeps them from "
            "learning; leave one of the two out"
        )
    if reason:
        raise ValueError(f"network_size='large' {reason}, or set network_size='small'.")


def _check_unchanged(estimator, config):
    """Raise a ValueError if parameters don't match the fitted network."""
    fitted = estimator._network_config
    pairs = {
        "conv_channels": (config["conv_channels"], tuple(fitted["conv_channels"])),
        "downsampling": tuple(
            "pooling" if form["pooling"] else "stride" for form in (config, fitted)
        ),
        "network_size": (estimator.network_size, name_size(fitted)),
        "lstm_units": (config["lstm_units"], fitted["lstm_units"]),
        "lstm_layers": (config["lstm_layers"], fitted["lstm_layers"]),
        "image_height": (estimator.image_height, estimator.image_height_),
        "color_mode": (estimator.color_mode, estimator.color_mode_),
        "background": tuple(
            color if isinstance(color, str) else list(color)
            for color in (estimator.background, estimator.background_)
        ),
    }
    if estimator.image_shape is not None and hasattr(estimator, "image_shape_"):
        image_shape = check_ints("image_shape", estimator.image_shape, (2, 3))
        pairs["image_shape"] = (image_shape, estimator.image_shape_)
    for name, (value, fitted) in pairs.items():
        if value not in ("auto", fitted):
            raise ValueError(
                f"{name}={value!r} is not what the recognizer was fitted with, "
                f"{fitted!r}, and its training is to continue; set "
                f"{name}={fitted!r}, or fit anew with warm_start=False."
            )
    if not all(p.isfinite().all() for p in estimator.network_.parameters()):
        raise ValueError(
            "The weights of the recognizer are not finite: its training has "
            "destroyed them, and there is nothing to continue from. Fit anew with "
            "warm_start=False and a lower `learning_rate_init`."
        )
