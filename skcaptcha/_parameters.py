"""Checks of the parameters of estimators, in scikit-learn's words."""

import math
import os
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from skcaptcha.vocabulary import Vocabulary

__all__ = [
    "ARRAY_LIKE",
    "BOOLEAN",
    "RANDOM_STATE",
    "RECOGNIZER_PARAMS",
    "VERBOSE",
    "HasMethods",
    "InstanceOf",
    "Interval",
    "OneOf",
    "check_params",
]


@dataclass(frozen=True)
class Interval:
    """Numbers of a kind, `Integral` or `Real`, from `low` to `high`."""

    kind: type
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def allows(self, value):
        """Tell whether the value is in the interval."""
        return (
            isinstance(value, self.kind)
            and (value > self.low if self.open_low else value >= self.low)
            and (value < self.high if self.open_high else value <= self.high)
        )

    def __str__(self):
        """Name the kind and the ends."""
        kind = "an int" if self.kind is Integral else "a float"
        left = "(" if self.open_low or self.low == -math.inf else "["
        right = ")" if self.open_high or self.high == math.inf else "]"
        ends = [self.low, self.high]
        if self.kind is Real:
            ends = map(float, ends)
        return "{} in the range {}{}, {}{}".format(kind, left, *ends, right)


@dataclass(frozen=True)
class OneOf:
    """Some strings."""

    options: tuple

    def allows(self, value):
        """Tell whether the value is one of them."""
        return isinstance(value, str) and value in self.options

    def __str__(self):
        """List them."""
        return f"a str among {{{', '.join(map(repr, self.options))}}}"


@dataclass(frozen=True)
class InstanceOf:
    """Instances of some types; `words` say it where the types' names do not."""

    types: tuple
    words: str = ""

    def allows(self, value):
        """Tell whether the value is one."""
        return isinstance(value, self.types)

    def __str__(self):
        """Name the types."""
        names = " or ".join(repr(t.__name__) for t in self.types)
        return self.words or f"an instance of {names}"


@dataclass(frozen=True)
class HasMethods:
    """Objects with some methods."""

    names: tuple

    def allows(self, value):
        """Tell whether the value has them."""
        return all(callable(getattr(value, name, None)) for name in self.names)

    def __str__(self):
        """Name the methods."""
        return f"an object implementing {', '.join(map(repr, self.names))}"


class _ArrayLike:
    """Lists, tuples and arrays, but no text."""

    def allows(self, value):
        sized = hasattr(value, "__len__") or hasattr(value, "__array__")
        return sized and not isinstance(value, (str, bytes))

    def __str__(self):
        return "an array-like"


ARRAY_LIKE = _ArrayLike()
BOOLEAN = InstanceOf((bool, np.bool_), "an instance of 'bool'")
RANDOM_STATE = InstanceOf((Integral, np.random.RandomState), "an int or a RandomState")
VERBOSE = InstanceOf((Integral, bool, np.bool_), "a bool or an int")


def check_params(estimator, constraints):
    """Raise a ValueError unless each parameter of an estimator is allowed.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator.
    constraints : dict of str to list
        What each parameter may be: any of those in the list, which are of the classes
        above, or None.
    """
    for name, value in estimator.get_params(deep=False).items():
        allowed = constraints[name]
        if any(
            value is None if option is None else option.allows(value)
            for option in allowed
        ):
            continue
        *others, last = map(str, allowed)
        words = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(
            f"The {name!r} parameter of {type(estimator).__name__} must be {words}. "
            f"Got {value!r} instead."
        )


_AUTO = OneOf(("auto",))
RECOGNIZER_PARAMS = {
    "vocabulary": [InstanceOf((str,)), ARRAY_LIKE, InstanceOf((Vocabulary,)), None],
    "image_height": [Interval(Integral, 8, 512), _AUTO],
    "image_shape": [InstanceOf((tuple,)), InstanceOf((list,)), None],
    "color_mode": [OneOf(("auto", "grayscale", "rgb"))],
    "background": [InstanceOf((str,)), InstanceOf((tuple,)), InstanceOf((list,))],
    "conv_channels": [ARRAY_LIKE],
    "lstm_units": [Interval(Integral, 1)],
    "lstm_layers": [Interval(Integral, 0)],
    "dropout": [Interval(Real, 0, 1, open_high=True)],
    "pretrained": [BOOLEAN, _AUTO],
    "augmentation": [Interval(Real, 0, 5)],
    "batch_size": [Interval(Integral, 1), _AUTO],
    "learning_rate_init": [Interval(Real, 0, open_low=True)],
    "weight_decay": [Interval(Real, 0)],
    "max_iter": [Interval(Integral, 1), _AUTO],
    "early_stopping": [BOOLEAN, _AUTO],
    "validation_fraction": [Interval(Real, 0, 1, open_low=True, open_high=True)],
    "n_iter_no_change": [Interval(Integral, 1)],
    "tol": [Interval(Real, 0)],
    "warm_start": [BOOLEAN],
    "freeze_convolutions": [BOOLEAN],
    "decoder": [OneOf(("greedy", "beam"))],
    "beam_width": [Interval(Integral, 1)],
    "checkpoint": [InstanceOf((str,)), InstanceOf((os.PathLike,)), None],
    "checkpoint_interval": [Interval(Real, 0)],
    "device": [InstanceOf((str,))],
    "n_jobs": [InstanceOf((Integral,)), None],
    "cache_size": [Interval(Real, 0)],
    "random_state": [RANDOM_STATE, None],
    "verbose": [VERBOSE],
}
"""What each parameter of `CaptchaRecognizer` may be."""
