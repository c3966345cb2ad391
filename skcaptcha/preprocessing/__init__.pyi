from typing import Any, Literal

from sklearn.base import BaseEstimator, TransformerMixin

from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._types import Array, Color, Images

__all__ = [
    "CLAHE",
    "AdaptiveThreshold",
    "DarkOnLight",
    "GrayscaleConverter",
    "ImageReader",
    "ImageResizer",
    "MarginCropper",
    "MedianFilter",
    "MorphologicalOpening",
    "adaptive_threshold",
    "crop_margins",
    "equalize_histogram",
    "dark_on_light",
    "median_filter",
    "morphological_opening",
    "resize_and_pad",
    "resize_image",
]

class _ImageTransformer(DocLinkMixin, TransformerMixin, BaseEstimator):
    background: Color
    n_jobs: int | None
    def __init__(
        self, *, background: Color = "white", n_jobs: int | None = None
    ) -> None: ...
    def fit(self, X: Images, y: Any = None) -> _ImageTransformer: ...
    def transform(self, X: Images) -> list[Array]: ...

class CLAHE(_ImageTransformer):
    clip_limit: float
    tile_grid_size: tuple[int, int]
    def __init__(
        self,
        *,
        clip_limit: float = 2.0,
        tile_grid_size: tuple[int, int] = (8, 8),
        background: Color = "white",
        n_jobs: int | None = None,
    ) -> None: ...

class AdaptiveThreshold(_ImageTransformer):
    block_size: int
    offset: float
    method: Literal["mean", "gaussian"]
    def __init__(
        self,
        *,
        block_size: int = 11,
        offset: float = 10,
        method: Literal["mean", "gaussian"] = "mean",
        background: Color = "white",
        n_jobs: int | None = None,
    ) -> None: ...

class DarkOnLight(_ImageTransformer): ...
class GrayscaleConverter(_ImageTransformer): ...

class ImageReader(_ImageTransformer):
    memory: Any
    def __init__(
        self,
        *,
        background: Color = "white",
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None: ...

class ImageResizer(_ImageTransformer):
    height: int
    width: int | None
    align: Literal["left", "center", "right"]
    fill: Literal["border"] | Color
    def __init__(
        self,
        *,
        height: int = 50,
        width: int | None = None,
        align: Literal["left", "center", "right"] = "left",
        fill: Literal["border"] | Color = "border",
        background: Color = "white",
        n_jobs: int | None = None,
    ) -> None: ...

class MarginCropper(_ImageTransformer):
    margin: float
    def __init__(
        self,
        *,
        margin: float = 0.1,
        background: Color = "white",
        n_jobs: int | None = None,
    ) -> None: ...

class MedianFilter(_ImageTransformer):
    size: int
    def __init__(
        self,
        *,
        size: int = 3,
        background: Color = "white",
        n_jobs: int | None = None,
    ) -> None: ...

class MorphologicalOpening(_ImageTransformer):
    size: tuple[int, int]
    foreground: Literal["dark", "light"]
    def __init__(
        self,
        *,
        size: tuple[int, int] = (2, 2),
        foreground: Literal["dark", "light"] = "dark",
        background: Color = "white",
        n_jobs: int | None = None,
    ) -> None: ...

def adaptive_threshold(
    image: Array,
    *,
    block_size: int = 11,
    offset: float = 10,
    method: Literal["mean", "gaussian"] = "mean",
) -> Array: ...
def crop_margins(image: Array, *, margin: float = 0.1) -> Array: ...
def equalize_histogram(
    image: Array, *, clip_limit: float = 2.0, tile_grid_size: tuple[int, int] = (8, 8)
) -> Array: ...
def dark_on_light(image: Array) -> Array: ...
def median_filter(image: Array, size: int = 3) -> Array: ...
def morphological_opening(
    image: Array,
    size: tuple[int, int] = (2, 2),
    *,
    foreground: Literal["dark", "light"] = "dark",
) -> Array: ...
def resize_and_pad(
    image: Array,
    *,
    height: int = 50,
    width: int | None = None,
    align: Literal["left", "center", "right"] = "left",
    fill: Literal["border"] | Color = "border",
) -> Array: ...
def resize_image(image: Array, shape: tuple[int, int]) -> Array: ...
