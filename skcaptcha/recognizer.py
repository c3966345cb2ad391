"""The estimator."""

import math
import os
import secrets
import warnings
from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from skcaptcha._callbacks import EpochTasks
from skcaptcha._fitting import (
    check_unchanged,
    choose_start,
    make_settings,
    make_vocabulary,
)
from skcaptcha._reader import (
    collect,
    find_texts,
    iterate_frames,
    make_search,
    normalize_frames,
    score_reading,
)
from skcaptcha._skipping import Skipped
from skcaptcha._threads import survive_fork
from skcaptcha._validation import (
    check_device,
    check_ints,
    check_same_length,
    check_shape,
    check_text_table,
    check_texts,
    is_table,
    iterate_items,
)
from skcaptcha.images._prepare import WHOLE, choose_height, choose_rows, choose_stretch
from skcaptcha.images._samples import hold_out, read_samples
from skcaptcha.model.decoding import beam_search, check_length, sequence_log_probability
from skcaptcha.model.inference import run_network
from skcaptcha.persistence._state import DURING_FIT, pack_state, unpack_state
from skcaptcha.training.checkpoint import Checkpoint, ReadOnlyCheckpoint
from skcaptcha.training.distributed import SingleProcess, join_processes
from skcaptcha.training.fit import fit_network, fit_one_epoch
from skcaptcha.vocabulary import BLANK, Vocabulary

__all__ = ["CaptchaRecognizer"]

# What only a fit on a 2-D X sets.
_TABLE_ATTRIBUTES = (
    "n_features_in_",
    "feature_names_in_",
    "feature_range_",
    "image_shape_",
)


class CaptchaRecognizer(CallbackSupportMixin, BaseEstimator):
    """Reader of short text images, trained on labeled examples.

    A convolutional recurrent network [1]_ is trained by connectionist temporal
    classification (CTC) [2]_. It learns from the labels alone which characters there
    are; nothing has to be said about where they stand. Images may differ in size and
    texts in length.

    Parameters
    ----------
    vocabulary : str or sequence of str, default=None
        The characters that can be read. None learns them from the labels. A character
        is a grapheme cluster after NFC normalization: a letter with its accents is one.
    image_height : int or "auto", default="auto"
        Height in pixels to which images are resized, their aspect ratio kept. "auto"
        is the median height of the training images up to 40, four fifths of it if
        that is more, from 32 to 56. Rows far above and below the text, where that is
        a band in higher images, are cut off before.
    image_shape : tuple of int, default=None
        (H, W) or (H, W, C) of the images that the rows of a 2-D `X` hold. None takes
        the two factors of the number of features that are nearest to each other, the
        larger one as the width. Other forms of `X` have no use for it.
    color_mode : {"auto", "grayscale", "rgb"}, default="auto"
        What the network sees. "auto" is "rgb" if training images have color.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal
        code that Pillow knows, or three values from 0 to 255.
    conv_channels : tuple of int, default=(24, 48, 96, 128, 128)
        Output channels of each convolution block, at least two. Each block halves the
        height; of what the last one leaves only the strongest answers count, so give
        as many blocks as bring `image_height` down to one or two rows.
    lstm_units : int, default=128
        Units of each direction of each LSTM.
    lstm_layers : int, default=1
        Number of bidirectional LSTMs. 0 leaves the reading to the convolutions.
    dropout : float, default=0.3
        Share of the features that are dropped while training, in [0, 1).
    pretrained : bool or "auto", default="auto"
        Whether training starts from weights that ship with the package, learned on
        drawn images of digits and Latin letters, rather than from random ones. It
        then takes fewer images and less time, also for other characters. "auto" does
        so if `conv_channels`, `lstm_units` and `lstm_layers` are the default ones,
        those of the weights.
    augmentation : float, default=1.0
        Strength of the random rotation, shear, scale and shift of training images; 0
        turns it off, 1 is at most 6 degrees of rotation. It fades, as does the
        dropout, while the learning rate is lowered in the end.
    batch_size : int or "auto", default="auto"
        Images in each update. "auto" is 8, and 16 from 2000 training images on.
    learning_rate_init : float, default=0.003
        Learning rate of AdamW before it is lowered.
    weight_decay : float, default=0.01
        Decoupled weight decay, spared to biases and normalization.
    max_iter : int or "auto", default="auto"
        Largest number of epochs. "auto" is 20, and 30 from 5000 training images on;
        more where these are less than 2500 updates, and fewer, but at least 5, where
        they are more than 20000 or go through more than 3e9 pixels.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out `validation_fraction` of the samples, keep the weights
        that read most of them, and lower the learning rate when that number no longer
        grows. Without it the training loss decides, and the last weights are kept.
        "auto" holds out from 5000 samples on, and at most 500 of them.
    validation_fraction : float, default=0.1
        Share of the samples to hold out, in (0, 1). Only used with early stopping.
    n_iter_no_change : int, default=10
        Epochs without an improvement by `tol`, 400 updates at the least, after which
        the learning rate is lowered to zero, which ends the fit.
    tol : float, default=1e-4
        Improvement of the exact match on the held-out samples, or of the loss where
        none are held out, that counts.
    warm_start : bool, default=False
        Whether `fit` goes on from the network of an earlier fit instead of a new one.
        Characters that are new in the labels are added, with weights of their own;
        how images are resized stays as it was.
    freeze_convolutions : bool, default=False
        Whether the convolutions stay as they are while the rest learns, the
        pretrained ones or, with ``warm_start=True`` or in `partial_fit`, those of the
        earlier fit. That takes half the time and reads less well than learning with
        all.
    decoder : {"greedy", "beam"}, default="greedy"
        How texts are found: the best path, or a prefix beam search, which is slower
        and sums over the paths of a text.
    beam_width : int, default=10
        Texts that the beam search follows. Only used with ``decoder="beam"``.
    checkpoint : str or path-like, default=None
        File in which `fit` keeps its state, so that one that was killed goes on from
        there when it is called again with the same images, labels and parameters, on
        the CPU to the very weights that it would have found. A file that is damaged
        or of another fit is refused; each fit needs a file of its own, also each
        candidate of a search. A fit that ends deletes it; one that was interrupted
        or that failed leaves it. None keeps nothing.
    checkpoint_interval : float, default=60.0
        Seconds between two writes of the checkpoint at the least; 0 writes it before
        each update of the weights. Only used with `checkpoint`.
    device : str, default="auto"
        Where to train and predict, such as "cpu", "cuda" or "cuda:1". "auto" is CUDA
        when there is any. A fitted recognizer predicts where it was trained, and on
        the CPU where it is loaded on a machine without its device.
    n_jobs : int, default=None
        Threads that decode images, which the network meanwhile need not wait for. None
        is one for each core, up to 8, and one within a job of joblib's, or what
        ``joblib.parallel_config`` says; -1 is one for each core.
    cache_size : float, default=1000
        Megabytes of memory that the resized training images may take. Where they take
        more, they wait in a temporary file, in the folder that the environment
        variable ``TMPDIR`` names. The result of the fit is the same.
    random_state : int, RandomState instance or None, default=None
        Determines the weights at the start, the held-out samples, the order of the
        samples, dropout and augmentation. Pass an int for the same result in each fit
        on the CPU of the same machine. None draws from the operating system; NumPy's
        and PyTorch's global generators are never touched.
    verbose : bool or int, default=False
        Whether to show a progress bar on standard error.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The characters that can be read.
    network_ : torch.nn.Module
        The trained network.
    image_height_ : int
        Height in pixels to which images are resized.
    text_rows_ : tuple of float
        The rows of an image that are read, from where to where as shares of its
        height; (0, 1) is all of them.
    width_stretch_ : float
        Factor by which images are widened so that each character gets enough time
        steps; 1 leaves the aspect ratio as it is.
    color_mode_ : {"grayscale", "rgb"}
        What the network sees.
    loss_curve_ : list of float
        Mean loss a character of each epoch: of the uniform alignment in the first
        ones, of CTC from there on. Epochs that go on from earlier ones are appended.
    learning_rate_curve_ : list of float
        Learning rate at the end of each epoch; NaN for epochs of a recognizer that was
        saved before it was kept.
    validation_scores_ : list of float or None
        Exact match on the held-out samples after each epoch of the last fit; None if
        none were held out.
    best_validation_score_ : float or None
        Exact match of the kept weights on the held-out samples.
    n_iter_ : int
        Number of epochs, as long as `loss_curve_`.
    converged_ : bool
        Whether the network learned to read at all, rather than stay on the plateau
        where it reads nothing.
    n_restarts_ : int
        How often training started again because it stayed on that plateau, or its
        loss was no longer finite.
    temperature_ : float
        What the last fit divided the logits by in its end, so that on the held-out
        samples the mean confidence is no more than the exact match; 1 if none were
        held out.
    background_ : str or tuple of int
        Color on which transparent images are composited.
    image_shape_ : tuple of int
        Shape of the images in the rows of a 2-D `X`. Only defined for such.
    n_features_in_ : int
        Number of features of a 2-D `X`. Only defined for such.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features of a data frame. Only defined for such.
    feature_range_ : tuple of float
        Smallest and largest number of a 2-D `X`, black and white. Only defined for
        such.

    See Also
    --------
    skcaptcha.datasets.load_image_folder : Paths and labels of a folder of images.
    skcaptcha.metrics.recognition_report : What was read right and what was not.

    Notes
    -----
    Training starts from the pretrained weights. A network of another form, or with
    ``pretrained=False``, starts from random ones and an even spread of each label over
    its image, and only then goes over to CTC, which else tends to stay where every time
    step is blank. The fit watches for that all the same, and starts again where it
    must, with such a spread.

    While it trains, a second CTC head reads from the convolutions alone, lest they
    leave to the LSTMs what they could learn themselves [3]_; it is dropped after.

    An image reads the same in whatever company: batches are padded, the padding is
    masked throughout.

    References
    ----------
    .. [1] B. Shi, X. Bai, C. Yao, "An End-to-End Trainable Neural Network for
       Image-based Sequence Recognition and Its Application to Scene Text
       Recognition", TPAMI 39(11), 2017.
    .. [2] A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal
       Classification: Labeling Unsegmented Sequence Data with Recurrent Neural
       Networks", ICML 2006.
    .. [3] J. Lee, S. Watanabe, "Intermediate Loss Regularization for CTC-based Speech
       Recognition", ICASSP 2021.

    Examples
    --------
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> images, texts = make_captchas(
    ...     100,
    ...     vocabulary="0123",
    ...     length=2,
    ...     size=(16, 40),
    ...     lines=0,
    ...     dots=0,
    ...     random_state=0,
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=50, random_state=0)
    >>> recognizer.fit(images[:80], texts[:80])
    CaptchaRecognizer(max_iter=50, random_state=0)
    >>> recognizer.predict(images[80:]).shape
    (20,)
    >>> bool(recognizer.score(images[80:], texts[80:]) > 0.5)
    True
    """

    _parameter_constraints = {
        "vocabulary": [str, "array-like", Vocabulary, None],
        "image_height": [
            Interval(Integral, 8, 512, closed="both"),
            StrOptions({"auto"}),
        ],
        "image_shape": [tuple, list, None],
        "color_mode": [StrOptions({"auto", "grayscale", "rgb"})],
        "background": [str, tuple, list],
        "conv_channels": ["array-like"],
        "lstm_units": [Interval(Integral, 1, None, closed="left")],
        "lstm_layers": [Interval(Integral, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "pretrained": ["boolean", StrOptions({"auto"})],
        "augmentation": [Interval(Real, 0, 5, closed="both")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "freeze_convolutions": ["boolean"],
        "decoder": [StrOptions({"greedy", "beam"})],
        "beam_width": [Interval(Integral, 1, None, closed="left")],
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
        "device": [str],
        "n_jobs": [Integral, None],
        "cache_size": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        vocabulary=None,
        image_height="auto",
        image_shape=None,
        color_mode="auto",
        background="white",
        conv_channels=(24, 48, 96, 128, 128),
        lstm_units=128,
        lstm_layers=1,
        dropout=0.3,
        pretrained="auto",
        augmentation=1.0,
        batch_size="auto",
        learning_rate_init=3e-3,
        weight_decay=1e-2,
        max_iter="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        freeze_convolutions=False,
        decoder="greedy",
        beam_width=10,
        checkpoint=None,
        checkpoint_interval=60.0,
        device="auto",
        n_jobs=None,
        cache_size=1000,
        random_state=None,
        verbose=False,
    ):
        self.vocabulary = vocabulary
        self.image_height = image_height
        self.image_shape = image_shape
        self.color_mode = color_mode
        self.background = background
        self.conv_channels = conv_channels
        self.lstm_units = lstm_units
        self.lstm_layers = lstm_layers
        self.dropout = dropout
        self.pretrained = pretrained
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.freeze_convolutions = freeze_convolutions
        self.decoder = decoder
        self.beam_width = beam_width
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.device = device
        self.n_jobs = n_jobs
        self.cache_size = cache_size
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Learn to read from labeled images.

        Parameters
        ----------
        X : sequence of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Paths, encoded bytes, PIL images, or arrays of shape (H, W) or (H, W, C),
            also mixed and of differing sizes; or one flattened image a row. Of a
            generator a list is made first.
        y : sequence of str of length n_samples
            The text that each image shows. Integers, and whole floats of a table,
            are read as their decimal text, with a warning.

        Returns
        -------
        CaptchaRecognizer
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an image or a label cannot be used; the message names it.
            Also if the checkpoint is damaged or of another fit, or if training
            diverged from the start. The estimator is then left as it was.
        TypeError
            If an image or a label has a type that cannot be one.
        FileNotFoundError
            If the file of an image does not exist.
        MemoryError
            If there is too little memory for `cache_size`, or a GPU has too little for
            a single image.
        skcaptcha.exceptions.CacheError
            If the training images take more than `cache_size`, and the temporary file
            for them cannot be written.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the network has not learned to read, or updates were left out because
            their loss or gradients were not finite.
        UserWarning
            If training was interrupted, a checkpoint could not be written, or a GPU
            has too little memory for a batch, which is then learned from in parts.
        """
        return self._fit_or_restore(X, y)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y):
        """Learn on from labeled images, one pass over them.

        The learning rate stays at `learning_rate_init`: where a stream of images ends
        is not known. The first call settles how images are resized, whether the
        network sees color, and of a table which numbers are black and white; a
        character that is new in a later call is added. To fine-tune a fitted
        recognizer on images that are all at hand, `fit` with ``warm_start=True`` does
        better, as it lowers the rate in the end.

        Parameters
        ----------
        X : sequence of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Images in any form that `fit` takes.
        y : sequence of str of length n_samples
            The text that each image shows.

        Returns
        -------
        CaptchaRecognizer
            The fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`; also if `early_stopping` is True or `checkpoint` is set, for
            which there is no use here.

        Notes
        -----
        What the optimizer keeps from call to call is neither saved nor copied: a
        recognizer that was loaded learns on with a fresh one, and so does one that
        learns a new character. `random_state` counts at the first call. Callbacks are
        told of `fit` alone.
        """
        if self.early_stopping not in (False, "auto"):
            raise ValueError(
                "partial_fit does not support early_stopping=True; set it to False or "
                "'auto', and score held-out images between the calls."
            )
        if self.checkpoint is not None:
            raise ValueError(
                "partial_fit does not support checkpoint="
                f"{os.fspath(self.checkpoint)!r}; set it to None, and save the "
                "recognizer between the calls, by joblib.dump."
            )
        return self._fit_or_restore(X, y, incremental=True)

    def predict(self, X, *, length=None, vocabulary=None, on_error="raise"):
        """Read images.

        Parameters
        ----------
        X : iterable of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Images in any form that `fit` takes. A few hundred are read at a time, so
            that neither many paths nor a generator take much memory.
        length : int, tuple of int or dict, default=None
            Number of characters that each text has: a number, an inclusive range
            (min, max), or a mapping from each allowed number to its weight, by which
            texts are ranked.
        vocabulary : str or sequence of str, default=None
            Characters to which the texts are restricted, part of `vocabulary_`.
        on_error : {"raise", "skip"}, default="raise"
            What to do where an image cannot be read, or no text of an allowed length
            fits into it: raise the error, or go on without it. Each other text is
            where it would be.

        Returns
        -------
        ndarray of shape (n_samples,), dtype object
            The texts, each a str; None for an image that was skipped.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        ValueError
            If an image cannot be read, or no text of an allowed length fits into it.
            With ``on_error="skip"`` only for what concerns all images.
        TypeError
            If an image has a type that cannot be one.
        FileNotFoundError
            If the file of an image does not exist.

        Warns
        -----
        skcaptcha.exceptions.SkippedImageWarning
            If images were skipped; it says how many, and of the first ones why.
        """
        items, skipped = self._check_items(X), Skipped(on_error)
        return self._predict_texts(items, skipped, length, vocabulary)

    def predict_confidence(self, X, *, length=None, vocabulary=None, on_error="raise"):
        """Return how probable the texts are that `predict` returns.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            The probability of each text under CTC, summed over its alignments; NaN
            for an image that was skipped. Where `early_stopping` held samples out, it
            is calibrated on them. With `length` or `vocabulary` it is still that of
            the unrestricted network.
        """

        def log_probability(symbols, frames):
            return sequence_log_probability(
                frames[:, None], [len(frames)], [symbols], blank=BLANK
            )[0]

        items, skipped = self._check_items(X), Skipped(on_error)
        found = self._search(items, skipped, length, vocabulary, exact=True)
        return np.exp(collect(found, log_probability, skipped, missing=np.nan))

    def predict_topk(self, X, k=5, *, length=None, vocabulary=None, on_error="raise"):
        """Return the most probable texts of each image.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.
        k : int, default=5
            Number of texts.

        Returns
        -------
        list of list of (str, float)
            For each image up to `k` texts with their probabilities, best first, found
            by a beam search of width `beam_width`, or `k` if that is larger; None for
            an image that was skipped.
        """
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"k={k!r}; pass an int of at least 1.")

        def make_row(found, _):
            return [
                (self.vocabulary_.decode(symbols), math.exp(log_probability))
                for symbols, log_probability in found
            ]

        items, skipped = self._check_items(X), Skipped(on_error)
        search = partial(beam_search, beam_width=max(self.beam_width, k), n_best=k)
        found = self._search(items, skipped, length, vocabulary, search, exact=True)
        return collect(found, make_row, skipped)

    def frame_log_proba(self, X, *, on_error="raise"):
        """Return what the network says of each time step.

        Parameters
        ----------
        X : iterable of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Images in any form that `fit` takes.
        on_error : {"raise", "skip"}, default="raise"
            As for `predict`.

        Returns
        -------
        list of ndarray of shape (T, K)
            Log-probabilities for each image: class 0 is the blank, class i the
            character ``vocabulary_.characters[i - 1]``. T goes with the width. None
            for an image that was skipped.
        """
        items, skipped = self._check_items(X), Skipped(on_error)
        return collect(self._frames(items, skipped), lambda frames: frames, skipped)

    def score(self, X, y):
        """Return the exact match: the share of images whose whole text is right.

        Parameters
        ----------
        X : iterable of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Images in any form that `fit` takes.
        y : sequence of str of length n_samples
            The text that each image shows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        items = self._check_items(X)
        return score_reading(partial(self._predict_texts, items, Skipped()), X, y)

    def __sklearn_is_fitted__(self):
        """Tell scikit-learn whether `fit` has been called."""
        return hasattr(self, "network_")

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    def __getstate__(self):
        """Return a state in which the weights are plain NumPy arrays."""
        return pack_state(super().__getstate__())

    def __setstate__(self, state):
        """Build the network anew from a state, on the device if there is one."""
        survive_fork()
        state = unpack_state(state, type(self))
        if "network_" in state:
            try:
                device = check_device(state["device"])
            except ValueError:
                device = torch.device("cpu")
            state["network_"].to(device)
            state.setdefault("temperature_", 1.0)  # of before it was kept
        super().__setstate__(state)

    def _fit_or_restore(self, X, y, *, incremental=False):
        survive_fork()
        before = dict(vars(self))
        try:
            with SingleProcess() if incremental else join_processes() as team:
                return self._fit(X, y, incremental, team)
        except BaseException:
            now = vars(self)
            now.update(before)  # first, as another thread may be reading
            for name in now.keys() - before.keys() - set(DURING_FIT):
                del now[name]
            raise

    def _fit(self, X, y, incremental, team):
        going_on = (incremental or self.warm_start) and self.__sklearn_is_fitted__()
        self._validate_params()  # which scikit-learn does at a first partial_fit alone
        device = check_device(self.device)
        conv_channels = check_ints("conv_channels", self.conv_channels, (2, 12))
        checkpoint = None
        if self.checkpoint is not None and team.rank == 0:
            checkpoint = Checkpoint(self.checkpoint, self.checkpoint_interval)
        if going_on:
            check_unchanged(self, conv_channels)
        items, texts = self._check_data(X, y, going_on, least=1 if incremental else 2)
        vocabulary, samples = self._read_samples(items, texts, going_on)
        if not is_table(X):
            X = items
        del items  # of a table they are a copy, and training needs the samples alone
        rng = self.random_state
        if checkpoint is not None:
            network = self.network_ if going_on else None
            params = self.get_params()
            checkpoint.claim(params, samples, texts, vocabulary, device, network)
        seed = secrets.randbits(32) if checkpoint is None else checkpoint.seed
        seed, kept = team.first((seed, checkpoint and checkpoint.kept))
        if kept and team.rank > 0:
            checkpoint = ReadOnlyCheckpoint(*kept)
        # For scikit-learn None is NumPy's global generator, which a fit would advance.
        rng = check_random_state(seed if rng is None else rng)
        shape = {
            "n_classes": vocabulary.n_classes,
            "in_channels": 3 if self.color_mode_ == "rgb" else 1,
            "conv_channels": conv_channels,
            "lstm_units": self.lstm_units,
            "lstm_layers": self.lstm_layers,
            "dropout": self.dropout,
        }
        if incremental:
            return self._fit_epoch(shape, vocabulary, samples, device, rng, going_on)
        training, validation = hold_out(
            samples, rng, self.early_stopping, self.validation_fraction
        )
        settings = make_settings(self, training, device)
        generator = _make_generator(rng)
        start, aligned = choose_start(self, shape, vocabulary, generator, going_on)
        context = self._init_callback_context(max_subtasks=settings.max_iter)
        tasks = EpochTasks(
            self,
            context,
            X,
            texts,
            settled={"vocabulary_": vocabulary, "_network_shape": shape},
            earlier=self._curves(going_on),
        )
        context.call_on_fit_task_begin(estimator=self, X=tasks.X, y=tasks.y)
        with team.hold_interrupts():
            result = fit_network(
                shape,
                training,
                validation,
                settings,
                generator,
                start=start,
                aligned=aligned,
                callbacks=tasks,
                checkpoint=checkpoint,
                processes=team,
            )
        vars(self).update(tasks.attributes(result.network, result))
        vars(self).pop("_trainer", None)
        for message, category in result.warnings:
            warnings.warn(message, category, stacklevel=5)
        context.call_on_fit_task_end(
            estimator=self, X=tasks.X, y=tasks.y, reconstruction_attributes=dict
        )
        if checkpoint is not None and not result.interrupted:
            checkpoint.remove()
        return self

    def _check_data(self, X, y, going_on, least, stacklevel=7):
        """Return the images as a list and their texts, checked and not yet read."""
        texts = check_texts(y, whole_floats=is_table(X), stacklevel=stacklevel)
        items = list(self._check_items(X, reset=not going_on))
        check_same_length(items, texts)
        if len(texts) < least:
            raise ValueError(
                f"n_samples={len(texts)} is too few to train on; pass at least {least} "
                "images."
            )
        return items, texts

    def _read_samples(self, items, texts, going_on):
        """Return the vocabulary, and the samples as the network takes them."""
        known = self.vocabulary_ if going_on else None
        vocabulary = make_vocabulary(self.vocabulary, known, texts)
        targets = [vocabulary.encode(text, f"y[{i}]") for i, text in enumerate(texts)]
        samples = read_samples(
            items,
            targets,
            settle=partial(self._settle_size, targets, texts, going_on),
            background=self.background,
            n_jobs=self.n_jobs,
            cache_size=self.cache_size,
        )
        return vocabulary, samples

    def _fit_epoch(self, shape, vocabulary, samples, device, rng, going_on):
        settings = make_settings(self, samples, device)
        generator = _make_generator(rng)
        start, aligned = choose_start(self, shape, vocabulary, generator, going_on)
        trainer, result = fit_one_epoch(
            getattr(self, "_trainer", None),
            shape,
            samples,
            settings,
            generator,
            start=start,
            aligned=aligned,
        )
        for message, category in result.warnings:
            warnings.warn(message, category, stacklevel=6)
        self._trainer, self._network_shape = trainer, shape
        self.vocabulary_ = vocabulary
        self.network_ = trainer.network
        self.converged_, self.n_restarts_ = result.converged, result.n_restarts
        curves = self._curves(going_on)
        self.loss_curve_ = [*curves["loss_curve_"], *result.loss_curve]
        self.learning_rate_curve_ = [
            *curves["learning_rate_curve_"],
            *result.learning_rate_curve,
        ]
        self.n_iter_ = len(self.loss_curve_)
        self.validation_scores_ = self.best_validation_score_ = None
        self.temperature_ = 1.0
        return self

    def _curves(self, going_on):
        """Return the curves of the epochs before, by attribute."""
        losses = self.loss_curve_ if going_on else []
        rates = [math.nan] * len(losses)
        if going_on:
            rates = vars(self).get("learning_rate_curve_", rates)
        return {"loss_curve_": losses, "learning_rate_curve_": rates}

    def _settle_size(self, targets, texts, going_on, sizes, colored, ink):
        """Return how images are cut and resized, which the first fit settles."""
        if not going_on:
            self.background_ = self.background
            self.color_mode_ = self.color_mode
            if self.color_mode == "auto":
                self.color_mode_ = "rgb" if colored else "grayscale"
            self.image_height_, self.text_rows_ = self.image_height, WHOLE
            if self.image_height == "auto":
                self.text_rows_ = choose_rows(ink, sizes)
                self.image_height_ = choose_height(sizes, self.text_rows_)
        fixed = self.width_stretch_ if going_on else None
        self.width_stretch_ = choose_stretch(
            sizes, targets, texts, self.image_height_, fixed, self.text_rows_
        )
        return self._size()

    def _size(self):
        return {
            "height": self.image_height_,
            "stretch": self.width_stretch_,
            "color_mode": self.color_mode_,
            "rows": self.text_rows_,
        }

    def _check_items(self, X, *, reset=False):
        """Return an iterator over the items of `X`, checked and not yet decoded."""
        if reset:
            for name in _TABLE_ATTRIBUTES:  # of an earlier fit
                vars(self).pop(name, None)
        else:
            check_is_fitted(self)
            self._validate_params()
        if not is_table(X):
            return iterate_items(X)
        check_text_table(X)
        if not reset and not hasattr(self, "feature_range_"):
            raise ValueError(
                "X is a 2-D array, one flattened image a row, but fit was given "
                "images; pass images, such as a list of 2-D arrays."
            )
        X = validate_data(self, X, reset=reset, dtype="numeric")
        if reset:
            shape = self.image_shape
            if shape is not None:
                shape = check_ints("image_shape", shape, (2, 3))
            self.image_shape_ = check_shape(shape, X.shape[1])
            self.feature_range_ = (float(X.min()), float(X.max()))
        low, high = self.feature_range_

        def make_image(row):
            scaled = (row.astype(np.float64) - low) / ((high - low) or 1.0)
            pixels = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
            return pixels.reshape(self.image_shape_)

        return map(make_image, X)

    def _predict_texts(self, items, skipped, length=None, vocabulary=None):
        def decode(symbols, _):
            return self.vocabulary_.decode(symbols)

        found = self._search(items, skipped, length, vocabulary)
        return np.array(collect(found, decode, skipped, stacklevel=5), dtype=object)

    def _frames(self, items, skipped):
        survive_fork()
        return iterate_frames(
            partial(run_network, self.network_),
            items,
            skipped,
            background=self.background_,
            n_jobs=self.n_jobs,
            **self._size(),
        )

    def _search(self, items, skipped, length, vocabulary, search=None, *, exact=False):
        """Yield position, what `search` finds and log-probabilities of each item."""
        check_length(length)
        allowed = None
        if vocabulary is not None:
            try:
                allowed = self.vocabulary_.indices(vocabulary)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"vocabulary={vocabulary!r}: name some of the characters of "
                    f"`vocabulary_`, each once ({error})"
                ) from error
        if search is None:
            search = make_search(self.decoder, self.beam_width, length)
        frames = self._frames(items, skipped)
        if exact:
            frames = normalize_frames(frames)
        return find_texts(frames, search, skipped, length=length, allowed=allowed)


def _make_generator(rng):
    return torch.Generator().manual_seed(int(rng.randint(np.iinfo(np.int32).max)))
