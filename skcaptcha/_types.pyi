"""Types that several public names share; there is no such module at run time."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL.Image import Image as PILImage

Path: TypeAlias = str | os.PathLike[str]
Array: TypeAlias = npt.NDArray[Any]
Image: TypeAlias = Path | bytes | PILImage | Array
# Whatever gives images one after the other, or a table with one a row. Data frames and
# the arrays of other libraries have no type that could be named here.
Images: TypeAlias = Iterable[Image] | Any
Texts: TypeAlias = Sequence[str] | npt.NDArray[np.object_] | npt.NDArray[np.str_] | Any
Weights: TypeAlias = Sequence[float] | Array | float | None
Color: TypeAlias = str | tuple[int, int, int] | Sequence[int]
Length: TypeAlias = int | tuple[int, int] | Mapping[int, float] | None
Characters: TypeAlias = str | Iterable[str] | None
OnError: TypeAlias = Literal["raise", "skip"]
RandomState: TypeAlias = int | np.random.RandomState | None

class Reader(Protocol):
    """What reads images as a recognizer does."""

    def predict(self, X: Images) -> Any: ...
