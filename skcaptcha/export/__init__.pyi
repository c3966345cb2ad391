from typing import Any

from skcaptcha._reader import ReaderMixin
from skcaptcha._types import Path
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

def export_onnx(recognizer: CaptchaRecognizer, path: Path) -> None: ...
def load_onnx(path: Path, *, n_jobs: int | None = None) -> OnnxRecognizer: ...
