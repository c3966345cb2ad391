from collections.abc import Iterable, Sequence
from typing import Any

from skcaptcha._types import Array, Images, RandomState, Texts

__all__ = ["PowerLaw", "find_label_issues", "fit_power_law", "label_curve"]

def find_label_issues(
    recognizer: Any,
    X: Images,
    y: Texts,
    *,
    cv: int | Iterable[Any] | Any = 5,
    n_jobs: int | None = None,
    as_frame: bool = False,
) -> Any: ...

class PowerLaw:
    size: float
    error: Array
    floor: Array
    exponent: Array
    probability: Array
    best: float
    def __init__(
        self,
        size: float,
        error: Array,
        floor: Array,
        exponent: Array,
        probability: Array,
        best: float,
    ) -> None: ...
    def predict(self, n_labels: Any, *, return_interval: bool = False) -> Any: ...
    def predict_gain(
        self, n_labels: float, n_more: Any, *, return_interval: bool = False
    ) -> Any: ...
    def find_size(self, score: float, *, return_interval: bool = False) -> Any: ...

def fit_power_law(
    n_labels: Any, scores: Any, n_tested: Any, *, best: float = 1.0
) -> PowerLaw: ...
def label_curve(
    estimator: Any,
    X: Images,
    y: Texts,
    *,
    groups: Any = None,
    train_sizes: Sequence[float] | Array = (0.125, 0.25, 0.5, 1.0),
    cv: int | Iterable[Any] | Any = None,
    scoring: Any = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> Any: ...
