from collections.abc import Iterable

from skcaptcha._types import Array, Color, Image, Images, OnError

__all__ = ["has_color", "read_image", "read_images", "to_grayscale", "to_rgb"]

def has_color(images: Iterable[Array]) -> bool: ...
def read_image(
    item: Image, *, background: Color = "white", name: str = "image"
) -> Array: ...
def read_images(
    items: Images,
    *,
    background: Color = "white",
    n_jobs: int | None = None,
    name: str = "X",
    first: int = 0,
    on_error: OnError = "raise",
) -> list[Array]: ...
def to_grayscale(image: Array) -> Array: ...
def to_rgb(image: Array) -> Array: ...
