from collections.abc import Sequence
from typing import Any, Literal

from skcaptcha._types import Array

__all__ = ["confidence_threshold", "reliability_curve", "risk_coverage_curve"]

def reliability_curve(
    is_right: Sequence[bool] | Array,
    confidence: Sequence[float] | Array,
    *,
    n_bins: int = 10,
    strategy: Literal["uniform", "quantile"] = "uniform",
) -> Any: ...
def confidence_threshold(
    is_right: Sequence[bool] | Array,
    confidence: Sequence[float] | Array,
    precision: float,
) -> float: ...
def risk_coverage_curve(
    is_right: Sequence[bool] | Array, confidence: Sequence[float] | Array
) -> Any: ...
