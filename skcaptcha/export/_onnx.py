"""A fitted recognizer as an ONNX file."""

from copy import copy

from sklearn.utils.validation import check_is_fitted

from skcaptcha._files import write_atomically
from skcaptcha._frames import input_size_of
from skcaptcha._optional import import_optional
from skcaptcha._validation import check_path
from skcaptcha._version import __version__
from skcaptcha.export._graph import IR_VERSION, OPSET_VERSION, build_graph
from skcaptcha.export._metadata import (
    DTYPES,
    METADATA_KEY,
    ModelMetadata,
    append_checksum,
    pack_metadata,
)
from skcaptcha.export._precision import store_weights
from skcaptcha.export._reader import open_reader
from skcaptcha.export._self_test import (
    MAX_TEST_IMAGES,
    SELF_TEST_KEY,
    make_self_test,
    pack_self_test,
    read_texts,
    run_self_test,
)
from skcaptcha.images import read_images
from skcaptcha.recognizer import CaptchaRecognizer


def export_onnx(recognizer, path, *, dtype="float32", test_images=None):
    """Write a fitted recognizer to an ONNX file.

    The model takes a batch of images, of any number and width, and gives
    log-probabilities. Its metadata say how images are prepared and what the classes
    mean. :doc:`/deployment` documents both.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Fitted, on any device. It is not changed. The file does not keep `decoder` and
        `beam_width`, the steps of a Pipeline before the recognizer, and, if it was
        fitted on a table, how the numbers become pixels.
    path : str or os.PathLike
        The file, in a folder that exists. An existing file stays in place until the
        new one is complete.
    dtype : {"float32", "float16", "int8"}, default="float32"
        What the weights are stored as. "float16" halves the file, "int8" makes it a
        quarter. They are brought back to 32 bits when the file is loaded, so that it
        reads as fast as before, by any runtime. A few texts may differ;
        :doc:`/deployment` says how many did.
    test_images : sequence of images, default=None
        Up to 100 images, ten say, that the file keeps with what the recognizer reads
        in them, as lossless PNGs. ``load_onnx(path, self_test=True)`` checks that they
        are still read so. All who have the file can see them.

    Raises
    ------
    NotFittedError
        If `recognizer` has not been fitted.
    TypeError
        If `recognizer` is not a `CaptchaRecognizer`, or `path` not a path.
    FileNotFoundError
        If the folder does not exist.
    IsADirectoryError
        If `path` is a folder.
    ValueError
        If `dtype` is unknown, `test_images` are none or too many or cannot be read, the
        exported model reads one of them otherwise than the recognizer, or the
        recognizer reads each image at several sizes.
    ImportError
        If onnx is not installed; or onnxruntime, for `test_images`.

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
            f"recognizer={recognizer!r} is not a CaptchaRecognizer; pass a fitted one. "
            "Of a Pipeline or a search pass the recognizer in it, such as pipeline[-1] "
            "or search.best_estimator_; the steps before it are not exported. Of a "
            "SelfTrainingRecognizer pass `recognizer_`."
        )
    check_is_fitted(recognizer)
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r} must be one of {', '.join(DTYPES)}.")
    path = check_path(path)
    if path.is_dir():
        raise IsADirectoryError(
            f"path={str(path)!r} is a folder; add the name of a file to it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path={str(path)!r}: the folder {str(path.parent)!r} does not exist; make "
            "it first, or choose another."
        )
    if "scales_" in vars(recognizer):
        raise ValueError(
            "The recognizer is one of load_pretrained(), which reads each image at "
            "several sizes, and an ONNX file has one: export load_pretrained(X), which "
            "chooses one for some images X, or a recognizer that was fitted."
        )
    test = None if test_images is None else _make_test(recognizer, test_images)
    content = _serialize(recognizer, dtype, test)
    if test is not None:
        reader = open_reader(content, "The exported model")
        if failure := run_self_test(reader, test):
            more = "" if dtype == "float32" else ", or choose a dtype of more bits"
            raise ValueError(
                f"test_images: by the exported model, {failure}. Leave out images that "
                f"are read with little confidence{more}."
            )
    write_atomically(path, content)


def _make_test(recognizer, images):
    """Return a `SelfTest` of the texts on a recognizer's best paths."""
    images = read_images(images, background=recognizer.background_, name="test_images")
    if not 1 <= len(images) <= MAX_TEST_IMAGES:
        raise ValueError(
            f"test_images has {len(images)} images; pass from 1 to {MAX_TEST_IMAGES}."
        )
    reader = copy(recognizer).set_params(decoder="greedy")
    return make_self_test(images, read_texts(reader, images))


def _serialize(recognizer, dtype, test):
    """Return the content of the file."""
    onnx = import_optional("onnx", "onnx", "export_onnx")
    metadata = ModelMetadata(
        recognizer.vocabulary_,
        input_size_of(recognizer),
        recognizer.background_,
        has_empty_labels=recognizer.has_empty_labels_,
        multi_scale=recognizer.multi_scale,
        # Older models have none.
        training_images=getattr(recognizer, "training_images_", None),
        dtype=dtype,
        # Of those that the command line has trained.
        min_confidence=vars(recognizer)
        .get("test_scores_", {})
        .get("min_confidence", {}),
    )
    height = int(recognizer.image_height_)  # NumPy's in models of before
    graph = build_graph(recognizer.network_, height)
    store_weights(graph, dtype)
    model = onnx.helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET_VERSION)],
        producer_name="skcaptcha",
        producer_version=__version__,
    )
    properties = {METADATA_KEY: pack_metadata(metadata)}
    if test is not None:
        properties[SELF_TEST_KEY] = pack_self_test(test)
    onnx.helper.set_model_props(model, properties)
    return append_checksum(model.SerializeToString())
