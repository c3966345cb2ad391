"""Checks of the parameters of estimators, with errors like scikit-learn's."""

import math
import os
from collections.abc import Callable, Set
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from skcaptcha.vocabulary import Vocabulary

MAX_BEAM_WIDTH = 10_000


@dataclass(frozen=True)
class Constraint:
    """Values that a parameter may have, and their description for errors."""

    description: str
    allows: Callable


def interval(kind, low=-math.inf, high=math.inf, *, open_low=False, open_high=False):
    """Return the constraint to an interval of numbers, `Integral` or `Real`."""

    def allows(value):
        return (
            isinstance(value, kind)
            and (value > low if open_low else value >= low)
            and (value < high if open_high or high == math.inf else value <= high)
        )

    name = "an int" if kind is Integral else "a float"
    left = "(" if open_low or low == -math.inf else "["
    right = ")" if open_high or high == math.inf else "]"
    ends = (low, high) if kind is Integral else (float(low), float(high))
    description = "{} in the range {}{}, {}{}".format(name, left, *ends, right)
    return Constraint(description, allows)


def instance_of(*types, description=None):
    """Return the constraint to instances of some types."""
    names = " or ".join(repr(t.__name__) for t in types)
    description = description or f"an instance of {names}"
    return Constraint(description, lambda value: isinstance(value, types))


def one_of(*options):
    """Return the constraint to some strings."""
    description = f"a str among {{{', '.join(map(repr, options))}}}"
    return Constraint(description, lambda v: isinstance(v, str) and v in options)


def _is_array_like(value):
    sized = hasattr(value, "__len__") or hasattr(value, "__array__")
    # A set has another order in each process.
    return sized and not isinstance(value, (str, bytes, Set))


def check_params(estimator, constraints):
    """Raise a ValueError unless one of its constraints allows each parameter.

    `constraints` has a list by the parameter's name, of `Constraint` or None.
    """
    for name, allowed in constraints.items():
        value = getattr(estimator, name)
        if value is None and None in allowed:
            continue
        if any(option and option.allows(value) for option in allowed):
            continue
        *others, last = (o.description if o else "None" for o in allowed)
        words = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(
            f"The {name!r} parameter of {type(estimator).__name__} must be {words}. "
            f"Got {value!r} instead."
        )


RANDOM_STATE = Constraint(
    "an int in the range [0, 2**32 - 1] or a RandomState",
    lambda value: (
        isinstance(value, np.random.RandomState)
        or (isinstance(value, Integral) and 0 <= value < 2**32)
    ),
)
_ARRAY_LIKE = Constraint("an array-like", _is_array_like)
_BOOLEAN = instance_of(bool, np.bool_, description="an instance of 'bool'")
_AUTO = one_of("auto")
RECOGNIZER_PARAMS = {
    "vocabulary": [instance_of(str), _ARRAY_LIKE, instance_of(Vocabulary), None],
    "image_height": [interval(Integral, 8, 512), _AUTO],
    "image_shape": [instance_of(tuple), instance_of(list), None],
    "color_mode": [one_of("auto", "grayscale", "rgb")],
    "background": [instance_of(str), instance_of(tuple), instance_of(list)],
    "conv_channels": [_ARRAY_LIKE],
    "network_size": [one_of("auto", "small", "large")],
    "downsampling": [one_of("pooling", "stride")],
    "lstm_units": [interval(Integral, 1, 10_000)],
    "lstm_layers": [interval(Integral, 0, 100)],
    "dropout": [interval(Real, 0, 1, open_high=True)],
    "pretrained": [_BOOLEAN, _AUTO],
    "augmentation": [interval(Real, 0, 5)],
    "batch_size": [interval(Integral, 1), _AUTO],
    "learning_rate_init": [interval(Real, 0, open_low=True)],
    "weight_decay": [interval(Real, 0)],
    "max_iter": [interval(Integral, 1), _AUTO],
    "early_stopping": [_BOOLEAN, _AUTO],
    "validation_fraction": [interval(Real, 0, 1, open_low=True, open_high=True)],
    "n_iter_no_change": [interval(Integral, 1)],
    "tol": [interval(Real, 0)],
    "warm_start": [_BOOLEAN],
    "freeze_convolutions": [_BOOLEAN],
    "decoder": [one_of("greedy", "beam")],
    "beam_width": [interval(Integral, 1, MAX_BEAM_WIDTH)],
    "multi_scale": [_BOOLEAN],
    "backend": [one_of("torch", "onnx")],
    "checkpoint": [instance_of(str), instance_of(os.PathLike), None],
    "checkpoint_interval": [interval(Real, 0)],
    "device": [instance_of(str)],
    "n_jobs": [instance_of(Integral), None],
    "cache_size": [interval(Real, 0)],
    "random_state": [RANDOM_STATE, None],
    "verbose": [instance_of(Integral, bool, np.bool_, description="a bool or an int")],
}
"""Constraints of the parameters of `CaptchaRecognizer`."""
