from collections.abc import Iterator
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from skcaptcha._types import Array, Characters, Images, Length, OnError, Texts, Weights

_Texts = npt.NDArray[np.object_]
_Floats = npt.NDArray[np.float64]

class ReaderMixin:
    @overload
    def predict(
        self,
        X: Images,
        *,
        length: Length = None,
        vocabulary: Characters = None,
        on_error: OnError = "raise",
        return_confidence: Literal[False] = False,
    ) -> _Texts: ...
    @overload
    def predict(
        self,
        X: Images,
        *,
        length: Length = None,
        vocabulary: Characters = None,
        on_error: OnError = "raise",
        return_confidence: Literal[True],
    ) -> tuple[_Texts, _Floats]: ...
    def predict_confidence(
        self,
        X: Images,
        *,
        length: Length = None,
        vocabulary: Characters = None,
        on_error: OnError = "raise",
    ) -> _Floats: ...
    def predict_topk(
        self,
        X: Images,
        k: int = 5,
        *,
        length: Length = None,
        vocabulary: Characters = None,
        on_error: OnError = "raise",
    ) -> list[list[tuple[str, float]] | None]: ...
    def predict_characters(
        self,
        X: Images,
        *,
        length: Length = None,
        vocabulary: Characters = None,
        on_error: OnError = "raise",
    ) -> list[list[Any] | None]: ...
    def iter_readings(
        self,
        X: Images,
        *,
        length: Length = None,
        vocabulary: Characters = None,
        on_error: OnError = "raise",
        notices: list[tuple[str, type[Warning]]] | None = None,
    ) -> Iterator[Any]: ...
    def frame_log_proba(
        self, X: Images, *, on_error: OnError = "raise"
    ) -> list[Array]: ...
    def iter_frames(
        self,
        X: Images,
        *,
        on_error: OnError = "raise",
        multi_scale: bool | None = None,
        notices: list[tuple[str, type[Warning]]] | None = None,
        widths: dict[int, int] | None = None,
        seen: Any = None,
    ) -> Iterator[tuple[int, list[Array] | Exception]]: ...
    def score(self, X: Images, y: Texts, sample_weight: Weights = None) -> float: ...
