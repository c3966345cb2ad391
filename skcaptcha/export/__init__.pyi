from typing import Any, Literal

from skcaptcha._reader import ReaderMixin
from skcaptcha._types import Images, Path
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import Vocabulary

__all__ = ["OnnxRecognizer", "export_onnx", "load_onnx"]

class OnnxRecognizer(ReaderMixin):
    decoder: str
    beam_width: int
    vocabulary_: Vocabulary
    def __init__(
        self, session: Any, metadata: Any, *, n_jobs: int | None = None
    ) -> None: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> OnnxRecognizer: ...

def export_onnx(
    recognizer: CaptchaRecognizer,
    path: Path,
    *,
    dtype: Literal["float32", "float16", "int8"] = "float32",
    test_images: Images | None = None,
) -> None: ...
def load_onnx(
    path: Path, *, n_jobs: int | None = None, self_test: bool = False
) -> OnnxRecognizer: ...
