from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from skcaptcha._curves import confidence_threshold as confidence_threshold
from skcaptcha._curves import reliability_curve as reliability_curve
from skcaptcha._curves import risk_coverage_curve as risk_coverage_curve
from skcaptcha._types import Texts, Weights

__all__ = [
    "SCORERS",
    "character_accuracy_score",
    "character_accuracy_scorer",
    "character_confusion",
    "character_error_rate",
    "confidence_threshold",
    "exact_match_score",
    "exact_match_scorer",
    "mean_edit_distance",
    "normalized_edit_distance",
    "normalized_edit_distance_scorer",
    "recognition_report",
    "reliability_curve",
    "risk_coverage_curve",
]

SCORERS: dict[str, Callable[..., float]]

exact_match_scorer: Callable[..., float]
character_accuracy_scorer: Callable[..., float]
normalized_edit_distance_scorer: Callable[..., float]

def exact_match_score(
    y_true: Texts,
    y_pred: Texts,
    *,
    normalize: bool = True,
    sample_weight: Weights = None,
    case_sensitive: bool = True,
) -> float: ...
def character_accuracy_score(
    y_true: Texts, y_pred: Texts, *, case_sensitive: bool = True
) -> float: ...
def character_error_rate(
    y_true: Texts, y_pred: Texts, *, case_sensitive: bool = True
) -> float: ...
def mean_edit_distance(
    y_true: Texts, y_pred: Texts, *, case_sensitive: bool = True
) -> float: ...
def normalized_edit_distance(
    y_true: Texts, y_pred: Texts, *, case_sensitive: bool = True
) -> float: ...
def character_confusion(
    y_true: Texts,
    y_pred: Texts,
    *,
    labels: Sequence[str] | None = None,
    case_sensitive: bool = True,
) -> tuple[npt.NDArray[np.int64], list[str]]: ...
@overload
def recognition_report(
    y_true: Texts,
    y_pred: Texts,
    *,
    digits: int = 4,
    n_confusions: int = 10,
    output_dict: Literal[False] = False,
    case_sensitive: bool = True,
) -> str: ...
@overload
def recognition_report(
    y_true: Texts,
    y_pred: Texts,
    *,
    digits: int = 4,
    n_confusions: int = 10,
    output_dict: Literal[True],
    case_sensitive: bool = True,
) -> dict[str, Any]: ...
