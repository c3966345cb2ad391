"""What a saved recognizer holds, and how it is restored."""

import inspect
import math
from numbers import Integral, Real

import numpy as np
from PIL import ImageColor

from skcaptcha._auto import MAX_STRETCH, MIN_STRETCH
from skcaptcha.images._likeness import is_summary
from skcaptcha.model.geometry import list_blocks
from skcaptcha.vocabulary import BLANK, Vocabulary

FORMAT_VERSION = 5
"""Version of the saved state. States from before there was a number count as 0."""

_VERSION, _WEIGHTS = "_format_version", "_weights"


def pack_state(state):
    """Return what is saved of the attributes of a recognizer, as a dict.

    The network becomes its weights as NumPy arrays. What `partial_fit` keeps for its
    next call is left out, and so are the callbacks and contexts of a running fit.
    """
    from skcaptcha._sklearn_compat import CallbackContext, FitCallback

    if any(isinstance(value, CallbackContext) for value in state.values()):
        state = {
            name: value
            for name, value in state.items()
            if not isinstance(value, CallbackContext)
            and not _is_list_of(name, value, FitCallback)
        }
    state = {**state, _VERSION: FORMAT_VERSION}
    state.pop("_trainer", None)
    network = state.pop("network_", None)
    if network is not None:
        state[_WEIGHTS] = {
            name: tensor.detach().cpu().numpy()
            for name, tensor in network.state_dict().items()
            if not name.startswith("auxiliary.")  # of use in training alone
        }
    return state


def _is_list_of(name, value, kind):
    """Tell whether a private attribute is a list, if empty, of some kind of object."""
    is_list = isinstance(value, list) and name.startswith("_")
    return is_list and all(isinstance(item, kind) for item in value)


def unpack_state(state, estimator_class, *, build=True):
    """Return the attributes of a recognizer from what `pack_state` returned.

    Parameters that an earlier version did not have get the default of
    `estimator_class`. The network is on the CPU; without `build` it is not made, and
    `_weights` has its arrays, which are not looked at.

    Raises
    ------
    ValueError
        If the state is of a later version, or is not one that a fit leaves.
    """
    name = estimator_class.__name__
    if not isinstance(state, dict):
        raise ValueError(f"The saved {name} is damaged: its state is {_short(state)}.")
    state = dict(state)
    version = state.pop(_VERSION, 0)
    if version not in range(FORMAT_VERSION + 1):
        raise ValueError(
            f"The {name} was saved in format {_short(version)}; this "
            f"version of skcaptcha reads formats 0 to {FORMAT_VERSION}. Upgrade "
            "skcaptcha to load it, or fit it anew."
        )
    parameters = inspect.signature(estimator_class).parameters.values()
    older = {p.name: p.default for p in parameters}
    if "multi_scale" in older:
        older["multi_scale"] = False  # they read each image once
    state = older | state
    if version < 3 and "_network_shape" in state:
        state["_network_config"] = state.pop("_network_shape")
    if version < 4 and isinstance(state.get("_network_config"), dict):
        # There were no strides.
        state["_network_config"] = {"pooling": True, **state["_network_config"]}
    if version < 5 and isinstance(state.get("_network_config"), dict):
        state["_network_config"] = {"residual_blocks": 0, **state["_network_config"]}
    weights = state.pop(_WEIGHTS, None)
    try:
        for attribute in state:
            if not isinstance(attribute, str) or hasattr(estimator_class, attribute):
                raise ValueError(f"{_short(attribute)} is no attribute of a state")
        if weights is not None:
            # Format 1 read all rows, and its confidence was not calibrated.
            state.setdefault("text_rows_", (0.0, 1.0))
            state.setdefault("temperature_", 1.0)
            state.setdefault("has_empty_labels_", False)  # which were refused
            check_fitted(state)
            if build:
                state["network_"] = _load_network(state["_network_config"], weights)
            else:
                state[_WEIGHTS] = weights
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"The saved {name} is damaged: {reason}. Load it from another copy, or fit "
            "it anew."
        ) from error
    return state


def _load_network(config, weights):
    """Return the network, built only once its form is known to be that of `weights`."""
    import torch

    from skcaptcha.model.network import build_network, list_shapes

    if not isinstance(weights, dict):
        raise ValueError("its weights are no dict")
    blocks = list_blocks(config["conv_channels"], config["residual_blocks"])
    n_layers = config["lstm_layers"] + len(blocks)
    if n_layers > len(weights):  # each has several
        raise ValueError(f"its weights are too few for a network of {n_layers} layers")
    expected = list_shapes(config)
    if weights.keys() != expected.keys():
        odd = sorted(map(str, weights.keys() ^ expected.keys()))
        raise ValueError(f"its weights do not fit its network: {_short(odd)}")
    for key, shape in expected.items():
        array = weights[key]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise ValueError(f"its weights do not fit its network: {key} is no array")
        if array.shape != shape:
            raise ValueError(
                f"its weights do not fit its network: {key} has shape {array.shape}, "
                f"not {shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"its weights are not all finite, such as {key}")
        if key.endswith("running_var") and (array < 0).any():
            raise ValueError(f"its weights hold a variance below 0, in {key}")
    network = build_network(config)
    network.auxiliary = None
    network.load_state_dict(
        {key: torch.from_numpy(np.array(array)) for key, array in weights.items()}
    )
    return network.eval()


def check_fitted(state):
    """Raise a ValueError unless the fitted attributes, as they were saved, go together.

    A KeyError names one that is not there. Unknown attributes may be of use to others.
    """
    for name, (is_valid, expected) in _FITTED.items():
        if not is_valid(state[name]):
            raise ValueError(f"{name}={_short(state[name])} is not {expected}")
    for name, (is_valid, expected) in _OPTIONAL.items():
        if name in state and not is_valid(state[name]):
            raise ValueError(f"{name}={_short(state[name])} is not {expected}")
    config = state["_network_config"]
    n_channels = 3 if state["color_mode_"] == "rgb" else 1
    for name, expected in (
        ("n_classes", state["vocabulary_"].n_classes),
        ("in_channels", n_channels),
    ):
        if config[name] != expected:
            raise ValueError(f"{name}={_short(config[name])} should be {expected}")
    if "image_shape_" in state:
        n_features = math.prod(state["image_shape_"])
        if state["n_features_in_"] != n_features:
            raise ValueError(f"image_shape_ holds {n_features} numbers")


def _is_int(value, low, high=math.inf):
    return isinstance(value, Integral) and low <= value <= high


def _is_float(value, low=-math.inf, high=math.inf):
    return isinstance(value, Real) and math.isfinite(value) and low <= value <= high


def _is_list(value, is_item, lengths=range(2**31)):
    return (
        isinstance(value, (list, tuple))
        and len(value) in lengths
        and all(map(is_item, value))
    )


def _is_scale(value):
    return (
        _is_list(value, _is_float, (2,))
        and _is_int(value[0], 8, 512)
        and MIN_STRETCH <= value[1] <= MAX_STRETCH
    )


def _is_color(value):
    if isinstance(value, str):
        value = ImageColor.getrgb(value)
    return _is_list(value, lambda c: _is_float(c, 0, 255) and c == int(c), (3,))


def _is_vocabulary(value):
    """Tell whether it is what `Vocabulary` makes; only the types can be trusted."""
    if type(value) is not Vocabulary or vars(value).keys() != {
        "_indices",
        "_characters",
    }:
        return False
    characters = value._characters
    if not _is_list(characters, lambda c: type(c) is str and c, range(1, 2**31)):
        return False
    indices = {c: BLANK + 1 + i for i, c in enumerate(characters)}
    same = type(value._indices) is dict and value._indices == indices
    return same and type(characters) is tuple and len(indices) == len(characters)


def _is_config(value):
    return (
        isinstance(value, dict)
        and value.keys() == _CONFIG.keys()
        and all(is_valid(value[name]) for name, is_valid in _CONFIG.items())
    )


def _short(value):
    try:
        text = repr(value)
    except Exception:  # of an object that no one has made properly
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:60]}..."


_CONFIG = {
    "n_classes": lambda v: _is_int(v, 2),
    "in_channels": lambda v: v in (1, 3),
    "conv_channels": lambda v: _is_list(v, lambda n: _is_int(n, 1), range(2, 13)),
    "pooling": lambda v: isinstance(v, bool),
    "residual_blocks": lambda v: _is_int(v, 0, 100),
    "lstm_units": lambda v: _is_int(v, 1),
    "lstm_layers": lambda v: _is_int(v, 0),
    "dropout": lambda v: _is_float(v, 0, 1),
}
# For each attribute a test of its value, and the end of "... is not" in the error.
_FITTED = {
    "vocabulary_": (_is_vocabulary, "a Vocabulary of distinct str"),
    "image_height_": (lambda v: _is_int(v, 8, 512), "an int from 8 to 512"),
    "width_stretch_": (
        lambda v: _is_float(v, MIN_STRETCH, MAX_STRETCH),
        f"a number from {MIN_STRETCH} to {MAX_STRETCH}",
    ),
    "text_rows_": (
        lambda v: _is_list(v, _is_float, (2,)) and 0 <= v[0] < v[1] <= 1,
        "two rising numbers from 0 to 1",
    ),
    "color_mode_": (
        lambda v: isinstance(v, str) and v in ("grayscale", "rgb"),
        "'grayscale' or 'rgb'",
    ),
    "background_": (_is_color, "a color"),
    "_network_config": (_is_config, "the parameters of a network"),
}
_CURVE = (
    lambda v: v is None or _is_list(v, lambda x: isinstance(x, Real)),
    "a list of numbers",
)
_OPTIONAL = {
    "temperature_": (lambda v: _is_float(v) and v > 0, "a number above 0"),
    "has_empty_labels_": (lambda v: isinstance(v, bool), "a bool"),
    "converged_": (lambda v: isinstance(v, (bool, np.bool_)), "a bool"),
    "n_iter_": (lambda v: _is_int(v, 0), "an int from 0"),
    "n_restarts_": (lambda v: _is_int(v, 0), "an int from 0"),
    "loss_curve_": _CURVE,
    "learning_rate_curve_": _CURVE,
    "validation_scores_": _CURVE,
    "training_images_": (
        lambda v: v is None or is_summary(v),
        "a range for each measure, and n_images",
    ),
    "auto_choices_": (lambda v: isinstance(v, dict), "a dict"),
    "scales_": (
        lambda v: _is_list(v, _is_scale, range(1, 101)),
        "a list of heights and factors of the width",
    ),
    "image_shape_": (
        lambda v: _is_list(v, lambda n: _is_int(n, 1), (2, 3)),
        "2 or 3 ints",
    ),
    "feature_range_": (lambda v: _is_list(v, _is_float, (2,)), "two numbers"),
}
