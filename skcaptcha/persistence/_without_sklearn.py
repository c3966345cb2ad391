"""Recognizers and ensembles in files, loaded without scikit-learn.

It takes long to import, and is of no use to read with them or to describe them. A file
that needs more, such as a Pipeline, is for `joblib.load` or `skops.io.load`.
"""

import inspect
import io
import pickle
import zlib

from skcaptcha._base import BaseEnsemble, BaseRecognizer
from skcaptcha.persistence._skops_files import read_description
from skcaptcha.persistence._state import unpack_state
from skcaptcha.vocabulary import Vocabulary

# Packages and modules whose names a pickle may ask for.
_PLAIN = {"joblib.numpy_pickle", "numpy", "pathlib"}
_ZLIB = b"\x78"  # the first byte of a file of joblib.dump(..., compress=3)


class SavedRecognizer(BaseRecognizer):
    """Reads as the `CaptchaRecognizer` of a file does."""

    def __setstate__(self, state):
        """Build the network, as `CaptchaRecognizer` does."""
        vars(self).update(self._restore(state))
        self._check_params()


class RecognizerHead(BaseRecognizer):
    """What there is to say of the `CaptchaRecognizer` of a file; it does not read."""

    def __setstate__(self, state):
        """Keep the weights as arrays, and build no network of them."""
        vars(self).update(unpack_state(state, type(self), build=False))

    def __sklearn_is_fitted__(self):
        """Tell whether there are weights."""
        return "_weights" in vars(self)


def load_reader(path):
    """Return what reads as the recognizer or ensemble of a pickle does, or None.

    None is for all else, what is damaged or not fitted included: `joblib.load` has the
    errors for that.
    """
    return _load(path, _unpickle, SavedRecognizer)


def load_head(path):
    """Return the attributes of a recognizer or ensemble, or None as `load_reader` does.

    The file may be one of skops. It takes no PyTorch, as no network is built.
    """
    is_skops = path.suffix.lower() == ".skops"
    return _load(path, read_description if is_skops else _unpickle, RecognizerHead)


def _load(path, read, recognizer_class):
    classes = {
        "skcaptcha.ensemble.CaptchaEnsemble": BaseEnsemble,
        "skcaptcha.recognizer.CaptchaRecognizer": recognizer_class,
        "skcaptcha.vocabulary.Vocabulary": Vocabulary,
    }
    try:
        model = read(path, classes)
        is_reader = isinstance(model, (BaseEnsemble, recognizer_class))
        return model if is_reader and model.__sklearn_is_fitted__() else None
    except Exception:  # what is no model can end in any of them
        return None


def _unpickle(path, classes):
    """Return the object in a file, its classes those of a dict by name."""
    from joblib.numpy_pickle import NumpyUnpickler  # is all of joblib

    class Unpickler(NumpyUnpickler):
        def find_class(self, module, name):
            if (found := classes.get(f"{module}.{name}")) is not None:
                return found
            if _PLAIN.isdisjoint((module, module.partition(".")[0])):
                raise pickle.UnpicklingError(f"{module}.{name} may take scikit-learn")
            return super().find_class(module, name)

    content = path.read_bytes()
    if content.startswith(_ZLIB):
        content = zlib.decompress(content)
    options = {}
    if "ensure_native_byte_order" in inspect.signature(NumpyUnpickler).parameters:
        options["ensure_native_byte_order"] = True  # new in joblib 1.5
    return Unpickler("", io.BytesIO(content), **options).load()
