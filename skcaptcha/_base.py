"""The halves of the estimators that read, which need no scikit-learn.

The command line reads with them alone, as scikit-learn takes long to load.
"""

import itertools
import math
from functools import partial

from skcaptcha._frames import (
    find_scales,
    input_size_of,
    input_sizes_of,
    iterate_frames,
)
from skcaptcha._parameters import RECOGNIZER_PARAMS, check_params
from skcaptcha._reader import ReaderMixin, check_fitted
from skcaptcha._tables import is_table, read_table
from skcaptcha._threads import survive_fork
from skcaptcha._validation import issue_warnings, iterate_items
from skcaptcha.images._likeness import merge
from skcaptcha.images._prepare import prepare_image
from skcaptcha.images._read import is_error, iterate_images
from skcaptcha.persistence._state import unpack_state

# What computes the network is imported where it is needed: PyTorch takes long, too.


class BaseRecognizer(ReaderMixin):
    """What `CaptchaRecognizer` is made with, and how it reads."""

    def __init__(
        self,
        *,
        vocabulary=None,
        image_height="auto",
        image_shape=None,
        color_mode="auto",
        background="white",
        conv_channels=(24, 48, 96, 128, 128),
        network_size="auto",
        downsampling="pooling",
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
        multi_scale=True,
        backend="torch",
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
        self.network_size = network_size
        self.downsampling = downsampling
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
        self.multi_scale = multi_scale
        self.backend = backend
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.device = device
        self.n_jobs = n_jobs
        self.cache_size = cache_size
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_is_fitted__(self):
        """Tell scikit-learn whether `fit` has been called."""
        return hasattr(self, "network_")

    def iter_frames(
        self,
        X,
        *,
        on_error="raise",
        multi_scale=None,
        notices=None,
        widths=None,
        seen=None,
    ):
        """Return an iterator over what the network says of each image.

        Parameters
        ----------
        X
            As for `predict`.
        on_error : {"raise", "skip"}, default="raise"
            What to do where an image cannot be read: raise its error, or yield it.
        multi_scale : bool, default=None
            Takes the place of the parameter; None leaves that as it is.
        notices : list, optional
            Gets a (message, category) for what there is to warn of.
        widths : dict, optional
            Gets the number of columns of each image, by position.
        seen : object, optional
            Counts images that are unlike the training images, for a warning.

        Yields
        ------
        position : int
            Position in `X`. Images of a few hundred come in any order.
        frames : list of ndarray of shape (T, K), or Exception
            The log-probabilities, as `frame_log_proba` returns them, at each size at
            which an image is read: one, four where it is read again, or those of the
            recognizer of `load_pretrained`.
        """
        from skcaptcha.export._network import OnnxNetwork
        from skcaptcha.model.inference import run_network
        from skcaptcha.model.prepared import PreparedNetwork, prepare

        items = self._check_images(X)
        survive_fork()
        if multi_scale is None:
            multi_scale = self.multi_scale
        make = OnnxNetwork if self.backend == "onnx" else PreparedNetwork
        return iterate_frames(
            partial(run_network, prepare(self.network_, make), notices=notices),
            items,
            input_sizes=input_sizes_of(self),
            background=self.background_,
            n_jobs=self.n_jobs,
            on_error=on_error,
            multi_scale=multi_scale,
            widths=widths,
            seen=seen,
        )

    def prepare_images(self, X):
        """Return images as the network sees them: cut, resized, gray or RGB.

        Parameters
        ----------
        X
            As for `predict`.

        Returns
        -------
        list of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        """
        images = iterate_images(
            self._check_images(X),
            partial(prepare_image, **input_size_of(self)),
            background=self.background_,
            n_jobs=self.n_jobs,
        )
        return [x[:, :, 0] if x.shape[2] == 1 else x for x in images]

    def _check_params(self):
        """Raise an error unless all parameters can be used."""
        check_params(self, RECOGNIZER_PARAMS)
        if self.backend == "onnx":
            from skcaptcha.export._network import check_onnx

            check_onnx()

    def _check_images(self, X):
        """Return an iterator over the items of `X`, checked and not yet decoded."""
        check_fitted(self)
        self._check_params()
        return read_table(self, X) if is_table(X) else iterate_items(X)

    def _restore(self, state):
        """Return the attributes of a saved state, its network on the device."""
        from skcaptcha._modes import own_modes
        from skcaptcha.model.device import move_saved

        survive_fork()
        with own_modes():  # or a later fit could not learn from the weights
            state = unpack_state(state, type(self))
            if "network_" in state:
                issue_warnings(move_saved(state["network_"], state["device"]))
        return state


def _make_property(name, doc):
    """Return a property with the value of the first recognizer."""
    return property(lambda ensemble: getattr(ensemble._first, name), doc=doc)


class BaseEnsemble(ReaderMixin):
    """How `CaptchaEnsemble` reads."""

    def __sklearn_is_fitted__(self):
        """Tell scikit-learn whether `fit` has been called."""
        return hasattr(self, "estimators_")

    def iter_frames(
        self,
        X,
        *,
        on_error="raise",
        multi_scale=None,
        notices=None,
        widths=None,
        seen=None,
    ):
        """Return an iterator over the log-probabilities of each image.

        Parameters
        ----------
        X, on_error, multi_scale, notices, widths, seen
            As for `CaptchaRecognizer.iter_frames`.

        Yields
        ------
        position : int
            Position in `X`; within a few hundred images in any order.
        frames : list of ndarray of shape (T, K), or Exception
            The log-probabilities of each recognizer, as many of each.
        """
        check_fitted(self)
        n_members = len(self.estimators_)
        copies = [X] * n_members
        if not is_table(X):
            copies = itertools.tee(iterate_items(X), n_members)
        options = {"on_error": on_error, "multi_scale": multi_scale}
        options |= {"notices": notices, "widths": widths}
        counting = [seen] + [None] * (n_members - 1)  # each image is counted once
        streams = [
            member.iter_frames(items, **options, seen=counter)
            for member, items, counter in zip(
                self.estimators_, copies, counting, strict=True
            )
        ]
        del copies  # would keep all images
        return merge_frames(streams, alike=find_scales(self) is None)

    decoder = _make_property("decoder", "How texts are found.")
    beam_width = _make_property("beam_width", "Width of the beam search.")
    vocabulary_ = _make_property("vocabulary_", "Characters that can be predicted.")
    n_features_in_ = _make_property("n_features_in_", "Number of columns of a table.")
    feature_names_in_ = _make_property("feature_names_in_", "Names of these columns.")

    @property
    def has_empty_labels_(self):
        """Whether labels were empty, as for a `CaptchaRecognizer`."""
        check_fitted(self)
        return any(member.has_empty_labels_ for member in self.estimators_)

    @property
    def training_images_(self):
        """What the training images of all recognizers looked like."""
        check_fitted(self)
        known = [getattr(e, "training_images_", None) for e in self.estimators_]
        return merge(known)

    @property
    def _first(self):
        check_fitted(self)
        return self.estimators_[0]


def merge_frames(streams, *, alike=True):
    """Yield each position with the frames of all networks, or the first error.

    `streams` are iterators of `iter_frames`, whose orders may differ. Where one has
    more frames of an image than another, all are repeated so that the networks count
    alike, unless each frame is to.
    """
    waiting = {}
    for row in itertools.zip_longest(*streams):
        for stream, item in enumerate(row):
            if item is None:
                continue
            position, found = item
            waiting.setdefault(position, {})[stream] = found
            if len(waiting[position]) == len(streams):
                by_stream = waiting.pop(position)
                parts = [by_stream[i] for i in range(len(streams))]
                errors = [part for part in parts if is_error(part)]
                if errors:
                    yield position, errors[0]
                    continue
                if alike:
                    n_frames = math.lcm(*map(len, parts))
                    parts = [part * (n_frames // len(part)) for part in parts]
                yield position, sum(parts, [])
