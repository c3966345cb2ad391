from collections.abc import Callable, Sequence
from dataclasses import dataclass
from re import Pattern
from typing import Any

from skcaptcha._types import Array, Color, Images, OnError, Path, RandomState, Texts

__all__ = [
    "LabeledImagesReport",
    "check_labeled_images",
    "fetch_captcha_images_v2",
    "load_image_folder",
    "load_labeled_images",
    "load_labels_csv",
    "make_captchas",
]

@dataclass(frozen=True)
class LabeledImagesReport:
    n_images: int
    lengths: dict[int, int]
    characters: dict[str, int]
    pairs: tuple[Any, ...]
    sizes: dict[Any, int]
    unreadable: dict[Any, Any]
    conflicts: tuple[Any, ...]
    skipped: dict[Any, Any]
    left_out: tuple[Any, ...]
    warnings: tuple[str, ...]

def check_labeled_images(
    X: Images,
    y: Texts,
    *,
    source: Path | None = None,
    metadata_encoding: str | None = None,
    background: Color = "white",
    n_jobs: int | None = None,
) -> LabeledImagesReport: ...
def fetch_captcha_images_v2(
    *,
    data_home: Path | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any: ...
def load_image_folder(
    path: Path,
    *,
    label: str | Pattern[str] | Callable[[Any], str] | None = None,
    pattern: str = "*",
    metadata_encoding: str | None = None,
    on_error: OnError = "raise",
) -> tuple[list[Any], list[str]]: ...
def load_labeled_images(
    path: Path,
    *,
    label: str | Pattern[str] | Callable[[Any], str] | None = None,
    filename_column: str | int | None = None,
    text_column: str | int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    metadata_encoding: str | None = None,
    on_error: OnError = "raise",
) -> tuple[list[Any], list[str]]: ...
def load_labels_csv(
    path: Path,
    *,
    image_dir: Path | None = None,
    filename_column: str | int | None = None,
    text_column: str | int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    metadata_encoding: str | None = None,
    on_error: OnError = "raise",
) -> tuple[list[Any], list[str]]: ...
def make_captchas(
    n_samples: int = 100,
    *,
    vocabulary: str | Sequence[str] = "2345678abcdefhkmnprtuvwxy",
    length: int | tuple[int, int] = 5,
    size: tuple[int, int | None] = (50, 150),
    color: bool = False,
    fonts: Sequence[Path] | None = None,
    rotation: float = 15,
    perspective: float = 0,
    warp: float = 0.04,
    overlap: float = 0.15,
    spacing: float = 0,
    size_jitter: float = 0.15,
    lines: int = 2,
    dots: int = 30,
    gradient: float = 0.3,
    noise: float = 6,
    outline: float = 0,
    invert: float = 0,
    random_state: RandomState = None,
) -> tuple[list[Array], list[str]]: ...
