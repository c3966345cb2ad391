"""The estimator."""

import copy
import dataclasses
import math
import os
import secrets
import sys
from functools import partial

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skcaptcha._auto import (
    AutoChoices,
    choose_batch_size,
    choose_max_iter,
    choose_n_held_out,
    name_size,
)
from skcaptcha._base import BaseRecognizer
from skcaptcha._callbacks import EpochTasks
from skcaptcha._causes import drop_repeated, find_causes, note_warned
from skcaptcha._device_errors import explain_device_errors
from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._sklearn_compat import (
    HAS_CALLBACKS,
    CallbackSupportMixin,
    with_callbacks,
)
from skcaptcha._starting_network import choose_start, find_network_config
from skcaptcha._tables import TABLE_ATTRIBUTES
from skcaptcha._threads import survive_fork
from skcaptcha._training_data import read_training_data
from skcaptcha._validation import issue_warnings
from skcaptcha.images._read import copy_color
from skcaptcha.model.device import use_device
from skcaptcha.model.network import for_reading
from skcaptcha.persistence._state import pack_state
from skcaptcha.training.checkpoint import Checkpoint, ReadOnlyCheckpoint
from skcaptcha.training.distributed import join_processes
from skcaptcha.training.fit import (
    TrainingConfig,
    fit_network,
    fit_one_epoch,
    is_part_of_more,
)

__all__ = ["CaptchaRecognizer"]


class CaptchaRecognizer(
    DocLinkMixin, BaseRecognizer, CallbackSupportMixin, BaseEstimator
):
    """Reader of short text images, trained on labeled examples.

    A convolutional recurrent network [1]_ is trained by connectionist temporal
    classification (CTC) [2]_. It learns from the labels alone which characters there
    are; you need not say where they stand. Images may differ in size and texts in
    length.

    Parameters
    ----------
    vocabulary : str or sequence of str, default=None
        The characters that can be read. None learns them from the labels. A character
        is a grapheme cluster after NFC normalization: a letter with its accents is one.
    image_height : int or "auto", default="auto"
        Height in pixels to which images are resized, their aspect ratio kept. "auto"
        is the median height of the training images up to 40, four fifths of it if
        that is more, and at most 56. Images of fewer than 36 rows are enlarged to 48,
        as more of them is then read. Rows far above and below the text are cut off
        first, where the text is a band in higher images. With a number, nothing is
        cut off.
    image_shape : tuple of int, default=None
        (H, W) or (H, W, C) of the images that the rows of a 2-D `X` hold. None takes
        the two factors of the number of features that are nearest to each other, the
        larger one as the width. Only used with a 2-D `X`.
    color_mode : {"auto", "grayscale", "rgb"}, default="auto"
        What the network sees. "auto" is "rgb" if training images have color.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal
        code that Pillow knows, or three values from 0 to 255.
    conv_channels : tuple of int, default=(24, 48, 96, 128, 128)
        Output channels of each convolution block, at least two. Each block halves the
        height, and the maximum over the rows that the last one leaves is taken. Give
        as many blocks as bring `image_height` down to one or two rows.
    network_size : {"auto", "small", "large"}, default="auto"
        "large" has two more convolutions after each block from the third one on, as
        residual blocks. It takes 1.7 times as long and may read more of hard images.
        "auto" is "large" from 5000 training images on, unless there is no such block,
        or `freeze_convolutions` is set with ``downsampling="stride"``, as the
        pretrained weights for that lack these convolutions. With 200 images or fewer
        `fit` takes it where its pretrained weights misread clearly fewer characters of
        them, as of Cyrillic letters, which those of "small" don't know.
    downsampling : {"pooling", "stride"}, default="pooling"
        How a block halves the height: by max pooling after its convolution, or by a
        stride in it. With strides an update takes about two thirds of the time and
        reading a third; small characters then need more rows, such as
        ``image_height=48``.
    lstm_units : int, default=128, at most 10,000
        Units of each direction of each LSTM.
    lstm_layers : int, default=1, at most 100
        Number of bidirectional LSTMs. With 0 the convolutions read alone.
    dropout : float, default=0.3
        Share of the features that are dropped while training, in [0, 1).
    pretrained : bool or "auto", default="auto"
        Whether training starts from weights that ship with the package, learned on
        drawn images of digits and letters, rather than from random ones. It then
        takes fewer images and less time, also for other characters. "auto" does
        so if `conv_channels`, `lstm_units` and `lstm_layers` have their defaults.
    augmentation : float, default=1.0
        Strength of the random rotation, shear, scale and shift of training images; 0
        turns it off, 1 is at most 6 degrees of rotation. Like the dropout, it fades
        while the learning rate is lowered at the end.
    batch_size : int or "auto", default="auto"
        Images in each update. "auto" is 8, and 16 from 2000 training images on. On a
        GPU it is the power of two next to the square root of the number of training
        images, from 32 to 512.
    learning_rate_init : float, default=0.003
        Learning rate of AdamW before it is lowered.
    weight_decay : float, default=0.01
        Decoupled weight decay. Biases and normalization have none.
    max_iter : int or "auto", default="auto"
        Largest number of epochs. "auto" is 20, and 30 from 5000 training images on;
        more where these are less than 2500 updates, and fewer, but at least 5, where
        they are more than 20000 or process more than 3e9 pixels. On a GPU it is what
        makes as many updates of its larger batches, however many pixels these have.
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
        Improvement that counts: of the exact match on the held-out samples, or of the
        loss if none are held out.
    warm_start : bool, default=False
        Whether `fit` continues from the network of an earlier fit. Characters that
        are new in the labels are added, with weights of their own; how images are
        resized stays as it was.
    freeze_convolutions : bool, default=False
        Whether the convolutions stay as they are while the rest learns: the
        pretrained ones or, with ``warm_start=True`` or in `partial_fit`, those of the
        earlier fit. That takes half the time and reads less well.
    decoder : {"greedy", "beam"}, default="greedy"
        How texts are found: the best path, or a prefix beam search, which is slower
        and sums over the paths of a text.
    beam_width : int, default=10
        Texts that the beam search follows. Only used with ``decoder="beam"``.
    multi_scale : bool, default=True
        Whether an image that is read with a confidence below 0.95 is read at three
        other widths as well (multi-scale testing [4]_). The text is then taken that is
        most probable on average, which is right more often (:ref:`multi-scale`). Such
        an image takes about four times as long. You may change it on a fitted
        recognizer. The networks of `load_pretrained` without images have sizes of their
        own, and read every image at each, whatever this is.
    backend : {"torch", "onnx"}, default="torch"
        What computes the network when it reads. "onnx" is ONNX Runtime, on the CPU,
        which needs ``pip install "skcaptcha[onnx]"``; a single image then takes less
        time (:ref:`reading-speed`). Texts are the same, and confidences but for
        rounding. You may change it on a fitted recognizer. Training is PyTorch's in
        any case.
    checkpoint : str or path-like, default=None
        File in which `fit` keeps its state. A fit that was killed resumes from there
        when it is called again with the same images, labels and parameters, on the
        CPU to the very weights that it would have found. A file that is damaged or of
        another fit is refused; each fit, also each candidate of a search, needs a
        file of its own. A fit that ends deletes it; one that was interrupted or that
        failed leaves it. None keeps nothing.
    checkpoint_interval : float, default=60.0
        Seconds between two writes of the checkpoint at the least; 0 writes it before
        each update of the weights. Only used with `checkpoint`.
    device : str, default="auto"
        Where to train and predict, such as "cpu", "cuda" or "cuda:1". "auto" is CUDA
        when there is any that can be used: the first time in a process the GPU is
        tried out, and where it fails the CPU is taken, with a warning. A fitted
        recognizer predicts where it was trained, and on the CPU where it is loaded on
        a machine without its device, or one whose device cannot be used.
    n_jobs : int, default=None
        Threads that decode images while the network reads. None is one for each core,
        up to 8, and one within a job of joblib's, or what ``joblib.parallel_config``
        says; -1 is one for each core.
    cache_size : float, default=1000
        Megabytes of memory that the resized training images may take. Where they take
        more, they wait in a temporary file, in the folder that the environment
        variable ``TMPDIR`` names. The result of the fit is the same.
    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the held-out samples, the order of the
        samples, dropout and augmentation. Pass an int for the same result in each fit
        on the CPU of the same machine. None draws from the operating system; NumPy's
        and PyTorch's global generators are never touched.
    verbose : bool or int, default=False
        Whether to show a progress bar on standard error; 2 also prints what each
        "auto" became.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The characters that can be read.
    has_empty_labels_ : bool
        Whether labels were empty, so that it has learned of images without text. If
        not, an empty text has the confidence 0.
    network_ : torch.nn.Module
        The trained network.
    auto_choices_ : dict
        What each "auto" became, and how training started.
    image_height_ : int
        Height in pixels to which images are resized.
    text_rows_ : tuple of float
        First and last row of an image that is read, as shares of its height; (0, 1)
        is all of them.
    width_stretch_ : float
        Factor by which images are widened, so that each character gets enough time
        steps, or narrowed, where it gets more than are of use; 1 leaves the aspect
        ratio as it is.
    color_mode_ : {"grayscale", "rgb"}
        What the network sees.
    loss_curve_ : list of float
        Mean loss a character of each epoch: of the uniform alignment in the first
        ones, then of CTC. Epochs that continue earlier ones are appended.
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
        What the last fit divided the logits by at its end, so that on the held-out
        samples the mean confidence is no more than the exact match; 1 if none were
        held out.
    training_images_ : dict or None
        What the training images looked like: "n_images" and the least and the greatest
        value of each measure, by which images that are unlike them are warned of. None
        after training that continues that of a recognizer saved before it was kept.
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
    its image, and only then changes to CTC, which otherwise tends to stay where every
    time step is blank. The fit watches for that and starts again if it must.

    While it trains, a second CTC head reads from the convolutions alone, so that they
    learn what they could leave to the LSTMs [3]_; it is dropped at the end.

    An image reads the same whatever it is batched with: padding is masked throughout.

    References
    ----------
    .. [1] B. Shi, X. Bai, C. Yao, "An End-to-End Trainable Neural Network for
       Image-based Sequence Recognition and Its Application to Scene Text
       Recognition", TPAMI 39(11), 2017.
    .. [2] A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal
       Classification: Labelling Unsegmented Sequence Data with Recurrent Neural
       Networks", ICML 2006.
    .. [3] J. Lee, S. Watanabe, "Intermediate Loss Regularization for CTC-based Speech
       Recognition", ICASSP 2021.
    .. [4] A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep
       Convolutional Neural Networks", NeurIPS 2012, section 4.1, averages over views
       of an image; here the views are widths.

    Examples
    --------
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> images, texts = make_captchas(
    ...     60, vocabulary="abc123", length=3, size=(32, 80), random_state=5
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=10, batch_size=4, random_state=0)
    >>> recognizer.fit(images[:40], texts[:40])
    CaptchaRecognizer(batch_size=4, max_iter=10, random_state=0)
    >>> recognizer.predict(images[40:43])
    array(['213', '2b1', '122'], dtype=object)
    >>> round(recognizer.score(images[40:], texts[40:]), 1)
    1.0
    """

    def fit(self, X, y, sample_weight=None):
        """Learn to read from labeled images.

        Parameters
        ----------
        X : sequence of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Paths, encoded bytes, PIL images, or arrays of shape (H, W) or (H, W, C),
            also mixed and of differing sizes; or one flattened image a row. An array
            of three dimensions is a stack of gray images, (n_samples, H, W). A lone
            image (H, W, 1 to 4) is refused, and so is (3 or 4, H, W) if its planes look
            like the channels of one picture: pass a stack of such as ``list(X)``.
        y : sequence of str of length n_samples
            The text that each image shows, which is empty where there is none.
            Integers, and whole floats of a table, are read as their decimal text, with
            a warning.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            How much each sample counts: its loss is multiplied by its weight, divided
            by the mean of all weights. So only their ratios matter, and equal ones, or
            a number, are as None. Of a sample of weight 0 the image and the label are
            checked and tell what images and texts look like, but nothing is learned
            from it. Samples that early stopping holds out count alike.

        Returns
        -------
        CaptchaRecognizer
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an image, a label or a weight cannot be used; the message
            names it.
            Also if the checkpoint is damaged or of another fit, or if training
            diverged from the start. The estimator is then left as it was.
        TypeError
            If an image or a label has a type that cannot be one.
        FileNotFoundError
            If the file of an image does not exist.
        MemoryError
            If there is too little memory for `cache_size`, or a GPU has too little for
            a single image.
        skcaptcha.exceptions.DeviceError
            If a GPU fails while the network is trained on it.
        skcaptcha.exceptions.CacheError
            If the training images take more than `cache_size`, and the temporary file
            for them cannot be written.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the network has not learned to read, with what in the images, labels and
            parameters is the likely cause; or if updates were left out because their
            loss or gradients were not finite. In a search, that `conv_channels` or the
            like keep the pretrained weights away is said once.
        UserWarning
            If training was interrupted (by Ctrl-C; the best weights so far are kept,
            but a search, pipeline or ensemble ends with the KeyboardInterrupt instead,
            and `partial_fit` as well), a checkpoint could not be written, a GPU
            has too little memory for a batch, which is then learned from in parts, or
            ``device="auto"`` takes the CPU as the GPU cannot be used.
        """
        survive_fork()
        self._check_params()
        resume = self.warm_start and self.__sklearn_is_fitted__()
        with join_processes() as processes:
            checkpoint = None
            if self.checkpoint is not None and processes.rank == 0:
                checkpoint = Checkpoint(self.checkpoint, self.checkpoint_interval)
            data = read_training_data(
                self, X, y, sample_weight, resume=resume, n_least=2
            )
            issue_warnings(data.notices)  # before time is spent on them
            processes.check_device(data.device)
            with explain_device_errors("training"), use_device(data.device):
                notices = self._train(data, checkpoint, processes)
        in_search = is_part_of_more()
        issue_warnings(drop_repeated(notices) if in_search else notices)
        if in_search:
            note_warned(notices)
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """Continue to learn, in one pass over labeled images.

        The learning rate stays at `learning_rate_init`, as the end of a stream of
        images is not known. The first call chooses how images are resized, whether the
        network sees color, and which numbers of a table are black and white; a
        character that is new in a later call is added. To fine-tune a fitted
        recognizer on images that are all at hand, use `fit` with ``warm_start=True``,
        which lowers the rate at the end and reads better.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; weights are compared with those of the same call alone.

        Returns
        -------
        CaptchaRecognizer
            The fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`; also if `early_stopping` is True or `checkpoint` is set.

        Notes
        -----
        The state of the optimizer is kept from call to call, and neither saved nor
        copied: a recognizer that was loaded or learns a new character begins with a
        fresh one. `random_state` counts at the first call. Callbacks hear of `fit`
        alone.
        """
        self._check_params()
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
        survive_fork()
        resume = self.__sklearn_is_fitted__()
        data = read_training_data(self, X, y, sample_weight, resume=resume, n_least=1)
        issue_warnings(data.notices)
        generator = _make_generator(_make_rng(self.random_state))
        start, aligned, origin = choose_start(self, data, generator)
        choices = self._choose(data, data.samples, None, origin)
        with explain_device_errors("training"):
            trainer, result = fit_one_epoch(
                getattr(self, "_trainer", None),
                data.network_config,
                data.samples,
                self._training_config(choices, data.device),
                generator,
                start=start,
                aligned=aligned,
            )
        attributes = self._fitted_attributes(data, choices, result.network, result)
        self._set_fitted({**attributes, "_trainer": trainer})
        issue_warnings(result.warnings)
        return self

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    def __setstate__(self, state):
        """Build the network anew from a state, on the device if there is one."""
        super().__setstate__(self._restore(state))

    def __getstate__(self):
        """Return a state in which the weights are plain NumPy arrays."""
        with explain_device_errors("saving or copying a recognizer"):
            return pack_state(super().__getstate__())

    @with_callbacks
    def _train(self, data, checkpoint, processes):
        """Train and set the attributes; return what there is to warn of."""
        rng, checkpoint = self._claim_checkpoint(checkpoint, data, processes)
        training, validation = self._split(data.samples, rng)
        generator = _make_generator(rng)
        # Other machines may read a character more or less.
        data.network_config = processes.first(find_network_config(self, data))
        start, aligned, origin = choose_start(self, data, generator)
        if data.resume:  # without what `partial_fit` has left, as from a saved model
            start = for_reading(copy.deepcopy(start))
        choices = self._choose(data, training, validation, origin)
        if self.verbose > 1 and processes.rank == 0:
            print(choices, file=sys.stderr)
        attributes = partial(self._fitted_attributes, data, choices)
        tasks = None
        if HAS_CALLBACKS:
            tasks = EpochTasks(self, choices.max_iter, data.X, data.texts, attributes)
        with processes.hold_interrupts():
            result = fit_network(
                data.network_config,
                training,
                validation,
                self._training_config(choices, data.device),
                generator,
                start=start,
                aligned=aligned,
                callbacks=tasks,
                checkpoint=checkpoint,
                processes=processes,
                find_causes=partial(self._find_causes, data, origin),
            )
        save = vars(self).pop("_save_fitted", None)  # set by the command line
        self._set_fitted(attributes(result.network, result))
        if tasks is not None:
            tasks.finish()
        if not result.interrupted:
            if save is not None:
                save()
            if checkpoint is not None:  # of use until the recognizer is saved
                checkpoint.remove()
        return result.warnings

    def _claim_checkpoint(self, checkpoint, data, processes):
        """Return the source of randomness, and the checkpoint if it is of this fit."""
        if checkpoint is not None:
            checkpoint.claim(
                self.get_params(),
                data.samples,
                data.texts,
                data.vocabulary,
                data.device,
                self.network_ if data.resume else None,
            )
        seed = secrets.randbits(32) if checkpoint is None else checkpoint.seed
        seed, kept = processes.first((seed, checkpoint and checkpoint.kept))
        if kept and processes.rank > 0:
            checkpoint = ReadOnlyCheckpoint(*kept)
        return _make_rng(self.random_state, seed), checkpoint

    def _split(self, samples, rng):
        """Return the samples to train on and those that are held out, or None."""
        n_held_out = choose_n_held_out(
            len(samples), self.early_stopping, self.validation_fraction
        )
        if not n_held_out:
            return samples, None
        order = rng.permutation(len(samples))
        return samples.pick(order[n_held_out:]), samples.pick(order[:n_held_out])

    def _find_causes(self, data, origin):
        """Return why nothing may have been learned, as a list of texts."""
        odd = []
        if origin == "random weights" and self.pretrained == "auto":
            config, default = data.network_config, type(self)()
            names = ("conv_channels", "lstm_units", "lstm_layers")
            odd = [n for n in names if config[n] != getattr(default, n)]
        return find_causes(
            data.X, data.texts, background=self.background, odd_parameters=odd
        )

    def _choose(self, data, training, validation, origin):
        """Return what each "auto" has become."""
        n_samples, batch_size, max_iter = len(training), self.batch_size, self.max_iter
        kind = data.device.type
        if batch_size == "auto":
            batch_size = choose_batch_size(n_samples, kind)
        if max_iter == "auto":
            n_pixels = sum(math.prod(image.shape[:2]) for image in training.images)
            max_iter = choose_max_iter(n_samples, batch_size, n_pixels, kind)
        return AutoChoices(
            image_height=data.input_size["height"],
            text_rows=data.input_size["rows"],
            width_stretch=data.input_size["stretch"],
            color_mode=data.input_size["color_mode"],
            start=origin,
            device=str(data.device),
            network_size=name_size(data.network_config),
            n_held_out=0 if validation is None else len(validation),
            batch_size=int(batch_size),  # which may be NumPy's
            max_iter=int(max_iter),
        )

    def _training_config(self, choices, device):
        return TrainingConfig(
            batch_size=choices.batch_size,
            learning_rate_init=float(self.learning_rate_init),
            weight_decay=float(self.weight_decay),
            max_iter=choices.max_iter,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
            augmentation=float(self.augmentation),
            freeze_convolutions=self.freeze_convolutions,
            device=device,
            verbose=bool(self.verbose),
        )

    def _fitted_attributes(self, data, choices, network, result):
        """Return all that a fit sets, or has found after one of its epochs."""
        losses, rates = [], []
        if data.resume:
            losses = self.loss_curve_
            # A model may be older than this attribute.
            rates = vars(self).get("learning_rate_curve_", [math.nan] * len(losses))
        scores = result.validation_scores
        return {
            **data.table,
            "vocabulary_": data.vocabulary,
            "has_empty_labels_": not all(map(len, data.samples.targets))
            or (data.resume and vars(self).get("has_empty_labels_", False)),
            "background_": (
                self.background_ if data.resume else copy_color(self.background)
            ),
            "image_height_": data.input_size["height"],
            "text_rows_": data.input_size["rows"],
            "width_stretch_": data.input_size["stretch"],
            "color_mode_": data.input_size["color_mode"],
            "training_images_": data.training_images,
            "auto_choices_": dataclasses.asdict(choices),
            "_network_config": data.network_config,
            "network_": network,
            "loss_curve_": [*losses, *result.loss_curve],
            "learning_rate_curve_": [*rates, *result.learning_rate_curve],
            "n_iter_": len(losses) + result.n_iter,
            "validation_scores_": None if scores is None else list(scores),
            "best_validation_score_": result.best_validation_score,
            "n_restarts_": result.n_restarts,
            "temperature_": result.temperature,
            "converged_": result.converged,
        }

    def _set_fitted(self, attributes):
        """Set the attributes of a fit, and drop those of an earlier one."""
        stale = {"_trainer", "scales_", "test_scores_", *TABLE_ATTRIBUTES}
        stale -= attributes.keys()
        vars(self).update(attributes)  # at once, as another thread may be reading
        for name in stale & vars(self).keys():
            del vars(self)[name]


def _make_rng(random_state, seed=None):
    """Return NumPy's generator; None is never its global one, as in scikit-learn."""
    if random_state is None:
        random_state = secrets.randbits(32) if seed is None else seed
    return check_random_state(random_state)


def _make_generator(rng):
    return torch.Generator("cpu").manual_seed(int(rng.randint(np.iinfo(np.int32).max)))
