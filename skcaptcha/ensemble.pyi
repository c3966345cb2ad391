from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MetaEstimatorMixin

from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._reader import ReaderMixin
from skcaptcha._types import Array, Images, RandomState, Texts, Weights
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import Vocabulary

__all__ = ["CaptchaEnsemble"]

class CaptchaEnsemble(DocLinkMixin, ReaderMixin, MetaEstimatorMixin, BaseEstimator):
    estimators_: list[CaptchaRecognizer]
    cv_scores_: npt.NDArray[np.float64]

    estimator: CaptchaRecognizer | None
    cv: int | Iterable[Any] | Any
    n_jobs: int | None
    random_state: RandomState

    def __init__(
        self,
        estimator: CaptchaRecognizer | None = None,
        *,
        cv: int | Iterable[Any] | Any = 5,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None: ...
    def fit(
        self, X: Images, y: Texts, sample_weight: Weights = None
    ) -> CaptchaEnsemble: ...
    @property
    def decoder(self) -> Literal["greedy", "beam"]: ...
    @property
    def beam_width(self) -> int: ...
    @property
    def vocabulary_(self) -> Vocabulary: ...
    @property
    def n_features_in_(self) -> int: ...
    @property
    def feature_names_in_(self) -> Array: ...
    @property
    def has_empty_labels_(self) -> bool: ...
    @property
    def training_images_(self) -> dict[str, Any] | None: ...
