"""A fitted recognizer as an ONNX file."""

from sklearn.utils.validation import check_is_fitted

from skcaptcha import __version__
from skcaptcha._files import write_atomically
from skcaptcha._optional import import_optional
from skcaptcha._training_data import input_size_of
from skcaptcha._validation import check_path
from skcaptcha.export._graph import IR_VERSION, OPSET_VERSION, build_graph
from skcaptcha.export._metadata import (
    METADATA_KEY,
    ModelMetadata,
    append_checksum,
    pack_metadata,
)
from skcaptcha.recognizer import CaptchaRecognizer


def export_onnx(recognizer, path):
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
            f"recognizer={recognizer!r} is not a CaptchaRecognizer; pass a fitted one. "
            "Of a Pipeline or a search pass the recognizer in it, such as pipeline[-1] "
            "or search.best_estimator_; the steps before it are not exported. Of a "
            "SelfTrainingRecognizer pass `recognizer_`."
        )
    check_is_fitted(recognizer)
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
    onnx = import_optional("onnx", "onnx", "export_onnx")
    metadata = ModelMetadata(
        recognizer.vocabulary_,
        input_size_of(recognizer),
        recognizer.background_,
        has_empty_labels=recognizer.has_empty_labels_,
        # Older models have none.
        training_images=getattr(recognizer, "training_images_", None),
    )
    model = onnx.helper.make_model(
        build_graph(recognizer.network_, recognizer.image_height_),
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET_VERSION)],
        producer_name="skcaptcha",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, {METADATA_KEY: pack_metadata(metadata)})
    write_atomically(path, append_checksum(model.SerializeToString()))
