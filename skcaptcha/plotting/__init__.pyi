from collections.abc import Sequence
from typing import Any, Literal, Self

from skcaptcha._types import Array, Color, Images, RandomState, Texts

__all__ = [
    "AlignmentDisplay",
    "CharacterConfusionDisplay",
    "ConfidenceDisplay",
    "LabelCurveDisplay",
    "LabelIssuesDisplay",
    "PredictionDisplay",
    "SamplesDisplay",
    "TrainingCurveDisplay",
]

class AlignmentDisplay:
    def __init__(
        self,
        image: Array,
        frame_log_proba: Array,
        characters: Sequence[str],
        symbols: Sequence[int] | Array,
        *,
        y_true: str | None = None,
    ) -> None: ...
    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Texts | None = None,
        *,
        index: int = 0,
        **options: Any,
    ) -> Self: ...
    @classmethod
    def from_predictions(
        cls,
        image: Any,
        frame_log_proba: Array,
        characters: Sequence[str],
        *,
        symbols: Sequence[int] | Array | None = None,
        y_true: str | None = None,
        **options: Any,
    ) -> Self: ...
    def plot(
        self, *, ax: Any = None, max_labels: int | None = None, title: str | None = None
    ) -> Self: ...

class CharacterConfusionDisplay:
    def __init__(self, confusion_matrix: Array, labels: Sequence[str]) -> None: ...
    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Texts,
        *,
        labels: Sequence[str] | None = None,
        **options: Any,
    ) -> Self: ...
    @classmethod
    def from_predictions(
        cls,
        y_true: Texts,
        y_pred: Texts,
        *,
        labels: Sequence[str] | None = None,
        **options: Any,
    ) -> Self: ...
    def plot(
        self, *, ax: Any = None, max_labels: int | None = None, title: str | None = None
    ) -> Self: ...

class ConfidenceDisplay:
    def __init__(
        self,
        *,
        bin_edges: Array,
        counts: Array,
        prob_true: Array,
        prob_pred: Array,
        coverage: Array,
        risk: Array,
        thresholds: Array,
    ) -> None: ...
    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Images, y: Texts, **options: Any
    ) -> Self: ...
    @classmethod
    def from_predictions(
        cls,
        y_true: Texts,
        y_pred: Texts,
        confidence: Sequence[float] | Array,
        *,
        n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform",
        **options: Any,
    ) -> Self: ...
    def plot(
        self,
        *,
        kind: Literal["both", "reliability", "risk"] = "both",
        ax: Any = None,
        title: str | None = None,
    ) -> Self: ...

class _GridMixin:
    def plot(
        self,
        *,
        ax: Any = None,
        n_columns: int = 4,
        max_images: int | None = 16,
        title: str | None = None,
    ) -> Self: ...

class PredictionDisplay(_GridMixin):
    def __init__(
        self,
        images: Sequence[Array],
        y_pred: Texts,
        *,
        y_true: Texts | None = None,
        confidence: Sequence[float] | Array | None = None,
        preprocessed: Sequence[Array] | None = None,
    ) -> None: ...
    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Texts | None = None,
        *,
        preprocessed: bool | Literal["auto"] = "auto",
        **options: Any,
    ) -> Self: ...
    @classmethod
    def from_predictions(
        cls,
        X: Images,
        y_pred: Texts,
        *,
        y_true: Texts | None = None,
        confidence: Sequence[float] | Array | None = None,
        preprocessed: Sequence[Array] | None = None,
        background: Color = "white",
        **options: Any,
    ) -> Self: ...

class SamplesDisplay(_GridMixin):
    def __init__(self, images: Sequence[Array], texts: Texts | None = None) -> None: ...
    @classmethod
    def from_samples(
        cls,
        X: Images,
        y: Texts | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        background: Color = "white",
        shuffle: bool = False,
        random_state: RandomState = None,
        max_images: int | None = 16,
        **options: Any,
    ) -> Self: ...

class TrainingCurveDisplay:
    def __init__(
        self,
        loss_curve: Sequence[float],
        *,
        validation_scores: Sequence[float] | None = None,
        learning_rate_curve: Sequence[float] | None = None,
        best_epoch: int | None = None,
    ) -> None: ...
    @classmethod
    def from_estimator(cls, estimator: Any, **options: Any) -> Self: ...
    def plot(self, *, ax: Any = None, title: str | None = None) -> Self: ...

class LabelCurveDisplay:
    def __init__(
        self,
        train_sizes: Array,
        test_scores: Array,
        *,
        power_law: Any,
        estimate_sizes: Array,
        score_name: str = "Exact match",
    ) -> None: ...
    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Texts,
        *,
        groups: Any = None,
        train_sizes: Sequence[float] | Array = (0.125, 0.25, 0.5, 1.0),
        cv: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        score_name: str | None = None,
        **options: Any,
    ) -> Self: ...
    @classmethod
    def from_results(
        cls, results: Any, *, score_name: str = "Exact match", **options: Any
    ) -> Self: ...
    def plot(self, *, ax: Any = None, title: str | None = None) -> Self: ...

class LabelIssuesDisplay:
    def __init__(
        self,
        images: Sequence[Array],
        labels: Texts,
        y_pred: Texts,
        *,
        confidence: Array | None = None,
        is_likely_wrong: Array | None = None,
    ) -> None: ...
    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Texts,
        *,
        cv: Any = 5,
        n_jobs: int | None = None,
        **options: Any,
    ) -> Self: ...
    @classmethod
    def from_results(
        cls,
        X: Images,
        y: Texts,
        found: Any,
        *,
        image_shape: tuple[int, ...] | None = None,
        background: Color = "white",
        max_images: int | None = 16,
        **options: Any,
    ) -> Self: ...
    def plot(
        self,
        *,
        ax: Any = None,
        n_columns: int = 4,
        max_images: int | None = 16,
        title: str | None = None,
    ) -> Self: ...
