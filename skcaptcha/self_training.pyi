from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MetaEstimatorMixin

from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._reader import ReaderMixin
from skcaptcha._types import Array, Characters, Images, Length, Weights
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import Vocabulary

__all__ = ["SelfTrainingRecognizer"]

class SelfTrainingRecognizer(
    DocLinkMixin, ReaderMixin, MetaEstimatorMixin, BaseEstimator
):
    recognizer_: CaptchaRecognizer
    transduction_: npt.NDArray[np.object_]
    labeled_iter_: npt.NDArray[np.int64]
    n_iter_: int
    termination_condition_: str
    label_scores_: list[float]

    recognizer: CaptchaRecognizer | None
    threshold: float
    criterion: Literal["threshold", "k_best"]
    k_best: int
    max_iter: int | None
    vocabulary: Characters
    length: Length
    verbose: bool | int

    def __init__(
        self,
        recognizer: CaptchaRecognizer | None = None,
        *,
        threshold: float = 0.6,
        criterion: Literal["threshold", "k_best"] = "threshold",
        k_best: int = 100,
        max_iter: int | None = 3,
        vocabulary: Characters = None,
        length: Length = None,
        verbose: bool | int = False,
    ) -> None: ...
    def fit(
        self, X: Images, y: Iterable[str | None] | Any = None
    ) -> SelfTrainingRecognizer: ...
    def score(
        self, X: Images, y: Iterable[str | None] | Any, sample_weight: Weights = None
    ) -> float: ...
    def iter_frames(self, X: Images, **options: Any) -> Any: ...
    def prepare_images(self, X: Images) -> list[Array]: ...
    @property
    def decoder(self) -> Literal["greedy", "beam"]: ...
    @property
    def beam_width(self) -> int: ...
    @property
    def vocabulary_(self) -> Vocabulary: ...
    @property
    def has_empty_labels_(self) -> bool: ...
    @property
    def training_images_(self) -> dict[str, Any] | None: ...
    @property
    def n_features_in_(self) -> int: ...
    @property
    def feature_names_in_(self) -> Array: ...
