"""A fitted recognizer as an ONNX file, and reading with that.

ONNX files run where there is no PyTorch, and from other languages. They need
``pip install "skcaptcha[onnx]"``; what reads them by itself needs a runtime alone.
"""

import os
from pathlib import Path

import torch
from sklearn.utils.validation import check_is_fitted

from skcaptcha import __version__
from skcaptcha._files import write_whole
from skcaptcha._reader import ReaderMixin, iterate_frames
from skcaptcha._tables import is_table
from skcaptcha._validation import iterate_items
from skcaptcha.export._graph import (
    IR_VERSION,
    OPSET_VERSION,
    build_graph,
    list_inputs,
    list_outputs,
)
from skcaptcha.export._metadata import (
    METADATA_KEY,
    Recipe,
    is_sealed,
    pack_recipe,
    seal,
    unpack_recipe,
)
from skcaptcha.images._batches import pad_images
from skcaptcha.model.inference import plan_batches
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["OnnxRecognizer", "export_onnx", "load_onnx"]


def export_onnx(recognizer, path):
    """Write a fitted recognizer to an ONNX file.

    The model takes a batch of images of any number and width, and gives
    log-probabilities. Its metadata say how images are brought to size and what the
    classes mean; :doc:`/deployment` documents both.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Fitted, on any device. It stays as it is. What the file does not keep are
        `decoder`, of a Pipeline the steps before the recognizer, and for one that was
        fitted on a table, how its numbers become pixels.
    path : str or os.PathLike
        Where the file goes, in a folder that exists. A file that stands there is
        replaced as soon as the new one is whole.

    Raises
    ------
    NotFittedError
        If `recognizer` has not been fitted.
    TypeError
        If `recognizer` is no `CaptchaRecognizer`, or `path` no path.
    FileNotFoundError
        If the folder does not exist.
    IsADirectoryError
        If `path` is a folder.
    ImportError
        If onnx is not installed.

    See Also
    --------
    load_onnx : Read images with the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.export import export_onnx, load_onnx
    >>> images, texts = make_captchas(
    ...     20, vocabulary="01", length=2, size=(16, 40), random_state=0
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=20, random_state=0).fit(images, texts)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_onnx(recognizer, Path(folder) / "captchas.onnx")
    ...     reader = load_onnx(Path(folder) / "captchas.onnx")
    >>> list(reader.predict(images)) == list(recognizer.predict(images))
    True
    """
    if not isinstance(recognizer, CaptchaRecognizer):
        raise TypeError(
            f"recognizer={recognizer!r} is no CaptchaRecognizer; pass a fitted one. Of "
            "a Pipeline or a search pass the recognizer in it, such as pipeline[-1] or "
            "search.best_estimator_; the steps before it are not exported."
        )
    check_is_fitted(recognizer)
    path = _check_path(path)
    if path.is_dir():
        raise IsADirectoryError(
            f"path={str(path)!r} is a folder; add the name of a file to it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path={str(path)!r}: the folder {str(path.parent)!r} does not exist; make "
            "it first, or choose another."
        )
    onnx = _import_onnx()
    recipe = Recipe(
        vocabulary=recognizer.vocabulary_,
        height=recognizer.image_height_,
        stretch=recognizer.width_stretch_,
        rows=recognizer.text_rows_,
        color_mode=recognizer.color_mode_,
        background=recognizer.background_,
    )
    model = onnx.helper.make_model(
        build_graph(recognizer.network_, recipe.height),
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET_VERSION)],
        producer_name="skcaptcha",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, {METADATA_KEY: pack_recipe(recipe)})
    content = model.SerializeToString()
    write_whole(path, content + seal(content))


def load_onnx(path, *, n_jobs=None):
    """Load a file that `export_onnx` wrote, to read images with ONNX Runtime.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    Returns
    -------
    OnnxRecognizer
        It computes on the CPU, with as many threads as PyTorch is set to
        (``torch.set_num_threads``, or ``OMP_NUM_THREADS``).

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    TypeError
        If `path` is no path.
    ValueError
        If the file was not written by `export_onnx`, was damaged or changed since, or
        is of a later version.
    ImportError
        If onnxruntime is not installed.

    Notes
    -----
    An ONNX file holds numbers and operators, no code, and nothing of it is run before
    its checksum has been found to hold. That tells of damage, and not who wrote the
    file: with one from a stranger you rely on ONNX Runtime to withstand it.

    Examples
    --------
    See `export_onnx`.

    >>> from skcaptcha.export import load_onnx
    >>> load_onnx("captchas.onnx")
    Traceback (most recent call last):
        ...
    FileNotFoundError: path='captchas.onnx' is no file; ...
    """
    path = _check_path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"path={str(path)!r} is no file; pass the one that export_onnx wrote."
        )
    onnxruntime = _import_onnxruntime()
    content = path.read_bytes()
    if not is_sealed(content):
        raise ValueError(
            f"path={str(path)!r} is not a whole file of export_onnx: its checksum is "
            "wrong or missing. It comes from elsewhere, or was damaged or changed "
            "since. Copy it anew, or export the recognizer once more; a model that "
            "another tool has changed is for onnxruntime itself."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Errors are raised, and need not be printed as well.
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # the runtime has classes of its own for these
        raise ValueError(
            f"path={str(path)!r} cannot be run by onnxruntime "
            f"{onnxruntime.__version__}: {error}"
        ) from error
    try:
        recipe = unpack_recipe(metadata.get(METADATA_KEY, ""))
        _check_graph(session, recipe)
    except ValueError as error:
        raise ValueError(
            f"path={str(path)!r} has metadata that are not those of this version of "
            f"skcaptcha, {__version__}: {error}. Export the recognizer once more with "
            "this version, or upgrade skcaptcha."
        ) from error
    return OnnxRecognizer(session, recipe, n_jobs=n_jobs)


class OnnxRecognizer(ReaderMixin):
    """Reader of text images that runs an exported network.

    `load_onnx` makes it. It reads what the exported recognizer reads with
    ``decoder="greedy"``, and may be used from several threads at once.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The network.
    recipe : object
        How images are brought to it, from the metadata.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The characters that can be read.

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
    >>> reader.predict(images[:2]).shape, reader.predict_confidence(images[:2]).shape
    ((2,), (2,))
    """

    def __init__(self, session, recipe, *, n_jobs=None):
        self.session = session
        self.recipe = recipe
        self.n_jobs = n_jobs
        self.vocabulary_ = recipe.vocabulary

    decoder, beam_width = "greedy", 10

    def iter_frames(self, X, *, on_error="raise", notices=None):
        """Return an iterator over what the network says of each image.

        Parameters
        ----------
        X, on_error, notices
            As for `CaptchaRecognizer.iter_frames`, but `X` is no table.

        Yields
        ------
        position : int
            Position in `X`. Images of a few hundred come in any order.
        frames : list of one ndarray of shape (T, K), or Exception
            The log-probabilities.
        """
        if is_table(X):
            raise ValueError(
                "X is a 2-D array, one flattened image a row, which an exported model "
                "does not take; pass images with pixels from 0 to 255, such as "
                "list(X.reshape(-1, H, W)) of a table of such."
            )
        return iterate_frames(
            self._run,
            iterate_items(X),
            input_size={
                "height": self.recipe.height,
                "stretch": self.recipe.stretch,
                "rows": self.recipe.rows,
                "color_mode": self.recipe.color_mode,
            },
            background=self.recipe.background,
            n_jobs=self.n_jobs,
            on_error=on_error,
        )

    def _run(self, images):
        for positions in plan_batches([image.shape[1] for image in images]):
            batch, widths = pad_images([images[i] for i in positions], "cpu")
            if widths is None:
                widths = torch.full((len(positions),), batch.shape[3])
            inputs = {"images": batch.contiguous().numpy(), "widths": widths.numpy()}
            try:
                log_probs, lengths = self.session.run(["log_probs", "lengths"], inputs)
            except Exception as error:  # the runtime has classes of its own for these
                raise ValueError(
                    f"onnxruntime cannot run the network on {len(positions)} images "
                    f"of {batch.shape[3]} columns: {error}"
                ) from error
            yield positions, log_probs.swapaxes(0, 1), lengths  # (T, N, K), (N,)


def _check_path(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path={path!r} is no path; pass a str or a pathlib.Path.")
    return Path(path)


def _import_onnx():
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            'export_onnx needs onnx: pip install "skcaptcha[onnx]"'
        ) from error
    return onnx


def _import_onnxruntime():
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            'load_onnx needs onnxruntime: pip install "skcaptcha[onnx]"'
        ) from error
    return onnxruntime


def _check_graph(session, recipe):
    """Raise a ValueError unless the graph takes and gives what the recipe needs."""
    for role, found, expected in (
        ("inputs", session.get_inputs(), list_inputs(recipe.n_channels, recipe.height)),
        ("outputs", session.get_outputs(), list_outputs(recipe.vocabulary.n_classes)),
    ):
        found = [(v.name, v.type, v.shape) for v in found]
        expected = [(name, f"tensor({kind})", shape) for name, kind, shape in expected]
        if found != expected:
            raise ValueError(f"the {role} are {found}, not {expected}")
