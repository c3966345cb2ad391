"""Reading images with an exported file and ONNX Runtime."""

import ctypes
import os

import numpy as np

from skcaptcha._frames import iterate_frames
from skcaptcha._optional import import_optional
from skcaptcha._reader import ReaderMixin
from skcaptcha._tables import is_table
from skcaptcha._threads import count_network_threads, survive_fork
from skcaptcha._validation import check_path, iterate_items
from skcaptcha._version import __version__
from skcaptcha.export._content import check_finite, find_property
from skcaptcha.export._graph import list_inputs, list_outputs
from skcaptcha.export._metadata import METADATA_KEY, has_valid_checksum, unpack_metadata
from skcaptcha.export._self_test import (
    SELF_TEST_KEY,
    run_self_test,
    unpack_self_test,
)
from skcaptcha.images._batches import plan_batches, stack_images
from skcaptcha.model.geometry import TIME_STRIDE


def load_onnx(path, *, n_jobs=None, self_test=False):
    """Load a file that `export_onnx` wrote, to read images with ONNX Runtime.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    n_jobs : int, default=None
        Threads that decode images. None means up to 8, -1 one for each core.
    self_test : bool, default=False
        Whether to read the images that the file keeps for its test, and raise a
        ValueError where one is read otherwise than it must be. It takes as long as to
        read them.

    Returns
    -------
    OnnxRecognizer
        It computes on the CPU, with as many threads as ``OMP_NUM_THREADS`` says, or
        one for each core that the process may use; where PyTorch is loaded, with as
        many as that is set to (``torch.set_num_threads``).

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    TypeError
        If `path` is not a path.
    ValueError
        If the file was not written by `export_onnx`, was damaged or changed since, or
        is of a later version; or if it fails its test, or has none.
    ImportError
        If onnxruntime is not installed.

    Notes
    -----
    Beside onnxruntime it needs NumPy and Pillow alone; :doc:`/deployment` says how to
    install no more than these.

    An ONNX file holds numbers and operators, no code, and its checksum is verified
    before any of it runs. The checksum reveals damage but not the author: with a file
    from a stranger you rely on ONNX Runtime to withstand it.

    Examples
    --------
    See `export_onnx`.

    >>> from skcaptcha.export import load_onnx
    >>> load_onnx("captchas.onnx")
    Traceback (most recent call last):
        ...
    FileNotFoundError: path='captchas.onnx' is not a file; ...
    """
    content, name = _read_file(path)
    reader = open_reader(content, name, n_jobs=n_jobs)
    if self_test:
        _test(reader, name)
    return reader


def load_metadata(path):
    """Return the `ModelMetadata` of a file of `export_onnx`, without the runtime."""
    content, name = _read_file(path)
    _check_complete(content, name)
    try:
        text = find_property(content, METADATA_KEY)
    except ValueError as error:
        raise ValueError(
            f"{name} is damaged: {error}. Export the recognizer again."
        ) from error
    return _unpack(text, name)


def _read_file(path):
    """Return the content of a file, and its name for errors."""
    path = check_path(path)
    name = f"path={str(path)!r}"
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} is not a file; pass the one that export_onnx wrote."
        )
    return path.read_bytes(), name


def open_reader(content, name, *, n_jobs=None):
    """Return the `OnnxRecognizer` of a file's content; `name` is for errors."""
    reader = OnnxRecognizer(*_open(content, name), n_jobs=n_jobs)
    reader._content = content  # which the session holds as well
    return reader


def _test(reader, name):
    """Raise a ValueError unless a reader reads the test images of its file right."""
    found = reader.session.get_modelmeta().custom_metadata_map
    if SELF_TEST_KEY not in found:
        raise ValueError(
            f"{name} has no test images; export the recognizer again with test_images, "
            "or load it with self_test=False."
        )
    try:
        test = unpack_self_test(found[SELF_TEST_KEY])
        failure = run_self_test(reader, test)
    except ValueError as error:
        raise ValueError(
            f"{name} is damaged: {error}. Export the recognizer again."
        ) from error
    if failure:
        version = import_optional("onnxruntime", "onnx", "load_onnx").__version__
        raise ValueError(
            f"{name} fails its test: {failure}. onnxruntime {version} may compute "
            "otherwise on this machine than where it was exported, or another version "
            "of Pillow resize otherwise; install those versions, or export the "
            "recognizer again here."
        )


def _check_complete(content, name):
    if not has_valid_checksum(content):
        raise ValueError(
            f"{name} is not a complete file of export_onnx: its checksum "
            "is wrong or missing. It comes from elsewhere, or was damaged or changed "
            "since. Copy it again, or export the recognizer again. To run a model that "
            "another tool has changed, use onnxruntime itself."
        )


def _unpack(text, name, session=None):
    """Return the metadata in a JSON text, which fit a session if there is one."""
    try:
        metadata = unpack_metadata(text)
        if session is not None:
            _check_graph(session, metadata)
        return metadata
    except ValueError as error:
        raise ValueError(
            f"{name} has metadata that this version of skcaptcha, "
            f"{__version__}, does not know: {error}. Export the recognizer again with "
            "this version, or upgrade skcaptcha."
        ) from error


def _open(content, name):
    """Return the session and the metadata of a model; `name` is for errors."""
    onnxruntime = import_optional("onnxruntime", "onnx", "load_onnx")
    _check_complete(content, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_network_threads()
    options.log_severity_level = 4  # errors are raised, so nothing has to be printed
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        found = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # the runtime's own classes share no other base
        raise ValueError(
            f"{name} cannot be run by onnxruntime {onnxruntime.__version__}: {error}"
        ) from error
    metadata = _unpack(found.get(METADATA_KEY, ""), name, session)
    try:
        check_finite(content)
        _check_output(session, metadata)
    except Exception as error:
        raise ValueError(
            f"{name} is damaged: {error}. Export the recognizer again."
        ) from error
    return session, metadata


def _check_graph(session, metadata):
    """Raise a ValueError unless the inputs and outputs are those of the metadata."""
    inputs = list_inputs(metadata.n_channels, metadata.input_size["height"])
    outputs = list_outputs(metadata.vocabulary.n_classes)
    for role, found, expected in (
        ("inputs", session.get_inputs(), inputs),
        ("outputs", session.get_outputs(), outputs),
    ):
        found = [(v.name, v.type, v.shape) for v in found]
        expected = [(name, f"tensor({kind})", shape) for name, kind, shape in expected]
        if found != expected:
            raise ValueError(f"the {role} are {found}, not {expected}")


def _check_output(session, metadata):
    """Raise a ValueError unless it finds probabilities, in two small images."""
    shape = (2, metadata.n_channels, metadata.input_size["height"], 32)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    inputs = {"images": images, "widths": np.array([32, 16], np.int64)}
    log_probs, lengths = session.run(["log_probs", "lengths"], inputs)
    steps = np.array([32, 16]) // TIME_STRIDE
    if lengths.tolist() != steps.tolist() or log_probs.shape[:2] != (2, steps[0]):
        raise ValueError(f"it finds {lengths.tolist()} time steps, not {steps}")
    log_probs = np.concatenate([log_probs[0], log_probs[1, : steps[1]]])
    if not np.allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-3):
        raise ValueError("what it finds are no probabilities that sum to 1")


_PARAMETERS = ("session", "metadata", "n_jobs")


class OnnxRecognizer(ReaderMixin):
    """Reader of text images that runs an exported network.

    `load_onnx` makes it. It reads what the exported recognizer reads with
    ``decoder="greedy"``, and several threads may use it at once. A copy or a pickle,
    which holds the whole file, runs the network in a session of its own.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The network.
    metadata : object
        How images are prepared for it, from the metadata of the file.
    n_jobs : int, default=None
        Threads that decode images. None means up to 8, -1 one for each core.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The characters that can be read.
    has_empty_labels_ : bool
        Whether labels were empty, as for a `CaptchaRecognizer`.
    training_images_ : dict or None
        As of `CaptchaRecognizer`; None if the file was written before it was kept.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.export import export_onnx, load_onnx
    >>> images, texts = make_captchas(
    ...     40, vocabulary="012", length=2, size=(16, 40), random_state=0
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=20, random_state=0).fit(images, texts)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_onnx(recognizer, Path(folder, "captchas.onnx"))
    ...     reader = load_onnx(Path(folder, "captchas.onnx"))
    >>> "".join(reader.vocabulary_.characters)
    '012'
    >>> list(reader.predict(images)) == list(recognizer.predict(images))
    True
    """

    decoder, beam_width = "greedy", 10  # the defaults; the file does not keep them

    def __init__(self, session, metadata, *, n_jobs=None):
        self.session = session
        self.metadata = metadata
        self.n_jobs = n_jobs
        self._process = os.getpid()
        self.vocabulary_ = metadata.vocabulary
        self.has_empty_labels_ = metadata.has_empty_labels
        self.training_images_ = metadata.training_images
        # Under the name that a recognizer has them.
        self.test_scores_ = {"min_confidence": metadata.min_confidence}

    def get_params(self, deep=True):
        """Return the arguments of the constructor by their names, as scikit-learn does.

        Parameters
        ----------
        deep : bool, default=True
            Makes no difference, as no argument is an estimator.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params):
        """Set `n_jobs`, all that can be changed.

        Parameters
        ----------
        **params : dict
            New values by name.

        Returns
        -------
        self : OnnxRecognizer
        """
        for name in params:
            if name != "n_jobs":
                raise ValueError(
                    f"Invalid parameter {name!r} for an OnnxRecognizer: only n_jobs "
                    "can be set. Load another file by load_onnx."
                )
        vars(self).update(params)
        return self

    def fit(self, X, y=None):
        """Raise a TypeError, as an exported network learns no more.

        scikit-learn asks every estimator for this method.

        Parameters
        ----------
        X, y
            Not looked at.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "An OnnxRecognizer cannot learn: its network was exported. Put it into "
            "sklearn.frozen.FrozenEstimator to use it where a search or a "
            "cross-validation fits, or fit a CaptchaRecognizer."
        )

    def __sklearn_clone__(self):
        """Return the reader itself, as scikit-learn's FrozenEstimator does."""
        return self

    def __sklearn_is_fitted__(self):
        """Tell scikit-learn that it can read."""
        return True

    def __sklearn_tags__(self):
        """Tell scikit-learn what the reader takes."""
        from sklearn.utils import InputTags, Tags, TargetTags

        inputs = InputTags(two_d_array=False, three_d_array=True, string=True)
        target = TargetTags(required=False)
        return Tags(estimator_type=None, target_tags=target, input_tags=inputs)

    def __repr__(self):
        """Show the number of characters and the type of the weights."""
        n_characters, dtype = len(self.vocabulary_), self.metadata.dtype
        return f"<OnnxRecognizer: {n_characters} characters, {dtype}>"

    def __getstate__(self):
        """Return a state with the bytes of the file in place of the session."""
        state = dict(vars(self))
        if "_content" not in state:
            raise TypeError(
                "This OnnxRecognizer was not made by load_onnx, so the file that it "
                "would be saved as is not known; make it by load_onnx."
            )
        for name in (
            "session",
            "metadata",
            "vocabulary_",
            "training_images_",
            "_process",
        ):
            del state[name]
        return state

    def __setstate__(self, state):
        """Run the network of a state in a session of its own."""
        session, metadata = _open(state["_content"], "The saved OnnxRecognizer")
        self.__init__(session, metadata)
        vars(self).update(state)

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
        """Run the network on each image.

        Parameters
        ----------
        X : iterable of images of length n_samples
            Images in any form that `CaptchaRecognizer.fit` takes, but no table.
        on_error : {"raise", "skip"}, default="raise"
            What to do where an image cannot be read: raise the error, or yield it.
        multi_scale : bool, default=None
            Whether to read doubtful images at more widths; None is as the exported
            recognizer did.
        notices : list, optional
            Stays as it is: there is nothing to warn of.
        widths : dict, optional
            Gets the number of columns of each image, by position.
        seen : object, optional
            Counts images that are unlike the training images, for a warning.

        Yields
        ------
        position : int
            Position in `X`, in any order.
        frames : list of ndarray of shape (T, K), or Exception
            Log-probabilities of the classes in each time step, at each width at which
            an image is read.
        """
        if is_table(X):
            raise ValueError(
                "X is a 2-D array, one flattened image a row, which an exported model "
                "does not take; pass images with pixels from 0 to 255, such as "
                "list(X.reshape(-1, H, W)) of a table of such. If X is a single image, "
                "put it into a list: [X]."
            )
        self._survive_fork()
        if multi_scale is None:
            multi_scale = self.metadata.multi_scale
        return iterate_frames(
            self._run,
            iterate_items(X),
            input_sizes=[self.metadata.input_size],
            background=self.metadata.background,
            n_jobs=self.n_jobs,
            on_error=on_error,
            multi_scale=multi_scale,
            widths=widths,
            seen=seen,
        )

    def _survive_fork(self):
        """Open the file anew in a forked process, which lacks the session's threads."""
        survive_fork()
        if self._process != os.getpid() and hasattr(self, "_content"):
            # Its end would wait for these threads, so that it is never freed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.session))
            self.session, _ = _open(self._content, "The OnnxRecognizer")
            self._process = os.getpid()

    def _run(self, images):
        for positions in plan_batches([image.shape[1] for image in images]):
            batch, widths = stack_images([images[i] for i in positions])
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))  # (N, C, H, W)
            inputs = {"images": batch, "widths": widths}
            try:
                log_probs, lengths = self.session.run(["log_probs", "lengths"], inputs)
            except Exception as error:  # the runtime's own classes share no other base
                raise ValueError(
                    f"onnxruntime cannot run the network on {len(positions)} images "
                    f"of {batch.shape[3]} columns: {error}"
                ) from error
            yield positions, log_probs.swapaxes(0, 1), lengths  # (T, N, K), (N,)
