"""Files of models: what `train` writes, and what the other commands read."""

import io
import tempfile
from itertools import count
from pathlib import Path

from skcaptcha import persistence
from skcaptcha._files import write_atomically
from skcaptcha._frames import find_scales
from skcaptcha._optional import import_optional
from skcaptcha._reader import ReaderMixin
from skcaptcha.cli._output import check_input, handle_interrupts, say
from skcaptcha.images import read_images
from skcaptcha.images._read import is_error

# Images that the steps before a recognizer transform at a time.
_CHUNK = 32


class PipelineReader(ReaderMixin):
    """Reads as a pipeline does, image by image, so that one may be skipped."""

    def __init__(self, pipeline):
        self.transformer, self.reader = pipeline[:-1], pipeline[-1]
        self.vocabulary_ = self.reader.vocabulary_
        self.has_empty_labels_ = self.reader.has_empty_labels_
        self.training_images_ = getattr(self.reader, "training_images_", None)
        self.decoder, self.beam_width = self.reader.decoder, self.reader.beam_width
        self.scales_ = find_scales(self.reader)

    def iter_frames(self, X, *, on_error="raise", widths=None, **options):
        """Yield as `CaptchaRecognizer.iter_frames` does.

        Where the steps change the width of an image, `widths` cannot be told.
        """
        positions, images = [], []
        if widths is not None:
            options["widths"] = {}

        def read():
            found = self.reader.iter_frames(images, on_error=on_error, **options)
            for position, frames in found:
                if widths is not None and not is_error(frames):
                    width = options["widths"].pop(position)
                    widths[positions[position]] = width
                yield positions[position], frames
            positions.clear()
            images.clear()

        for position, item in enumerate(X):
            try:
                (image,) = self.transformer.transform([item])
                if widths is not None:
                    _check_same_width(item, image)
            except _OtherWidthError:
                raise
            except (OSError, TypeError, ValueError) as error:
                if on_error == "raise":
                    raise
                yield position, error.with_traceback(None)
            else:
                positions.append(position)
                images.append(image)
            if len(images) == _CHUNK:
                yield from read()
        if images:
            yield from read()


class _OtherWidthError(ValueError):
    """The columns of an image are not those that a recognizer reads."""


def _check_same_width(item, image):
    """Raise an error if the steps before a recognizer change an image's width."""
    before, after = (read_images([x])[0].shape[1] for x in (item, image))
    if before != after:
        name = str(getattr(item, "name", item))
        raise _OtherWidthError(
            f"the steps before the recognizer change the width of {name!r} from "
            f"{before} to {after} columns, so that nobody knows where its characters "
            "stand: leave out --characters-detail, or use a model without such steps"
        )


def find_saver(path, option="--out"):
    """Return the function that saves a recognizer in the format of a file's name.

    `option` is the one that names the file, for errors.
    """
    suffix = path.suffix.lower()
    if suffix in (".joblib", ".pkl"):
        return _dump_pickle
    if suffix == ".skops":
        import_optional("skops.io", "skops", f"{option}={str(path)!r}")
        return persistence.dump
    raise ValueError(
        f"{option}={str(path)!r} must be a name that ends in .joblib, .pkl or .skops"
    )


def _dump_pickle(recognizer, path):
    import joblib

    buffer = io.BytesIO()
    joblib.dump(recognizer, buffer)
    write_atomically(path, buffer.getvalue())


def save_model(recognizer, path):
    """Save a recognizer, elsewhere if it must be; Ctrl-C comes after that."""
    save = find_saver(path)
    with handle_interrupts() as interrupts:
        try:
            save(recognizer, path)
        except OSError as error:
            spare = find_free(Path(tempfile.gettempdir(), path.name))
            save(recognizer, spare)
            raise OSError(
                f"--out={str(path)!r} cannot be written ({error.strerror or error}); "
                f"the model is in {str(spare)!r} instead"
            ) from error
    if interrupts:
        say(f"skcaptcha: the model is in {path}")
        raise KeyboardInterrupt


def save_interrupted(recognizer, path):
    """Save the weights of a fit that was broken off, and leave the file alone."""
    # The name is cut, as there may be no room for more than it has.
    spare = find_free(path.with_name(f"{path.stem[:50]}.interrupted{path.suffix}"))
    save_model(recognizer, spare)
    left = f"; {path} is as it was" if path.exists() else ""
    say(f"skcaptcha: interrupted; the weights so far are in {spare}{left}")


def find_free(path):
    """Return a path that no file has, with a number where there has to be one."""
    names = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    while path.exists():
        path = next(names)
    return path


def load_head(path):
    """Load what there is to say of a model, without its network where that can be."""
    if path.suffix.lower() == ".onnx":
        _check_file(path)
        from skcaptcha.export._reader import OnnxRecognizer, load_metadata

        return OnnxRecognizer(None, load_metadata(path))
    return _load_without_sklearn(path, "load_head") or load_model(path)


def load_reader(path):
    """Load what reads as a model does, without scikit-learn where that can be."""
    if path.suffix.lower() in (".onnx", ".skops"):
        return load_model(path)
    return _load_without_sklearn(path, "load_reader") or load_model(path)


def _load_without_sklearn(path, function):
    """Return what a function of that module returns, None for what is no file."""
    if is_pretrained(path):
        return None
    _check_file(path)
    from skcaptcha.persistence import _without_sklearn

    return getattr(_without_sklearn, function)(path)


def load_model(path):
    """Load a fitted reader of any kind from a file.

    It is a `CaptchaRecognizer`, `CaptchaEnsemble`, `OnnxRecognizer` or `Pipeline`. The
    name "pretrained", if no file has it, is that of `load_pretrained`.
    """
    if is_pretrained(path):
        from skcaptcha import load_pretrained

        return load_pretrained()
    _check_file(path)
    if path.suffix.lower() == ".onnx":
        from skcaptcha.export import load_onnx

        return load_onnx(path)
    from skcaptcha import (
        CaptchaEnsemble,
        CaptchaRecognizer,
        SelfTrainingRecognizer,
    )

    model = (
        persistence.load(path)
        if path.suffix.lower() == ".skops"
        else _load_pickle(path)
    )
    model = getattr(model, "best_estimator_", model)  # of a search
    if isinstance(model, SelfTrainingRecognizer) and hasattr(model, "recognizer_"):
        model = model.recognizer_
    reader = find_reader(model)
    readers = (CaptchaRecognizer, CaptchaEnsemble, SelfTrainingRecognizer)
    if not isinstance(reader, readers):
        raise ValueError(
            f"{str(path)!r} holds a {type(reader).__name__} and no recognizer"
        )
    if not reader.__sklearn_is_fitted__():
        raise ValueError(f"{str(path)!r} holds a recognizer that is not fitted")
    return model


def is_pretrained(path):
    """Tell whether the model is that of `load_pretrained`."""
    return str(path) == "pretrained" and not path.exists()


def _check_file(path):
    check_input(path, "the model")
    if path.is_dir():
        raise ValueError(f"the model {str(path)!r} is a folder; give the file in it")
    with open(path, "rb") as file:
        if file.read(20) == b"skcaptcha checkpoint":
            raise ValueError(
                f"{str(path)!r} is the checkpoint of a fit that has not ended; to "
                "resume with it, call `skcaptcha train` again as it was called"
            )


def _load_pickle(path):
    import joblib

    name = repr(str(path))
    try:
        return joblib.load(path)
    except OSError:
        raise
    except (AttributeError, ImportError) as error:
        raise ValueError(
            f"{name} needs what is missing here ({error}): install the packages that "
            "it was made with, or upgrade skcaptcha if it is of a newer version"
        ) from error
    except Exception as error:  # what is no pickle can end in any of them
        if isinstance(error, ValueError) and "CaptchaRecognizer" in str(error):
            raise ValueError(f"{name} cannot be loaded: {error}") from error
        raise ValueError(
            f"{name} is no model, or a damaged one; give a file that `skcaptcha train` "
            "or joblib.dump wrote"
        ) from error


def is_pipeline(model):
    """Tell whether a loaded model is a Pipeline, of whose class it is not asked.

    scikit-learn takes long to load, and is not needed to read with an ONNX file.
    """
    return hasattr(model, "steps")


def find_reader(model):
    """Return the reader in a loaded model: the last step of a Pipeline, or itself."""
    return model[-1] if is_pipeline(model) else model


def is_recognizer(model):
    """Tell whether a loaded model is a `CaptchaRecognizer`."""
    if is_pipeline(model) or hasattr(model, "metadata"):  # of an ONNX file
        return False
    from skcaptcha import CaptchaRecognizer

    return isinstance(model, CaptchaRecognizer)


def make_reader(model):
    """Return what reads as a loaded model does, an unreadable image skipped."""
    if is_pipeline(model) and len(model) > 1:
        return PipelineReader(model)
    return find_reader(model)
