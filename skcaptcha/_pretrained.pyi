from collections.abc import Sequence
from typing import Literal, overload

from skcaptcha._types import Color, Images
from skcaptcha.ensemble import CaptchaEnsemble
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["load_pretrained"]

MAX_SIZES: int
MAX_SCANNED: int

def leave_characters(
    recognizer: CaptchaRecognizer, characters: Sequence[str]
) -> None: ...
def list_characters() -> str: ...
@overload
def load_pretrained(
    X: None = None,
    *,
    n_sizes: None = None,
    vocabulary: None = None,
    background: Color = "white",
    backend: Literal["torch", "onnx"] = "torch",
    device: str = "auto",
    n_jobs: int | None = None,
) -> CaptchaEnsemble: ...
@overload
def load_pretrained(
    X: Images,
    *,
    n_sizes: Literal[1] | None = None,
    vocabulary: str | Sequence[str] | None = None,
    background: Color = "white",
    backend: Literal["torch", "onnx"] = "torch",
    device: str = "auto",
    n_jobs: int | None = None,
) -> CaptchaRecognizer: ...
@overload
def load_pretrained(
    X: Images,
    *,
    n_sizes: int,
    vocabulary: str | Sequence[str] | None = None,
    background: Color = "white",
    backend: Literal["torch", "onnx"] = "torch",
    device: str = "auto",
    n_jobs: int | None = None,
) -> CaptchaEnsemble | CaptchaRecognizer: ...
